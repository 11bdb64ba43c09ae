// One layer, one direction, all steps.
//
// Owns: the walk over time, and the gate tile whose epilogue is the cell.
// Must not know: other layers, how rows and units were dealt to threads, dropout.
//
// h of the step before is read from the output frame of that step (from h_0 at a row's first
// step), so h is written once and never copied. The reverse direction walks time backwards and
// sees rows grow: a row that begins still holds h_0 and c_0. A row that begins anew reads zeros for
// h, and its c is set to zero before the step.
#pragma once

#include "cell.hpp"
#include "gates.hpp"
#include "walk.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

template <class T, class Product>
class Forward {
  using P = PacketOf<T>;
  static constexpr Index V = width<T>;

 public:
  Forward(const ForwardPass<T>& pass, const Part& part)
      : pass_(pass), part_(part), blocks_(share_of(unit_blocks<T>(pass.weights.hidden), part)) {
    if constexpr (Product::rounds_rows) {
      const Index x_rows = pass.ahead ? pass.ahead_frames : part.row_end - part.row_begin;
      rounded_states_ = pass.rounded + x_rows * rounded_row_size<Product>(pass.weights.input_size);
    }
  }

  void run() {
    const PackedLayer<T>& w = pass_.weights;
    const Index steps_between =
        steps_between_questions(gate_count * w.hidden * (w.input_size + w.output));
    for (Index s = 0; s < step_count(part_); ++s) {
      if (s % steps_between == 0 && stopped(part_)) return;
      if (pass_.ahead && s == ahead_end_) run_ahead(s);
      const Index t = visited(part_, pass_.reverse, s);
      const Index row_end = live_end(pass_.steps, t, part_);
      kept_cells_ = kept_cells(t);
      if (pass_.steps.anew) forget_cells(t, row_end);
      gates(t, row_end);
      if (pass_.c_frames.base) show_cells(t, row_end);
      if (pass_.weights.projected) {
        wait(part_);
        project(t, row_end);
      }
      wait(part_);
    }
    settle();
  }

 private:
  // h of row r before step t.
  const T* h_before(Index t, Index r) const {
    if (begins_anew(pass_.steps, t, r)) return pass_.zeros;
    const Index before = pass_.reverse ? t + 1 : t - 1;
    if (r < live_end(pass_.steps, before, part_)) return frame(pass_.y, before, r);
    return pass_.h + pass_.steps.order[r] * pass_.weights.output;
  }

  // c of this thread's units.
  T* cells(Index r) const {
    return pass_.c + pass_.steps.order[r] * pass_.weights.hidden + blocks_.begin * V;
  }
  std::size_t cells_nbytes() const {
    const Index end = smaller(pass_.weights.hidden, blocks_.end * V);
    const Index units = end - smaller(end, blocks_.begin * V);
    return static_cast<std::size_t>(units) * sizeof(T);
  }

  void forget_cells(Index t, Index row_end) const {
    for (Index r = part_.row_begin; r < row_end; ++r)
      if (begins_anew(pass_.steps, t, r)) std::memset(cells(r), 0, cells_nbytes());
  }

  void show_cells(Index t, Index row_end) const {
    for (Index r = part_.row_begin; r < row_end && !stopped_at(part_, r); ++r)
      std::memcpy(frame(pass_.c_frames, t, r) + blocks_.begin * V, cells(r), cells_nbytes());
  }

  // bias + W_ih x for as many coming steps as fit: frames of several steps fill the tile's rows
  // where one step alone has too few, and W_ih is read once for all of them.
  void run_ahead(Index s_begin) {
    Index frames = 0, s = s_begin;
    for (; s < step_count(part_); ++s) {
      const Index t = visited(part_, pass_.reverse, s);
      const Index live = live_end(pass_.steps, t, part_) - part_.row_begin;
      if (frames + live > pass_.ahead_frames) break;
      frames += live;
    }
    ahead_end_ = s;
    ahead_next_ = 0;
    Index t = visited(part_, pass_.reverse, s_begin), t_first = 0;
    Index cursor = s_begin;
    const auto x_row = [&](Index i) {
      if (i < t_first) {  // a new pass over the frames
        cursor = s_begin;
        t = visited(part_, pass_.reverse, cursor);
        t_first = 0;
      }
      for (Index live; i >= t_first + (live = live_end(pass_.steps, t, part_) - part_.row_begin);) {
        t_first += live;
        t = visited(part_, pass_.reverse, ++cursor);
      }
      return static_cast<const T*>(frame(pass_.x, t, part_.row_begin + i - t_first));
    };
    const PackedLayer<T>& w = pass_.weights;
    const Index z_size = gate_columns<T>(w.hidden);
    multiply<Product>(
        part_, left_rows<Product, T>(part_, x_row, 0, frames, w.input_size, pass_.rounded), 0,
        frames, terms_of<Product>(w.input_size),
        Panels<T>{w.gates, gate_panel_stride(w), z_size, w.input_scales}, blocks_.begin,
        blocks_.end, [&](Index) { return static_cast<const T*>(w.bias); },
        [&](Index i) { return pass_.ahead + i * z_size; });
  }

  void gates(Index t, Index row_end) {
    const PackedLayer<T>& w = pass_.weights;
    const Index row_begin = part_.row_begin;
    const bool one_tile = row_end - row_begin <= Product::max_rows;
    if (one_tile) fetch_states(t, row_end);
    const auto x_row = [&](Index r) { return static_cast<const T*>(frame(pass_.x, t, r)); };
    const auto x = left_rows<Product, T>(part_, x_row, row_begin, pass_.ahead ? row_begin : row_end,
                                         w.input_size, pass_.rounded);
    const auto h_row = [&](Index r) { return h_before(t, r); };
    const auto h =
        left_rows<Product, T>(part_, h_row, row_begin, row_end, w.output, rounded_states_);
    if (one_tile) {
      backwards_ = !backwards_;
      for_row_tiles<Product>(row_begin, row_end, [&](Index first, auto row_count) {
        for_panel_groups<Product, decltype(row_count)::value>(
            blocks_.begin, blocks_.end, backwards_, [&](Index block, auto panels) {
              gate_tile<decltype(panels)::value>(t, first, row_count, block, x, h);
            });
      });
    } else {
      for (Index block = blocks_.begin; block < blocks_.end; ++block)
        for_row_tiles<Product>(
            row_begin, row_end, [&] { return stopped(part_); },
            [&](Index first, auto row_count) { gate_tile<1>(t, first, row_count, block, x, h); });
    }
    if (pass_.ahead) ahead_next_ += row_end - row_begin;
  }

  // h of the step before was written by other cores too: ask for all of it at once, or the tile
  // would wait for each line in its turn.
  void fetch_states(Index t, Index row_end) const {
    if (part_.shares == 1) return;
    for (Index r = part_.row_begin; r < row_end; ++r) {
      const T* h = h_before(t, r);
      for (Index k = 0; k < pass_.weights.output; k += 64 / sizeof(T)) simd::prefetch(h + k);
    }
  }

  template <int B, class RowCount, class X, class H>
  EIGEN_DONT_INLINE void gate_tile(Index t, Index first, RowCount rows, Index block, const X& x,
                                   const H& h) {
    constexpr int R = RowCount::value;
    const PackedLayer<T>& w = pass_.weights;
    const auto h_rows = h.template tile<R>(first);  // before the sums, or they would make way
    GateSums<T, R, B> sums;
    if (pass_.ahead) {
      const Index z_size = gate_columns<T>(w.hidden);
      const T* z =
          pass_.ahead + (ahead_next_ + first - part_.row_begin) * z_size + block * panel_width<T>;
      for (int r = 0; r < rows.live; ++r)
#pragma GCC unroll 24
        for (int v = 0; v < B * gate_count; ++v) sums.row[r][v] = load<P>(z + r * z_size + v * V);
    } else {
      input_gates<Product, T, R, B>(sums, w, block, x.template tile<R>(first));
    }
    add_recurrent_gates<Product, T, R, B>(sums, w, block, h_rows);
    for (int r = 0; r < rows.live; ++r)
#pragma GCC unroll 6
      for (int b = 0; b < B; ++b) {
        const P* z = sums.row[r] + b * gate_count;
        finish(t, first + r, (block + b) * V, {z[0], z[1], z[2], z[3]});
      }
  }

  // The cell, on the gates as they come out of the tile.
  EIGEN_STRONG_INLINE void finish(Index t, Index r, Index unit, const Gates<P>& z) const {
    const Index hidden = pass_.weights.hidden;
    const Index lanes = smaller(V, hidden - unit);
    T* c = pass_.c + pass_.steps.order[r] * hidden + unit;
    T* h = (pass_.weights.projected ? pass_.cell_output + r * hidden : frame(pass_.y, t, r)) + unit;
    const CellStep<P> step = advance(z, load_lanes<P>(c, lanes));
    store_lanes(c, step.c, lanes);
    store_lanes(h, step.h, lanes);
    if (pass_.gates) {
      const Index f = pass_.steps.first[t] + r;
      T* saved = pass_.gates + f * gate_count * hidden + unit;
      store_lanes(saved, step.gates.i, lanes);
      store_lanes(saved + hidden, step.gates.f, lanes);
      store_lanes(saved + 2 * hidden, step.gates.g, lanes);
      store_lanes(saved + 3 * hidden, step.gates.o, lanes);
    }
    if (kept_cells_) store_lanes(kept_cells_ + r * hidden + unit, step.c, lanes);
  }

  // Where c of step t is kept, from row 0 on; null: nowhere.
  T* kept_cells(Index t) const {
    const Index hidden = pass_.weights.hidden;
    if (!pass_.cells) return nullptr;
    if (!pass_.kept) return pass_.cells + pass_.steps.first[t] * hidden;
    const Index border = pass_.reverse ? t : t + 1;
    return pass_.kept[border] < 0 ? nullptr : pass_.cells + pass_.kept[border] * hidden;
  }

  // h = W_hr (o tanh(c))
  void project(Index t, Index row_end) const {
    const PackedLayer<T>& w = pass_.weights;
    const Share panels = share_of(panel_count<T>(w.output), part_);
    const auto row = [&](Index r) {
      return static_cast<const T*>(pass_.cell_output + r * w.hidden);
    };
    multiply<Product>(
        part_,
        left_rows<Product, T>(part_, row, part_.row_begin, row_end, w.hidden, rounded_states_),
        part_.row_begin, row_end, terms_of<Product>(w.hidden),
        Panels<T>{w.projection, w.hidden_rows * panel_width<T>, w.output, w.projection_scales},
        panels.begin, panels.end, [](Index) { return static_cast<const T*>(nullptr); },
        [&](Index r) { return frame(pass_.y, t, r); });
  }

  // h_n: each row's last output. Rows are dealt to the shares; every frame is complete by now.
  void settle() const {
    const Index output = pass_.weights.output;
    for (Index t = part_.step_begin; t < part_.step_end; ++t) {
      const auto [begin, end] = rows_ending(pass_.steps, pass_.reverse, t, part_);
      for (Index r = begin; r < end; ++r)
        if (r % part_.shares == part_.share)
          std::memcpy(pass_.h + pass_.steps.order[r] * output, frame(pass_.y, t, r),
                      static_cast<std::size_t>(output) * sizeof(T));
    }
  }

  const ForwardPass<T>& pass_;
  const Part& part_;
  const Share blocks_;       // of units, this thread's
  T* kept_cells_ = nullptr;  // of the current step
  // Unit blocks of the current step are walked from the last: those the step before read last are
  // still in cache.
  bool backwards_ = true;
  Index ahead_end_ = 0;                     // first step whose input part is not computed yet
  Index ahead_next_ = 0;                    // frame of `ahead` where the current step begins
  std::int32_t* rounded_states_ = nullptr;  // of h, or of the cell's output
};

template <class T>
void forward(const ForwardPass<T>& pass, Part part) {
  if constexpr (sizeof(T) == sizeof(float))
    if (pass.weights.storage == Storage::bfloat16) return Forward<T, Bfloat16>(pass, part).run();
  Forward<T, Plain<T>>(pass, part).run();
}

template <class Product>
void forward_rounded(const ForwardPass<float>& pass, Part part) {
  Forward<float, Product>(pass, part).run();
}

template <class Product, auto compress, auto forward = forward_rounded<Product>>
constexpr RoundedKernels rounded_kernels{Product::max_rows, rounded_row_size<Product>, compress,
                                         forward};

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

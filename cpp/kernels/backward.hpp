// The mirror of forward.hpp: one layer, one direction, time backwards.
//
// Owns: the only part of the backward pass that is sequential, dh = dz W_hh. The gates on the
// tape give way to dz; everything else waits until gradients.hpp reads dz.
// Must not know: parameter gradients, other layers.
#pragma once

#include "cell.hpp"
#include "pack.hpp"
#include "walk.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

template <class T>
class Backward {
  using P = PacketOf<T>;
  static constexpr Index V = width<T>;

 public:
  Backward(const BackwardPass<T>& pass, const Part& part)
      : pass_(pass), part_(part), gates_(gate_count * pass.hidden) {}

  void run() {
    const Index steps_between = steps_between_questions(gates_ * pass_.output);
    for (Index s = step_count(part_) - 1; s >= 0; --s) {
      if (s % steps_between == 0 && stopped(part_)) return;
      const Index t = visited(part_, pass_.reverse, s);
      const RowRange ending = rows_ending(pass_.steps, pass_.reverse, t, part_);
      output_gradient(t, ending);
      if (pass_.projected) {
        wait(part_);
        unproject(t, ending.end);
      }
      pull_back(t, ending.end);
      wait(part_);
    }
    initial_gradient();
  }

 private:
  Panels<T> recurrent() const {
    return {pass_.weights.recurrent, gates_ * panel_width<T>, pass_.output};
  }

  // Which frame of the memory of this pass.
  Index frame_of(Index t, Index r) const { return pass_.steps.first[t] + r - pass_.frame_begin; }

  T* gates(Index t, Index r) const { return pass_.gates + frame_of(t, r) * gates_; }

  T* cells(Index t, Index r) const { return pass_.cells + frame_of(t, r) * pass_.hidden; }

  T* dh(Index t, Index r) const {
    return pass_.dh_frames + (pass_.projected ? frame_of(t, r) : r) * pass_.output;
  }

  const T* dy(Index t, Index r) const { return pass_.dy.base ? frame(pass_.dy, t, r) : nullptr; }

  // This thread's columns of a matrix, in whole panels.
  Share columns_of(Index columns) const {
    const Share panels = share_of(panel_count<T>(columns), part_);
    return {panels.begin * panel_width<T>, smaller(columns, panels.end * panel_width<T>)};
  }

  // What W_hh carries back out of a frame: dz, or nothing where the state before was not read.
  const T* carried(Index t, Index r) const {
    return begins_anew(pass_.steps, t, r) ? pass_.zeros : gates(t, r);
  }

  // dh = dy + dz W_hh of the step the scan visits next; at a row's last step dy + d h_n.
  void output_gradient(Index t, RowRange ending) {
    const Index next = pass_.reverse ? t - 1 : t + 1;
    const Share panels = share_of(panel_count<T>(pass_.output), part_);
    fetch_dz(next, ending.begin);
    backwards_ = !backwards_;
    multiply<Plain<T>>(
        part_, rows<T>([&](Index r) { return carried(next, r); }), part_.row_begin, ending.begin,
        gates_, recurrent(), panels.begin, panels.end, [&](Index r) { return dy(t, r); },
        [&](Index r) { return dh(t, r); }, backwards_);
    const Share columns = columns_of(pass_.output);
    for (Index r = ending.begin; r < ending.end && !stopped_at(part_, r); ++r) {
      const T* last = pass_.dh + pass_.steps.order[r] * pass_.output;
      const T* from_output = dy(t, r);
      T* sum = dh(t, r);
      for (Index j = columns.begin; j < columns.end; ++j)
        sum[j] = from_output ? from_output[j] + last[j] : last[j];
    }
  }

  // dz of the step was written by other cores too: ask for all of it at once.
  void fetch_dz(Index t, Index row_end) const {
    if (part_.shares == 1 || row_end - part_.row_begin > Plain<T>::max_rows) return;
    for (Index r = part_.row_begin; r < row_end; ++r)
      for (Index k = 0; k < gates_; k += 64 / sizeof(T)) simd::prefetch(gates(t, r) + k);
  }

  // d (o tanh(c)) = dh W_hr
  void unproject(Index t, Index row_end) const {
    const Share panels = share_of(panel_count<T>(pass_.hidden), part_);
    multiply<Plain<T>>(
        part_, rows<T>([&](Index r) { return static_cast<const T*>(dh(t, r)); }), part_.row_begin,
        row_end, pass_.output,
        Panels<T>{pass_.weights.projection, pass_.output * panel_width<T>, pass_.hidden},
        panels.begin, panels.end, [](Index) { return static_cast<const T*>(nullptr); },
        [&](Index r) { return pass_.d_cell_output + r * pass_.hidden; });
  }

  void pull_back(Index t, Index row_end) const {
    const Index hidden = pass_.hidden;
    const Index before = pass_.reverse ? t + 1 : t - 1;
    const Index continuing = live_end(pass_.steps, before, part_);
    const Share units = columns_of(hidden);
    for (Index r = part_.row_begin; r < row_end && !stopped_at(part_, r); ++r) {
      T* z = gates(t, r);
      T* c = cells(t, r);
      const Index caller_row = pass_.steps.order[r] * hidden;
      const bool anew = begins_anew(pass_.steps, t, r);
      const T* c_before = anew             ? pass_.zeros
                          : r < continuing ? cells(before, r)
                                           : pass_.c_0 + caller_row;
      T* dc = pass_.dc + caller_row;
      const T* d_c = pass_.d_c_frames.base ? frame(pass_.d_c_frames, t, r) : nullptr;
      const T* dh_row = pass_.projected ? pass_.d_cell_output + r * hidden : dh(t, r);
      for (Index u = units.begin; u < units.end; u += V) {
        const Index lanes = smaller(V, hidden - u);
        const auto at = [&](const T* from) { return load_lanes<P>(from + u, lanes); };
        const P dc_all = d_c ? simd::padd(at(dc), at(d_c)) : at(dc);
        const CellGradient<P> d =
            pullback<P>({at(z), at(z + hidden), at(z + 2 * hidden), at(z + 3 * hidden)}, at(c),
                        at(c_before), at(dh_row), dc_all);
        store_lanes(z + u, d.dz.i, lanes);
        store_lanes(z + hidden + u, d.dz.f, lanes);
        store_lanes(z + 2 * hidden + u, d.dz.g, lanes);
        store_lanes(z + 3 * hidden + u, d.dz.o, lanes);
        store_lanes(dc + u, anew ? broadcast<P>(T(0)) : d.dc_prev, lanes);
        // c of this step has served its last purpose.
        if (pass_.projected) store_lanes(c + u, d.h, lanes);
      }
    }
  }

  // d h_0 = dz W_hh of each row's first step.
  void initial_gradient() const {
    const Share panels = share_of(panel_count<T>(pass_.output), part_);
    for (Index t = part_.step_begin; t < part_.step_end; ++t) {
      const RowRange first = rows_beginning(pass_.steps, pass_.reverse, t, part_);
      multiply<Plain<T>>(
          part_, rows<T>([&](Index r) { return carried(t, r); }), first.begin, first.end, gates_,
          recurrent(), panels.begin, panels.end,
          [](Index) { return static_cast<const T*>(nullptr); },
          [&](Index r) { return pass_.dh + pass_.steps.order[r] * pass_.output; });
    }
  }

  const BackwardPass<T>& pass_;
  const Part& part_;
  const Index gates_;  // 4H
  // Panels are walked from the last in every other step: those read last are still in cache.
  bool backwards_ = true;
};

template <class T>
void backward(const BackwardPass<T>& pass, Part part) {
  Backward<T>(pass, part).run();
}

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

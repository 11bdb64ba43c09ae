// What the backward pass leaves for later: everything dz is good for beside the recurrence.
//
// Owns: the products dW = dz^T [x h_prev], db, dW_hr and dx over a run of tape frames.
// Must not know: steps and rows; frames come as pointers.
//
// A thread owns rows of the weight gradients, and their sums run over the frames in the order
// given, so the bits do not depend on the number of threads.
#pragma once

#include "pack.hpp"
#include "walk.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

// Rows of frames into panels, so that the tile finds its right operand as in every product.
template <class T>
void gather_panels(const T* const* rows, Index frames, Index columns, T* to, Share panels) {
  for (Index panel = panels.begin; panel < panels.end; ++panel) {
    const Index first = panel * panel_width<T>;
    const Index lanes = packets_in_panel<T>(columns, panel) * width<T>;
    const Index live = smaller(lanes, columns - first);
    T* out = to + panel * frames * panel_width<T>;
    for (Index f = 0; f < frames; ++f, out += lanes) {
      std::memcpy(out, rows[f] + first, static_cast<std::size_t>(live) * sizeof(T));
      for (Index j = live; j < lanes; ++j) out[j] = T(0);
    }
  }
}

// Left operands are copied in groups of so many columns: whole tiles, whole packets, and a stride
// of three cache lines, where the 4H columns of dz itself are often a power of two apart and would
// all fall into the same few sets of the cache.
template <class T>
constexpr Index left_columns = 3 * width<T>;
static_assert(left_columns<float> % Plain<float>::max_rows == 0 &&
              left_columns<double> % Plain<double>::max_rows == 0);

// Calls f(first column, columns) for this thread's groups of the columns of `left`, as wide as
// `width`; the group stands in `buffer`, [frames, left_columns].
template <class T, class F>
void for_left_groups(const T* const* left, Index width, Index frames, T* buffer, const Part& part,
                     const F& f) {
  const Share groups = share_of(ceil_div(width, left_columns<T>), part);
  for (Index group = groups.begin; group < groups.end; ++group) {
    const Index first = group * left_columns<T>;
    const Index columns = smaller(left_columns<T>, width - first);
    for (Index frame = 0; frame < frames; ++frame)
      std::memcpy(buffer + frame * left_columns<T>, left[frame] + first,
                  static_cast<std::size_t>(columns) * sizeof(T));
    f(first, columns);
  }
}

// d[m][n] = sum over frames of left[frame][m] right[frame][n] for the columns m of a left group,
// to which d is added if `add`.
template <class T>
void sum_outer(const Part& part, const T* left, Index columns, Index frames, const T* right,
               Index right_columns, bool add, T* d) {
  const auto row = [&](Index m) { return d + m * right_columns; };
  multiply<Plain<T>>(
      part, Columns<T>{left, left_columns<T>}, 0, columns, frames,
      Panels<T>{right, frames * panel_width<T>, right_columns}, 0, panel_count<T>(right_columns),
      [&](Index m) { return add ? static_cast<const T*>(row(m)) : nullptr; }, row);
}

// d[m] = sum over frames of left[frame][m], to which d is added if `add`; both biases stand in the
// same sum.
template <class T>
void sum_bias(const T* left, Index columns, Index frames, bool add, T* d_bias_ih, T* d_bias_hh) {
  using P = PacketOf<T>;
  for (T* bias : {d_bias_ih, d_bias_hh})
    for (Index m = 0; m < columns; m += width<T>) {
      const Index lanes = smaller(width<T>, columns - m);
      P sum = add ? load_lanes<P>(bias + m, lanes) : broadcast<P>(T(0));
      for (Index f = 0; f < frames; ++f)
        sum = simd::padd(sum, load_lanes<P>(left + f * left_columns<T> + m, lanes));
      store_lanes(bias + m, sum, lanes);
    }
}

template <class T>
void gradients(const GradientPass<T>& pass, Part part) {
  const Index gates = gate_count * pass.hidden;
  const auto share = [&](Index columns) { return share_of(panel_count<T>(columns), part); };
  T* x_panels = pass.panels;
  T* h_panels = x_panels + panel_size<T>(pass.frames, pass.input_size);
  T* cell_panels = h_panels + panel_size<T>(pass.frames, pass.output);
  gather_panels(pass.x, pass.frames, pass.input_size, x_panels, share(pass.input_size));
  gather_panels(pass.h_prev, pass.frames, pass.output, h_panels, share(pass.output));
  if (pass.projected)
    gather_panels(pass.cell_output, pass.frames, pass.hidden, cell_panels, share(pass.hidden));
  wait(part);

  for_left_groups(pass.dz, gates, pass.frames, pass.left, part, [&](Index first, Index columns) {
    sum_outer(part, pass.left, columns, pass.frames, x_panels, pass.input_size, pass.add_d,
              pass.d_weight_ih + first * pass.input_size);
    sum_outer(part, pass.left, columns, pass.frames, h_panels, pass.output, pass.add_d,
              pass.d_weight_hh + first * pass.output);
    if (pass.d_bias_ih)
      sum_bias(pass.left, columns, pass.frames, pass.add_d, pass.d_bias_ih + first,
               pass.d_bias_hh + first);
  });
  if (pass.projected)
    for_left_groups(pass.dh, pass.output, pass.frames, pass.left, part,
                    [&](Index first, Index columns) {
                      sum_outer(part, pass.left, columns, pass.frames, cell_panels, pass.hidden,
                                pass.add_d, pass.d_weight_hr + first * pass.hidden);
                    });

  multiply<Plain<T>>(
      part, rows<T>([&](Index f) { return pass.dz[f]; }), part.row_begin, part.row_end, gates,
      Panels<T>{pass.weight_ih, gates * panel_width<T>, pass.input_size}, 0,
      panel_count<T>(pass.input_size),
      [&](Index f) { return pass.add_dx ? static_cast<const T*>(pass.dx[f]) : nullptr; },
      [&](Index f) { return pass.dx[f]; });
  wait(part);
}

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

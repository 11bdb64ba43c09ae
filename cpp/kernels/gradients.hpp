// What the backward pass leaves for later: everything dz is good for beside the recurrence.
//
// Owns: the products dW = dz^T [x h_prev], db, dW_hr and dx over a run of tape frames.
// Must not know: steps and rows; frames come as pointers.
//
// A thread owns rows of the weight gradients, and their sums run over all frames in tape order,
// so the bits do not depend on the number of threads.
#pragma once

#include "pack.hpp"
#include "walk.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

// Rows of frames into panels, so that the tile finds its right operand as in every product.
template <class T, class RowOf>
void gather_panels(Index frames, Index columns, T* to, Share panels, const RowOf& row_of) {
  for (Index panel = panels.begin; panel < panels.end; ++panel) {
    const Index first = panel * panel_width<T>;
    const Index lanes = packets_in_panel<T>(columns, panel) * width<T>;
    const Index live = smaller(lanes, columns - first);
    T* out = to + panel * frames * panel_width<T>;
    for (Index f = 0; f < frames; ++f, out += lanes) {
      std::memcpy(out, row_of(f) + first, static_cast<std::size_t>(live) * sizeof(T));
      for (Index j = live; j < lanes; ++j) out[j] = T(0);
    }
  }
}

// d[m][n] += sum over frames of left[frame][m] right[frame][n], rows of d in `rows`.
template <class T>
void add_outer(const T* left, Index left_stride, Index frames, const T* right, Index columns, T* d,
               Share rows) {
  const auto row = [&](Index m) { return d + m * columns; };
  multiply<T>(
      Columns<T>{left, left_stride}, rows.begin, rows.end, frames,
      Panels<T>{right, frames * panel_width<T>, columns}, 0, panel_count<T>(columns),
      [&](Index m) { return static_cast<const T*>(row(m)); }, row);
}

// d[j] += sum over frames of dz[frame][j]; both biases stand in the same sum.
template <class T>
void add_bias(const GradientPass<T>& pass, Share rows) {
  using P = PacketOf<T>;
  const Index gates = gate_count * pass.hidden;
  for (Index j = rows.begin; j < rows.end; j += width<T>) {
    const Index lanes = smaller(width<T>, rows.end - j);
    for (T* bias : {pass.d_bias_ih, pass.d_bias_hh}) {
      P sum = load_lanes<P>(bias + j, lanes);
      for (Index f = 0; f < pass.frames; ++f)
        sum = simd::padd(sum, load_lanes<P>(pass.dz + f * gates + j, lanes));
      store_lanes(bias + j, sum, lanes);
    }
  }
}

template <class T>
void gradients(const GradientPass<T>& pass, Part part) {
  const Index gates = gate_count * pass.hidden;
  const auto share = [&](Index columns) { return share_of(panel_count<T>(columns), part); };
  T* x_panels = pass.panels;
  T* h_panels = x_panels + panel_size<T>(pass.frames, pass.input_size);
  T* cell_panels = h_panels + panel_size<T>(pass.frames, pass.output);
  gather_panels(pass.frames, pass.input_size, x_panels, share(pass.input_size),
                [&](Index f) { return pass.x[f]; });
  gather_panels(pass.frames, pass.output, h_panels, share(pass.output),
                [&](Index f) { return pass.h_prev[f]; });
  if (pass.projected)
    gather_panels(pass.frames, pass.hidden, cell_panels, share(pass.hidden),
                  [&](Index f) { return pass.cell_output + f * pass.hidden; });
  wait(part);

  const Share gate_rows = share_of(gates, part);
  add_outer(pass.dz, gates, pass.frames, x_panels, pass.input_size, pass.d_weight_ih, gate_rows);
  add_outer(pass.dz, gates, pass.frames, h_panels, pass.output, pass.d_weight_hh, gate_rows);
  if (pass.d_bias_ih) add_bias(pass, gate_rows);
  if (pass.projected)
    add_outer(pass.dh, pass.output, pass.frames, cell_panels, pass.hidden, pass.d_weight_hr,
              share_of(pass.output, part));

  multiply<T>(
      rows<T>([&](Index f) { return pass.dz + f * gates; }), part.row_begin, part.row_end, gates,
      Panels<T>{pass.weight_ih, gates * panel_width<T>, pass.input_size}, 0,
      panel_count<T>(pass.input_size),
      [&](Index f) { return pass.add_dx ? static_cast<const T*>(pass.dx[f]) : nullptr; },
      [&](Index f) { return pass.dx[f]; });
  wait(part);
}

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

// The gate tile: z = b + W_ih x + W_hh h in registers.
//
// Owns: the two halves of that sum for a few rows and blocks of units.
// Must not know: time, where x and h stand, what becomes of z.
#pragma once

#include "pack.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

template <class T>
Index gate_panel_stride(const PackedLayer<T>& w) {
  return (w.input_size + w.output) * panel_width<T>;
}

template <class T, int R, int B>
EIGEN_STRONG_INLINE void input_gates(Tile<T, R, gate_count, B>& z, const PackedLayer<T>& w,
                                     Index block, const RowPointers<T, R>& x) {
  const T* bias = w.bias + block * panel_width<T>;
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 24
    for (int v = 0; v < B * gate_count; ++v) z.acc[r][v] = load<PacketOf<T>>(bias + v * width<T>);
  const Index stride = gate_panel_stride(w);
  z.accumulate(x, w.input_size, w.gates + block * stride, stride);
}

template <class T, int R, int B>
EIGEN_STRONG_INLINE void add_recurrent_gates(Tile<T, R, gate_count, B>& z, const PackedLayer<T>& w,
                                             Index block, const RowPointers<T, R>& h) {
  const Index stride = gate_panel_stride(w);
  z.accumulate(h, w.output, w.gates + block * stride + w.input_size * panel_width<T>, stride);
}

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

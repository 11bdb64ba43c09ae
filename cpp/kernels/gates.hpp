// The gate tile: z = b + W_ih x + W_hh h in registers.
//
// Owns: the two halves of that sum for a few rows and blocks of units.
// Must not know: time, where x and h stand, what becomes of z.
#pragma once

#include "quantize.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

template <class T>
Index gate_panel_stride(const PackedLayer<T>& w) {
  return (w.input_rows + w.output_rows) * panel_width<T>;
}

// z of R rows and B blocks of units.
template <class T, int R, int B>
using GateSums = Accumulators<PacketOf<T>, R, gate_count * B>;

template <class Product, class T, int R, int B, class Left>
EIGEN_STRONG_INLINE void input_gates(GateSums<T, R, B>& z, const PackedLayer<T>& w, Index block,
                                     const Left& x) {
  const Index column = block * panel_width<T>;
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 24
    for (int v = 0; v < B * gate_count; ++v)
      z.row[r][v] = load<PacketOf<T>>(w.bias + column + v * width<T>);
  const Index stride = gate_panel_stride(w);
  add_product<Product, R, gate_count, B>(z, x, terms_of<Product>(w.input_size),
                                         w.gates + block * stride, stride, w.input_scales, column);
}

template <class Product, class T, int R, int B, class Left>
EIGEN_STRONG_INLINE void add_recurrent_gates(GateSums<T, R, B>& z, const PackedLayer<T>& w,
                                             Index block, const Left& h) {
  const Index column = block * panel_width<T>, stride = gate_panel_stride(w);
  add_product<Product, R, gate_count, B>(z, h, terms_of<Product>(w.output),
                                         w.gates + block * stride + w.input_rows * panel_width<T>,
                                         stride, w.recurrent_scales, column);
}

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

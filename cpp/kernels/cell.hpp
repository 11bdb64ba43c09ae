// The equations of the LSTM, once.
//
// Owns: advance(), one step of one packet of units, and directly under it pullback(), its
// derivative. No other place in the project states them.
// Must not know: memory, tiles, time.
//
//   i = sigmoid(z_i)   f = sigmoid(z_f)   g = tanh(z_g)   o = sigmoid(z_o)
//   c = f c_prev + i g
//   h = o tanh(c)
#pragma once

#include "activations.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

template <class P>
struct Gates {
  P i, f, g, o;
};

template <class P>
struct CellStep {
  Gates<P> gates;  // activated
  P c, h;
};

template <class P>
EIGEN_STRONG_INLINE CellStep<P> advance(const Gates<P>& z, const P& c_prev) {
  CellStep<P> step;
  step.gates = {sigmoid(z.i), sigmoid(z.f), tanh(z.g), sigmoid(z.o)};
  step.c = simd::pmadd(step.gates.f, c_prev, simd::pmul(step.gates.i, step.gates.g));
  step.h = simd::pmul(step.gates.o, tanh(step.c));
  return step;
}

template <class P>
struct CellGradient {
  Gates<P> dz;
  P dc_prev;
  P h;  // o tanh(c) again: what the projection multiplied
};

// sigmoid' = s (1 - s), tanh' = 1 - t^2. `dc` is what later steps ask of c.
template <class P>
EIGEN_STRONG_INLINE CellGradient<P> pullback(const Gates<P>& gates, const P& c, const P& c_prev,
                                             const P& dh, const P& dc) {
  using T = typename simd::unpacket_traits<P>::type;
  const P one = broadcast<P>(T(1));
  const auto& [i, f, g, o] = gates;
  const P tanh_c = tanh(c);
  const P slope_c = simd::psub(one, simd::pmul(tanh_c, tanh_c));
  const P dc_all = simd::pmadd(simd::pmul(dh, o), slope_c, dc);
  CellGradient<P> d;
  d.dz.i = simd::pmul(simd::pmul(dc_all, g), simd::pmul(i, simd::psub(one, i)));
  d.dz.f = simd::pmul(simd::pmul(dc_all, c_prev), simd::pmul(f, simd::psub(one, f)));
  d.dz.g = simd::pmul(simd::pmul(dc_all, i), simd::psub(one, simd::pmul(g, g)));
  d.dz.o = simd::pmul(simd::pmul(dh, tanh_c), simd::pmul(o, simd::psub(one, o)));
  d.dc_prev = simd::pmul(dc_all, f);
  d.h = simd::pmul(o, tanh_c);
  return d;
}

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

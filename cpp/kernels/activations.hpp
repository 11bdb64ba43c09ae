// sigmoid and tanh on packets.
//
// Owns: the two nonlinearities of the LSTM and their accuracy: at most 4 ULP from the true value
// over all floats (tests/test_activations.py), NaN in, NaN out, on every ISA.
// Must not know: gates, tiles.
#pragma once

#include "simd.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

// Clamping inside Eigen's functions may swallow a NaN, depending on the ISA's min and max.
template <class P>
EIGEN_STRONG_INLINE P keep_nan(const P& x, const P& result) {
  return simd::pselect(simd::pcmp_eq(x, x), result, x);
}

// 1 / (1 + e^-x), written as e^x / (1 + e^x) for negative x so that small values keep their
// relative accuracy, with one exponential of -|x|, which cannot overflow.
template <class P>
EIGEN_STRONG_INLINE P sigmoid(const P& x) {
  using T = typename simd::unpacket_traits<P>::type;
  const P one = broadcast<P>(T(1));
  const P e = simd::pexp(simd::pnegate(simd::pabs(x)));
  const P negative = simd::pcmp_lt(x, simd::pzero(x));
  return keep_nan(x, simd::pdiv(simd::pselect(negative, e, one), simd::padd(one, e)));
}

template <class P>
EIGEN_STRONG_INLINE P tanh(const P& x) {
  return keep_nan(x, simd::ptanh(x));
}

template <class T>
void sigmoid_array(const T* x, T* y, Index count) {
  for (Index i = 0; i < count; i += width<T>) {
    const Index lanes = smaller(width<T>, count - i);
    store_lanes(y + i, sigmoid(load_lanes<PacketOf<T>>(x + i, lanes)), lanes);
  }
}

template <class T>
void tanh_array(const T* x, T* y, Index count) {
  for (Index i = 0; i < count; i += width<T>) {
    const Index lanes = smaller(width<T>, count - i);
    store_lanes(y + i, tanh(load_lanes<PacketOf<T>>(x + i, lanes)), lanes);
  }
}

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

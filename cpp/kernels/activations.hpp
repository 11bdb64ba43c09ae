// sigmoid and tanh on packets.
//
// Owns: the two nonlinearities of the LSTM and their accuracy: at most 3 ULP from the true value
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

// For e^r - 1 - r = r^2 (1/2! + r/3! + ...) on |r| <= ln(2)/2: the terms that reach the last place,
// highest first. ln(2) in two parts, so that m high is exact for the m that occur here.
template <class T>
struct ExpTerms;
template <>
struct ExpTerms<float> {
  static constexpr float terms[6] = {1 / 5040.f, 1 / 720.f, 1 / 120.f, 1 / 24.f, 1 / 6.f, 1 / 2.f};
  static constexpr int count = 6;
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
  static constexpr float saturation = 10;  // where 1 - tanh is below half an ULP
};
template <>
struct ExpTerms<double> {
  static constexpr double terms[12] = {1 / 6227020800., 1 / 479001600., 1 / 39916800., 1 / 3628800.,
                                       1 / 362880.,     1 / 40320.,     1 / 5040.,     1 / 720.,
                                       1 / 120.,        1 / 24.,        1 / 6.,        1 / 2.};
  static constexpr int count = 12;
  static constexpr double ln2_high = 0.693145751953125, ln2_low = 1.42860682030941723212e-6;
  static constexpr double saturation = 20;
};

// (e^2|x| - 1) / (e^2|x| + 1) with the sign of x. e^t - 1 is built as 2^m (e^r - 1) + (2^m - 1),
// t = m ln(2) + r, and so keeps its relative accuracy down to the smallest x.
template <class P>
EIGEN_STRONG_INLINE P tanh(const P& x) {
  using T = typename simd::unpacket_traits<P>::type;
  using E = ExpTerms<T>;
  const P one = broadcast<P>(T(1));
  const P magnitude = simd::pmin(simd::pabs(x), broadcast<P>(E::saturation));
  const P t = simd::padd(magnitude, magnitude);
  const P m =
      simd::pfloor(simd::pmadd(t, broadcast<P>(T(1.44269504088896340736)), broadcast<P>(T(0.5))));
  const P r =
      simd::pmadd(m, broadcast<P>(-E::ln2_low), simd::pmadd(m, broadcast<P>(-E::ln2_high), t));
  P series = broadcast<P>(E::terms[0]);
  for (int i = 1; i < E::count; ++i) series = simd::pmadd(series, r, broadcast<P>(E::terms[i]));
  const P power = simd::pldexp_fast(one, m);
  const P exp_minus_1 =
      simd::pmadd(power, simd::pmadd(simd::pmul(r, r), series, r), simd::psub(power, one));
  const P result = simd::pdiv(exp_minus_1, simd::padd(exp_minus_1, broadcast<P>(T(2))));
  const P sign = simd::pand(x, broadcast<P>(T(-0.0)));
  return keep_nan(x, simd::por(result, sign));
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

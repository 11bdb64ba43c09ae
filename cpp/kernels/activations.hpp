// sigmoid and tanh on packets.
//
// Owns: the two nonlinearities of the LSTM and their accuracy, on every ISA: at most 2.6 ULP from
// the true value in float32, over all floats, and 2.7 in float64; where a result is subnormal, at
// most 1.1 of the steps there. NaN in, NaN out. Held by tests/test_activations.py and nox -s ulp.
// Must not know: gates, tiles.
//
// Both are quotients of one exponential. Let x = r - m ln(2), m an integer, and w = tanh(r / 2).
// Then e^-x = 2^m (1 - w) / (1 + w), and
//
//   sigmoid(x)  = (1 + w) / ((1 + w) + 2^m (1 - w))
//   tanh(x / 2) = ((1 - 2^m) + w (1 + 2^m)) / ((1 + 2^m) + w (1 - 2^m))
//
// with one division each. w is odd in r: its polynomial needs half the terms of one for e^r, and
// nothing cancels where a result is small. The multiply-adds are what costs: on Zen 4 a division
// takes the place of two or three of them, so that gates which shared one would lose by it.
#pragma once

#include "simd.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

constexpr double log2_e = 1.44269504088896340736, ln_2 = 0.69314718055994530942;

// tanh(u) = u + u^3 (terms, highest power of u^2 first) on |u| <= ln(2) / 4. They make the largest
// relative error of the sum least: a least-squares fit in 40 digits, its weights multiplied by its
// errors until these were level, then rounded. The error is in units of 2^-24 or 2^-53.
template <class T>
struct Numbers;

template <>
struct Numbers<float> {
  static constexpr int terms = 2;
  static constexpr float term[terms] = {0.131106183f, -0.33331272f};  // error 0.92
  static constexpr int mantissa = 23, bias = 127;
  static constexpr float ln2_high = 0x1.63p-1f, ln2_low = -2.12194440e-4f;  // m high is exact
  static constexpr float sigmoid_is_0 = -104, sigmoid_is_1 = 40, tanh_is_1 = 10;
  // Keeps 2^(m + margin) a normal number between the bounds of sigmoid.
  static constexpr int margin = -64;
  static constexpr float tiny = 0x1p-64f;  // 2^margin
};

template <>
struct Numbers<double> {
  static constexpr int terms = 6;
  static constexpr double term[terms] = {0.003444773141076056, -0.008857303890384508,
                                         0.021869370581819692, -0.053968252780444974,
                                         0.13333333332782998,  -0.3333333333333248};  // error 0.04
  static constexpr int mantissa = 52, bias = 1023;
  static constexpr double ln2_high = 0x1.62e4p-1, ln2_low = 1.4286068203094173e-6;
  static constexpr double sigmoid_is_0 = -746, sigmoid_is_1 = 40, tanh_is_1 = 20;
  static constexpr int margin = -500;
  static constexpr double tiny = 0x1p-500;
};

// What follows takes x = r - m scale ln(2)/2, with r = scale u: the scale is 2 for sigmoid and 1
// for tanh, so that neither has to halve or double its argument.

template <class P>
struct Octaves {
  P m;
  P power;  // 2^(m + margin)
};

// m, the integer next to -x / (scale ln(2)/2). Added to 1.5 2^mantissa it stands in the last bits
// of the sum, from where a shift makes it an exponent.
template <int scale, int margin, class P>
EIGEN_STRONG_INLINE Octaves<P> octaves(const P& x) {
  using T = typename simd::unpacket_traits<P>::type;
  using N = Numbers<T>;
  const P integer = broadcast<P>(T(3LL << (N::mantissa - 1)) + T(N::bias + margin));
  const P sum = simd::pmadd(x, broadcast<P>(T(-2 * log2_e / scale)), integer);
  return {simd::psub(sum, integer), shift_bits_left<N::mantissa>(sum)};
}

constexpr double power(double base, int n) { return n == 0 ? 1 : base * power(base, n - 1); }

// scale tanh(r / scale): a power of two goes into the terms without rounding. They are taken two at
// a time, so that fewer of the sums wait for one another.
template <int scale, class P>
EIGEN_STRONG_INLINE P scaled_tanh(const P& r) {
  using T = typename simd::unpacket_traits<P>::type;
  using N = Numbers<T>;
  const P r_2 = simd::pmul(r, r), r_4 = simd::pmul(r_2, r_2);
  const auto term = [](int i) {
    return broadcast<P>(T(N::term[i] / power(scale * scale, N::terms - i)));
  };
  const auto pair = [&](int i) { return simd::pmadd(term(i), r_2, term(i + 1)); };
  P series = pair(0);
  for (int i = 2; i < N::terms; i += 2) series = simd::pmadd(series, r_4, pair(i));
  return simd::pmadd(simd::pmul(r, r_2), series, r);
}

template <class P>
EIGEN_STRONG_INLINE P sigmoid(const P& x) {
  using T = typename simd::unpacket_traits<P>::type;
  using N = Numbers<T>;
  // Eigen's pmin and pmax return their first operand where one of them is NaN.
  const P bounded =
      simd::pmin(simd::pmax(x, broadcast<P>(N::sigmoid_is_0)), broadcast<P>(N::sigmoid_is_1));
  const Octaves<P> octave = octaves<2, N::margin>(bounded);
  const P r = simd::pmadd(octave.m, broadcast<P>(N::ln2_low),
                          simd::pmadd(octave.m, broadcast<P>(N::ln2_high), bounded));
  const P w = scaled_tanh<2>(r);
  // 1 + w and 1 - w, both doubled; the margin is in the first and in 2^m, so that the quotient is
  // rounded once, even to a subnormal number.
  const P plus = simd::pmadd(w, broadcast<P>(N::tiny), broadcast<P>(2 * N::tiny));
  const P minus = simd::psub(broadcast<P>(T(2)), w);
  return simd::pdiv(plus, simd::pmadd(octave.power, minus, plus));
}

// The sign is taken off and put on again: tanh is odd to the last bit.
template <class P>
EIGEN_STRONG_INLINE P tanh(const P& x) {
  using T = typename simd::unpacket_traits<P>::type;
  using N = Numbers<T>;
  const P one = broadcast<P>(T(1));
  const P magnitude = simd::pmin(simd::pabs(x), broadcast<P>(N::tanh_is_1));
  const Octaves<P> octave = octaves<1, 0>(magnitude);
  // ln(2) in one part will do: where m is far from 0, 2^m is small beside 1.
  const P w = scaled_tanh<1>(simd::pmadd(octave.m, broadcast<P>(T(ln_2 / 2)), magnitude));
  const P plus = simd::padd(one, octave.power), minus = simd::psub(one, octave.power);
  const P result = simd::pdiv(simd::pmadd(w, plus, minus), simd::pmadd(w, minus, plus));
  return simd::por(result, simd::pand(x, broadcast<P>(T(-0.0))));
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

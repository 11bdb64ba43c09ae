// What a tile multiplies with.
//
// Owns: how a stored row of weights becomes terms of a sum. A product has `terms` terms in each
// stored packet, one after another; left operands are counted in terms. Where `rounds_rows` they
// are rounded first, `features` to each word. Must not know: tiles, where weights come from.
//
// Stored packets are loaded as packets of T whatever their bits are.
#pragma once

#include "simd.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

constexpr int packets_per_panel = 4;

// Rows of k kept in L2 beside the panel slice while many row tiles pass over it; or all of them.
constexpr Index depth_in_l2 = 512;
constexpr Index undivided = Index(1) << 62;

// Of a tile of one row. Weights that are not multiplied where they lie in memory take registers of
// their own, and GCC loads them all before it multiplies.
constexpr int accumulators_beside_weights = max_accumulators < 16 ? max_accumulators : 16;

// Products whose sums stay in vector registers, unless they say otherwise.
struct InRegisters {
  static constexpr int max_rows = max_accumulators / packets_per_panel;
  static constexpr bool in_tiles = false;
  static constexpr bool rounds_rows = false, may_end_within_a_row = false, scaled = false;
  static constexpr Index depth_slice = depth_in_l2;
  static constexpr int accumulators_of_one_row = accumulators_beside_weights;
};

// Weights as they are.
template <class T>
struct Plain : InRegisters {
  using Sum = PacketOf<T>;
  using Value = Sum;
  static constexpr int terms = 1;
  static constexpr int accumulators_of_one_row = max_accumulators;
  static EIGEN_STRONG_INLINE Sum weight(const Sum& stored, int) { return stored; }
  static EIGEN_STRONG_INLINE Sum multiply_add(const Sum& value, const Sum& weight, const Sum& sum) {
    return simd::pmadd(value, weight, sum);
  }
};

// Weights of rows k and k + 1 as the lower and upper half of each scalar: bfloat16 is the upper
// half of a float32. The sum is that of weights rounded so, to the bit.
struct Bfloat16 : InRegisters {
  using Sum = PacketOf<float>;
  using Value = Sum;
  static constexpr int terms = 2;
  static constexpr bool may_end_within_a_row = true;
  static EIGEN_STRONG_INLINE Sum weight(const Sum& stored, int term) {
    return term == 0 ? shift_bits_left<16>(stored) : keep_bits<0xffff0000>(stored);
  }
  static EIGEN_STRONG_INLINE Sum multiply_add(const Sum& value, const Sum& weight, const Sum& sum) {
    return simd::pmadd(value, weight, sum);
  }
};

#ifdef LSTM_NATIVE_BFLOAT16_PAIRS
// The same weights times pairs of bfloat16: a term is two products.
struct Bfloat16Pairs : InRegisters {
  using Sum = PacketOf<float>;
  using Value = IntegersOf<float>;
  static constexpr int terms = 1, features = 2;
  static constexpr bool rounds_rows = true;
  static EIGEN_STRONG_INLINE Sum weight(const Sum& stored, int) { return stored; }
  static EIGEN_STRONG_INLINE Sum multiply_add(const Value& value, const Sum& weight,
                                              const Sum& sum) {
    return dot_pairs(value, weight, sum);
  }
};
#endif

// Weights of rows k to k + 3 as the bytes of each scalar, each 128 too large, times bytes of the
// left side: sums are of integers, and exact on every ISA.
struct Int8 : InRegisters {
  using Sum = IntegersOf<float>;
  using Value = Sum;
  static constexpr int terms = dot_terms, features = 4;
  static constexpr bool rounds_rows = true, scaled = true;
  static constexpr Index depth_slice = undivided;  // a sum is scaled once
  static EIGEN_STRONG_INLINE Sum weight(const PacketOf<float>& stored, int term) {
    return dot_weights(simd::preinterpret<Sum>(stored), term);
  }
  static EIGEN_STRONG_INLINE Sum multiply_add(const Sum& value, const Sum& weight, const Sum& sum) {
    return dot(value, weight, sum);
  }
};

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

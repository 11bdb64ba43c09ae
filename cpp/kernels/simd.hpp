// The only include of Eigen: its packets are the portable SIMD layer.
//
// Owns: the handful of packet operations the kernels use, and the packet of a scalar type.
// Must not know: tiles, gates, layers.
//
// Eigen's namespace is renamed per ISA by the build (-DEigen=Eigen_avx2, ...), so that its inline
// functions compiled for one ISA can never stand in for those of another.
#pragma once

#include <Eigen/Core>
#include <cstring>

#include "kernel_api.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

namespace simd = Eigen::internal;

template <class T>
using PacketOf = typename simd::packet_traits<T>::type;

template <class T>
using IntegersOf = typename simd::unpacket_traits<PacketOf<T>>::integer_packet;

// V: scalars in one packet.
template <class T>
constexpr Index width = simd::unpacket_traits<PacketOf<T>>::size;

// Accumulators of a tile, in packets: what the register file holds beside the operands of one
// step of k.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int max_accumulators = 24;  // of 32 registers
#else
constexpr int max_accumulators = 12;  // of 16
#endif

template <class P, class T>
EIGEN_STRONG_INLINE P load(const T* from) {
  return simd::ploadu<P>(from);
}

template <class T, class P>
EIGEN_STRONG_INLINE void store(T* to, const P& packet) {
  simd::pstoreu(to, packet);
}

template <class P, class T>
EIGEN_STRONG_INLINE P broadcast(T value) {
  return simd::pset1<P>(value);
}

// Each scalar's bits, as an integer, moved up: the highest fall off.
template <int bits, class P>
EIGEN_STRONG_INLINE P shift_bits_left(const P& packet) {
  using Integers = typename simd::unpacket_traits<P>::integer_packet;
  return simd::preinterpret<P>(
      simd::plogical_shift_left<bits>(simd::preinterpret<Integers>(packet)));
}

// Those bits of each scalar of 32 bits that `mask` has.
template <std::uint32_t mask, class P>
EIGEN_STRONG_INLINE P keep_bits(const P& packet) {
  using Integers = IntegersOf<float>;
  return simd::preinterpret<P>(simd::pand(simd::preinterpret<Integers>(packet),
                                          broadcast<Integers>(static_cast<std::int32_t>(mask))));
}

#if defined(__AVX512BF16__)
#define LSTM_NATIVE_BFLOAT16_PAIRS
// sum + the products of the upper halves, and then those of the lower, rounded each time; subnormal
// numbers count as zeros.
EIGEN_STRONG_INLINE simd::Packet16f dot_pairs(const simd::Packet16i& value,
                                              const simd::Packet16f& weight,
                                              const simd::Packet16f& sum) {
#if defined(__GNUC__) && !defined(__clang__)
  simd::Packet16f result = sum;  // by asm for the reason that dot() below has
  asm("vdpbf16ps %2, %1, %0" : "+v"(result) : "v"(weight), "v"(value));
  return result;
#else
  __m512bh a, b;  // not by a cast: to cl they are integers
  std::memcpy(&a, &weight, sizeof a);
  std::memcpy(&b, &value, sizeof b);
  return _mm512_dpbf16_ps(sum, a, b);
#endif
}

// The upper halves of scalars as the lower and the upper half of one.
EIGEN_STRONG_INLINE simd::Packet16f pair_of_upper_halves(const simd::Packet16f& lower,
                                                         const simd::Packet16f& upper) {
  return simd::preinterpret<simd::Packet16f>(
      simd::por(simd::plogical_shift_right<16>(simd::preinterpret<simd::Packet16i>(lower)),
                simd::preinterpret<simd::Packet16i>(keep_bits<0xffff0000>(upper))));
}

// Each scalar as the nearest bfloat16, of the even one of two.
EIGEN_STRONG_INLINE void store_bfloat16(std::int32_t* to, const simd::Packet16f& packet) {
  const __m256bh rounded = _mm512_cvtneps_pbh(packet);
  std::memcpy(to, &rounded, sizeof rounded);
}

// The same as floats.
EIGEN_STRONG_INLINE simd::Packet16f nearest_bfloat16(const simd::Packet16f& packet) {
  __m256i halves;
  const __m256bh rounded = _mm512_cvtneps_pbh(packet);
  std::memcpy(&halves, &rounded, sizeof halves);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
#endif

// Sums of products of bytes, four to a scalar of 32 bits: 0 to 255 in the weights, -127 to 127 in
// the values. One instruction does it, or one does pairs of 16 bits, or none. A value then stands
// as dot_terms scalars: all four bytes; the pairs (0, 2) and (1, 3); or one byte each.
#if defined(__AVX512VNNI__)
constexpr int dot_terms = 1;
EIGEN_STRONG_INLINE simd::Packet16i dot_weights(const simd::Packet16i& stored, int) {
  return stored;
}
EIGEN_STRONG_INLINE simd::Packet16i dot(const simd::Packet16i& value, const simd::Packet16i& weight,
                                        const simd::Packet16i& sum) {
#if defined(__GNUC__) && !defined(__clang__)
  // By the intrinsic GCC 12 copies every sum twice in a tile of one row.
  simd::Packet16i result = sum;
  asm("vpdpbusd %2, %1, %0" : "+v"(result) : "v"(weight), "v"(value));
  return result;
#else
  return _mm512_dpbusd_epi32(sum, weight, value);
#endif
}
#elif defined(EIGEN_VECTORIZE_SSE2)
constexpr int dot_terms = 2;
template <class P>
EIGEN_STRONG_INLINE P dot_weights(const P& stored, int term) {
  return simd::pand(term == 0 ? stored : simd::plogical_shift_right<8>(stored),
                    broadcast<P>(std::int32_t(0x00ff00ff)));
}
#if defined(__AVX512F__)
EIGEN_STRONG_INLINE simd::Packet16i multiply_pairs(const simd::Packet16i& a,
                                                   const simd::Packet16i& b) {
  return _mm512_madd_epi16(a, b);
}
#elif defined(__AVX2__)
EIGEN_STRONG_INLINE simd::Packet8i multiply_pairs(const simd::Packet8i& a,
                                                  const simd::Packet8i& b) {
  return _mm256_madd_epi16(a, b);
}
#else
EIGEN_STRONG_INLINE simd::Packet4i multiply_pairs(const simd::Packet4i& a,
                                                  const simd::Packet4i& b) {
  return _mm_madd_epi16(a, b);
}
#endif
template <class P>
EIGEN_STRONG_INLINE P dot(const P& value, const P& weight, const P& sum) {
  return simd::padd(sum, multiply_pairs(value, weight));
}
#else
constexpr int dot_terms = 4;
template <class P>
EIGEN_STRONG_INLINE P dot_weights(const P& stored, int term) {
  const P byte = broadcast<P>(std::int32_t(0xff));
  switch (term) {
    case 0:
      return simd::pand(stored, byte);
    case 1:
      return simd::pand(simd::plogical_shift_right<8>(stored), byte);
    case 2:
      return simd::pand(simd::plogical_shift_right<16>(stored), byte);
    default:
      return simd::plogical_shift_right<24>(stored);
  }
}
template <class P>
EIGEN_STRONG_INLINE P dot(const P& value, const P& weight, const P& sum) {
  return simd::pmadd(value, weight, sum);
}
#endif

// The first `lanes` scalars; the others are zero. Never touches memory past them.
template <class P, class T>
EIGEN_STRONG_INLINE P load_lanes(const T* from, Index lanes) {
  if (lanes == width<T>) return load<P>(from);
  T buffer[width<T>] = {};
  std::memcpy(buffer, from, static_cast<std::size_t>(lanes) * sizeof(T));
  return load<P>(buffer);
}

template <class T, class P>
EIGEN_STRONG_INLINE void store_lanes(T* to, const P& packet, Index lanes) {
  if (lanes == width<T>) return store(to, packet);
  T buffer[width<T>];
  store(buffer, packet);
  std::memcpy(to, buffer, static_cast<std::size_t>(lanes) * sizeof(T));
}

constexpr Index ceil_div(Index a, Index b) { return (a + b - 1) / b; }

constexpr Index smaller(Index a, Index b) { return a < b ? a : b; }

// Where part `part` of `parts` begins when `count` things are dealt out evenly.
constexpr Index share_begin(Index count, Index part, Index parts) { return count * part / parts; }

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

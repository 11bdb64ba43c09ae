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

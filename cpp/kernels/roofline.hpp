// The two limits of the machine that everything else is measured against.
//
// Owns: multiply-adds that never leave the registers, and reads of a buffer with nothing else.
// Must not know: products, layers. Only the benchmark calls these.
#pragma once

#include "simd.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

// `iterations` rounds over as many independent accumulators as a tile has; the flops done. The
// values go to `sink`, so that the compiler must make them.
template <class T>
Index multiply_add(Index iterations, T* sink) {
  using P = PacketOf<T>;
  P acc[max_accumulators];
  for (int a = 0; a < max_accumulators; ++a) acc[a] = broadcast<P>(static_cast<T>(a));
  const P factor = broadcast<P>(T(0.5)), term = broadcast<P>(T(1));
  for (Index i = 0; i < iterations; ++i) {
#pragma GCC unroll 24
    for (int a = 0; a < max_accumulators; ++a) acc[a] = simd::pmadd(acc[a], factor, term);
  }
  P sum = acc[0];
  for (int a = 1; a < max_accumulators; ++a) sum = simd::padd(sum, acc[a]);
  *sink = simd::predux(sum);
  return 2 * iterations * max_accumulators * width<T>;
}

// Reads `count` scalars `iterations` times; the bytes read.
template <class T>
Index read(const T* from, Index count, Index iterations, T* sink) {
  using P = PacketOf<T>;
  constexpr Index V = width<T>;
  constexpr int chains = 8;
  P sum[chains];
  for (P& s : sum) s = simd::pzero(s);
  const Index end = count / (chains * V) * (chains * V);
  for (Index i = 0; i < iterations; ++i)
    for (Index at = 0; at < end; at += chains * V) {
#pragma GCC unroll 8
      for (int s = 0; s < chains; ++s) sum[s] = simd::padd(sum[s], load<P>(from + at + s * V));
    }
  for (int s = 1; s < chains; ++s) sum[0] = simd::padd(sum[0], sum[s]);
  *sink = simd::predux(sum[0]);
  return iterations * end * static_cast<Index>(sizeof(T));
}

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

// Rows as the left side of a product.
//
// Owns: how rows of floats become terms: read as they are, as pairs of bfloat16, or as bytes with a
// scale for each row (dynamic quantisation).
// Must not know: which rows these are, how weights are stored.
//
// A row's scale is its own, so that its bits do not depend on the rows beside it. A row that is not
// finite gets NaN for its scale, and so do all sums it enters.
#pragma once

#include "pack.hpp"
#include "walk.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

// Terms of a left row of `count` features.
template <class Product>
constexpr Index terms_of(Index count) {
  if constexpr (Product::rounds_rows)
    return ceil_div(count, Product::features) * Product::terms;
  else
    return count;
}

// A rounded row: its scale and what is to be added to its sums, if they are scaled, and its terms.
template <class Product>
constexpr Index header = Product::scaled ? 2 : 0;

template <class Product>
Index rounded_row_size(Index count) {
  if constexpr (Product::in_tiles)
    return Product::row_size(count);
  else
    return header<Product> + terms_of<Product>(count);
}

// R rows that lie `size` apart, of which `live` count.
template <class Product, int R>
struct RoundedRowPointers {
  const std::int32_t* row[R];
  RoundedRowPointers(const std::int32_t* first, Index size, Index) {
    for (int r = 0; r < R; ++r) row[r] = first + r * size;
  }
  EIGEN_STRONG_INLINE const std::int32_t& at(int r, Index k) const {
    return row[r][header<Product> + k];
  }
  EIGEN_STRONG_INLINE float scale(int r) const {
    float scale;
    std::memcpy(&scale, row[r], sizeof scale);
    return scale;
  }
  EIGEN_STRONG_INLINE std::int32_t excess(int r) const { return row[r][1]; }
  EIGEN_STRONG_INLINE void skip(Index k) {  // of products that are not scaled
    for (int r = 0; r < R; ++r) row[r] += k;
  }
};

template <class Product>
struct RoundedRows {
  const std::int32_t* data;  // of row `begin`
  Index size, begin, end;
  template <int R>
  EIGEN_STRONG_INLINE RoundedRowPointers<Product, R> tile(Index first) const {
    return {data + (first - begin) * size, size, smaller(R, end - first)};
  }
};

// What bytes are multiplied with, and what makes them of floats. Below the smallest size, where the
// inverse would be infinite, all bytes are zero; NaN stays NaN.
struct Scale {
  float scale, inverse;
};
inline Scale scale_of(float largest) {
  constexpr float smallest = 1e-36f;
  if (largest < smallest) return {0, 0};
  return {largest / 127, 127 / largest};
}

// The largest absolute value of a row; NaN where one is not finite.
inline float largest(const float* from, Index count) {
  using P = PacketOf<float>;
  constexpr Index V = width<float>;
  P most = broadcast<P>(0.0f), difference = most;
  for (Index k = 0; k < count; k += V) {
    const P values = load_lanes<P>(from + k, smaller(V, count - k));
    most = simd::pmax(most, simd::pabs(values));
    difference = simd::padd(difference, simd::psub(values, values));
  }
  return simd::predux_max(most) + simd::predux(difference);
}

// To the nearest integer, to the even one of two.
template <class P>
EIGEN_STRONG_INLINE P rounded(const P& values) {
  const P to_the_last_bit = broadcast<P>(12582912.0f);  // 1.5 2^23
  return simd::psub(simd::padd(values, to_the_last_bit), to_the_last_bit);
}

// A packet of bytes as terms: a term holds all four bytes of a word, the pairs (0, 2) and (1, 3),
// or one each.
inline void store_terms(const IntegersOf<float>& bytes, Index words, std::int32_t* to) {
  constexpr Index V = width<float>;
  std::int32_t byte[V];
  store(byte, bytes);
  if constexpr (dot_terms == 1) {
    std::int8_t narrow[V];
    for (Index k = 0; k < V; ++k) narrow[k] = static_cast<std::int8_t>(byte[k]);
    std::memcpy(to, narrow, static_cast<std::size_t>(words) * 4);
  } else if constexpr (dot_terms == 2) {
    std::int16_t pairs[V];
    for (Index k = 0; k < V; k += 4)
      for (Index j = 0; j < 4; ++j)
        pairs[k + j] = static_cast<std::int16_t>(byte[k + (j % 2) * 2 + j / 2]);
    std::memcpy(to, pairs, static_cast<std::size_t>(words) * 8);
  } else {
    std::memcpy(to, byte, static_cast<std::size_t>(words) * 16);
  }
}

template <class Product>
void round_row(const float* from, Index count, std::int32_t* to) {
  Product::round_row(from, count, to);
}

template <>
inline void round_row<Int8>(const float* from, Index count, std::int32_t* to) {
  using P = PacketOf<float>;
  using Bytes = IntegersOf<float>;
  constexpr Index V = width<float>;
  const Scale scale = scale_of(largest(from, count));
  const bool finite = scale.scale == scale.scale;
  const P inverse = broadcast<P>(scale.inverse);
  Bytes sum = broadcast<Bytes>(std::int32_t(0));
  for (Index k = 0; k < count; k += V) {
    const Index lanes = smaller(V, count - k);
    Bytes bytes = broadcast<Bytes>(std::int32_t(0));
    if (finite) {
      const P values = load_lanes<P>(from + k, lanes);
      bytes = simd::pcast<P, Bytes>(rounded(simd::pmul(values, inverse)));
    }
    sum = simd::padd(sum, bytes);
    store_terms(bytes, ceil_div(lanes, Int8::features),
                to + header<Int8> + k / Int8::features * dot_terms);
  }
  std::memcpy(to, &scale.scale, sizeof scale.scale);
  // Stored weights are 128 too large. Sums on the way may wrap around; the whole one fits.
  to[1] = static_cast<std::int32_t>(0u - 128u * static_cast<std::uint32_t>(simd::predux(sum)));
}

#ifdef LSTM_NATIVE_BFLOAT16_PAIRS
template <>
inline void round_row<Bfloat16Pairs>(const float* from, Index count, std::int32_t* to) {
  constexpr Index V = width<float>;
  for (Index k = 0; k < count; k += V) {
    const Index lanes = smaller(V, count - k);
    std::int32_t pairs[V / Bfloat16Pairs::features];
    store_bfloat16(pairs, load_lanes<PacketOf<float>>(from + k, lanes));
    std::memcpy(to + k / Bfloat16Pairs::features, pairs,
                static_cast<std::size_t>(ceil_div(lanes, Bfloat16Pairs::features)) * sizeof *pairs);
  }
}
#endif

// The left side of a product: rows [begin, end) of `depth` features, for which `scratch` has room
// if they are to be rounded.
template <class Product, class T, class RowOf>
EIGEN_STRONG_INLINE auto left_rows(const Part& part, const RowOf& row_of, Index begin, Index end,
                                   Index depth, std::int32_t* scratch) {
  if constexpr (Product::rounds_rows) {
    const Index size = rounded_row_size<Product>(depth);
    Index r = begin;
    for (; r < end && !stopped_at(part, r); ++r)
      round_row<Product>(row_of(r), depth, scratch + (r - begin) * size);
    return RoundedRows<Product>{scratch, size, begin, r};
  } else {
    return rows<T>(row_of);
  }
}

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

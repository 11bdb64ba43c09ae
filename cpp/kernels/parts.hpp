// Products of numbers that are sums of bfloat16 parts, on tiles.
//
// Owns: how rows and weights are split, and the sum of products of parts that stands for a product.
// Must not know: which rows these are, what becomes of the sums.
//
// The first part of a number is the nearest bfloat16, the second the nearest to what is left, and
// so on: three hold all 24 bits of a float. Of their products those are taken that are not
// smaller than the error of the largest: one of one part; three of two, with an error of some 2^-17
// of each product; six of three, with 2^-25, where float32 rounds each sum by 2^-24. An output is a
// chain of its own, by k and then from small products to large ones, whatever rows are beside it.
#pragma once

#include "amx.hpp"
#include "compress.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

constexpr Index tile_size = tile_height * tile_height;  // words, which are pairs of bfloat16
static_assert(width<float> == tile_height && tile_depth == 2 * tile_height);

// Tiles one after another in k.
constexpr Index tiles_of(Index count) { return ceil_div(count, tile_depth); }

// Which parts are multiplied, in this order.
struct PartProduct {
  int left, right;
};
constexpr PartProduct products_of_one[] = {{0, 0}};
constexpr PartProduct products_of_two[] = {{1, 0}, {0, 1}, {0, 0}};
constexpr PartProduct products_of_three[] = {{2, 0}, {1, 1}, {0, 2}, {1, 0}, {0, 1}, {0, 0}};

template <int count>
constexpr auto& part_products() {
  if constexpr (count == 1)
    return products_of_one;
  else if constexpr (count == 2)
    return products_of_two;
  else
    return products_of_three;
}

// Calls f(Constant<i>{}) for i from begin to end.
template <int begin, int end, class F>
EIGEN_STRONG_INLINE void for_each(const F& f) {
  if constexpr (begin < end) {
    f(Constant<begin>{});
    for_each<begin + 1, end>(f);
  }
}

// A row's note, beside its parts: where they cannot stand for it, the row itself.
struct Whole {
  const float* row;
  Index count;
};

// What multiply() and its like ask of a product: see product.hpp.
template <int parts_>
struct Parts {
  static constexpr int parts = parts_, max_rows = 2 * tile_height;
  static constexpr bool in_tiles = true, rounds_rows = true;
  static constexpr int terms = 1, features = 2;
  static constexpr Index depth_slice = undivided;
  // Three parts stand for float32. Where they cannot, because a row holds NaN, infinity, or numbers
  // beyond most_in_parts or least_in_parts, float32 is multiplied.
  static constexpr bool exact = parts == 3;

  // The note, if there may be one, and the parts. An odd number of cache lines: rows that lie a
  // power of two apart would fall into the same few sets of the cache.
  static constexpr Index header = exact ? tile_height : 0;
  static Index row_size(Index count) {
    return ((header / tile_height + parts * tiles_of(count)) | 1) * tile_height;
  }

  static void round_row(const float* from, Index count, std::int32_t* to) {
    using P = PacketOf<float>;
    constexpr Index V = width<float>;
    if constexpr (exact) {
      const Whole note{is_split(from, count) ? nullptr : from, count};
      std::memcpy(to, &note, sizeof note);
    }
    const Index part_size = tiles_of(count) * tile_height;
    std::int32_t* pairs = to + header;
    for (Index k = 0; k < features * part_size; k += V, pairs += V / features) {
      P rest = k < count ? load_lanes<P>(from + k, smaller(V, count - k)) : broadcast<P>(0.0f);
      for (int part = 0; part < parts; ++part) {
        store_bfloat16(pairs + part * part_size, rest);
        rest = simd::psub(rest, nearest_bfloat16(rest));
      }
    }
  }

  // A panel of weights, as compress_layer() gives it.
  static void split_panel(const float* from, Index rows, Index row_size, float* to) {
    using P = PacketOf<float>;
    constexpr Index V = width<float>;
    const Index packets = row_size / V;
    const auto weights = [&](Index k, Index packet) {
      return k < rows ? load<P>(from + k * row_size + packet * V) : broadcast<P>(0.0f);
    };
    for (Index k = 0; k < tiles_of(rows) * tile_depth; k += features) {
      float* line =
          to + k / tile_depth * parts * packets * tile_size + k % tile_depth / features * V;
      for (Index packet = 0; packet < packets; ++packet) {
        P even = weights(k, packet), odd = weights(k + 1, packet);
        for (int part = 0; part < parts; ++part) {
          const P lower = nearest_bfloat16(even), upper = nearest_bfloat16(odd);
          store(line + (part * packets + packet) * tile_size, pair_of_upper_halves(lower, upper));
          even = simd::psub(even, lower);
          odd = simd::psub(odd, upper);
        }
      }
    }
  }

  // z += left x panel
  template <class P, int R, int G, class Left>
  static EIGEN_STRONG_INLINE void add(Accumulators<P, R, G>& z, const Left& left, Index depth,
                                      const float* panel) {
    const Index tiles = ceil_div(depth, tile_height);
    if constexpr (exact)
      for (Index r = 0; r < left.live; ++r)
        if (note_of(left, r).row) return add_beside_whole_rows(z, left, tiles, panel);
    add_products(z, left, tiles, panel);
  }

 private:
  template <class Left>
  static Whole note_of(const Left& left, Index r) {
    Whole note;
    std::memcpy(&note, left.row + r * left.size, sizeof note);
    return note;
  }

  // Whether the parts are the row, to the last digit.
  static bool is_split(const float* row, Index count) {
    bool split = true;
    for (Index k = 0; k < count; ++k) {
      const float size = row[k] < 0 ? -row[k] : row[k];
      split &= (size == 0) | ((size >= least_in_parts) & (size <= most_in_parts));
    }
    return split;
  }

  template <class P, int R, int G, class Left>
  static EIGEN_DONT_INLINE void add_beside_whole_rows(Accumulators<P, R, G>& z, const Left& left,
                                                      Index tiles, const float* panel) {
    const Accumulators<P, R, G> before = z;
    add_products(z, left, tiles, panel);
    for (Index r = 0; r < left.live; ++r) {
      const Whole note = note_of(left, r);
      if (!note.row) continue;
      for (int v = 0; v < G; ++v)
        z.row[r][v] = add_whole(before.row[r][v], note, panel + v * tile_size, G);
    }
  }

  // z + row x column, as a tile of plain weights sums it up: the parts of a weight are the weight.
  template <class P>
  static P add_whole(P z, const Whole& row, const float* column, Index tiles_across) {
    for (Index k = 0; k < row.count; ++k) {
      const float* line = column + k / tile_depth * parts * tiles_across * tile_size +
                          k % tile_depth / features * width<float>;
      P weight = broadcast<P>(0.0f);
      for (int part = parts - 1; part >= 0; --part) {
        const P pair = load<P>(line + part * tiles_across * tile_size);
        weight = simd::padd(
            weight, k % features == 0 ? shift_bits_left<16>(pair) : keep_bits<0xffff0000>(pair));
      }
      z = simd::pmadd(broadcast<P>(row.row[k]), weight, z);
    }
    return z;
  }

  template <class P, int R, int G, class Left>
  static EIGEN_STRONG_INLINE void add_products(Accumulators<P, R, G>& z, const Left& left,
                                               Index tiles, const float* panel) {
    constexpr int M = R / tile_height;
    const std::int32_t* rows = left.row + header;
    for (int v = 0; v + 2 <= G; v += 2)
      add_tiles<M, 2>(&z.row[0][v], G, rows, left.size, tiles, panel + v * tile_size, G);
    if constexpr (G % 2 == 1)
      add_tiles<M, 1>(&z.row[0][G - 1], G, rows, left.size, tiles, panel + (G - 1) * tile_size, G);
  }

  // M x N tiles of sums, in registers 0 to M N - 1; tiles of the left side in the next M, of the
  // panel in the N after those.
  template <int M, int N, class P>
  static EIGEN_STRONG_INLINE void add_tiles(P* z, Index z_stride, const std::int32_t* left,
                                            Index left_stride, Index tiles, const float* panel,
                                            Index tiles_across) {
    constexpr auto& products = part_products<parts>();
    constexpr int sums = M * N, count = sizeof products / sizeof *products;
    const auto z_at = [&](int i) { return z + i / N * tile_height * z_stride + i % N; };
    const Index z_bytes = z_stride * static_cast<Index>(sizeof(P));
    const Index left_bytes = left_stride * static_cast<Index>(sizeof *left);
    constexpr Index line_bytes = tile_height * static_cast<Index>(sizeof *panel);
    for_each<0, sums>([&](auto i) { load_tile<i.value>(z_at(i.value), z_bytes); });
    for (Index k = 0; k < tiles; ++k)
      for_each<0, count>([&](auto i) {
        constexpr PartProduct now = products[i.value];
        constexpr PartProduct before =
            i.value > 0 ? products[i.value > 0 ? i.value - 1 : 0] : PartProduct{-1, -1};
        const std::int32_t* rows = left + (now.left * tiles + k) * tile_height;
        const float* across = panel + (k * parts + now.right) * tiles_across * tile_size;
        if constexpr (now.left != before.left)
          for_each<0, M>([&](auto m) {
            load_tile<sums + m.value>(rows + m.value * tile_height * left_stride, left_bytes);
          });
        if constexpr (now.right != before.right)
          for_each<0, N>([&](auto n) {
            load_tile<sums + M + n.value>(across + n.value * tile_size, line_bytes);
          });
        for_each<0, sums>([&](auto j) {
          multiply_add_bfloat16<j.value, sums + j.value / N, sums + M + j.value % N>();
        });
      });
    for_each<0, sums>([&](auto i) { store_tile<i.value>(z_at(i.value), z_bytes); });
  }
};

template <int parts, int R>
struct RoundedRowPointers<Parts<parts>, R> {
  const std::int32_t* row;
  Index size, live;
  EIGEN_STRONG_INLINE void skip(Index) {}  // a product is undivided
};

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

// The register tile, and the matrix product made of it.
//
// Owns: the inner loop of every product in the library. A tile is R rows x B panels x G packets;
// all its accumulators stay in registers while k runs.
// Must not know: gates, time, what the rows are, how a weight is stored.
//
// One accumulator per output, its terms in a fixed order (k ascending; of a pair of bfloat16 the
// second first): whatever R and B are, an output is the same chain of
// fused multiply-adds. An accumulator may be stored and taken up again later, which does not
// round. So a row's bits depend neither on its neighbours nor on how work was split.
#pragma once

#include "product.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

// Panels side by side that keep the tile's accumulators within the register file: with one row
// alone, four chains of multiply-adds would wait for each other's latency.
template <class Product>
constexpr int max_panels([[maybe_unused]] int rows) {
  if constexpr (Product::in_tiles)
    return 1;
  else
    return (rows == 1 ? Product::accumulators_of_one_row : max_accumulators) /
           (packets_per_panel * rows);
}

template <class T>
constexpr Index panel_width = packets_per_panel * width<T>;

inline bool stopped(const Part& part) { return part.stopped(part.team); }

// A matrix in the order the tile reads it: panels of 4 V columns, each row by row. The last panel
// has only the packets it needs, filled up with zeros.
template <class T>
struct Panels {
  const T* data;
  Index stride;               // from one panel to the next
  Index columns;              // of the matrix
  const T* scales = nullptr;  // of the columns, for products that have any
};

template <class T>
constexpr Index packets_in_panel(Index columns, Index panel) {
  return smaller(packets_per_panel, ceil_div(columns - panel * panel_width<T>, width<T>));
}

template <class T>
Index panel_size(Index rows, Index columns) {
  return rows * ceil_div(columns, width<T>) * width<T>;
}

// Left operand: row r of the tile stands at row[r], k contiguous.
template <class T, int R>
struct RowPointers {
  const T* row[R];
  EIGEN_STRONG_INLINE const T& at(int r, Index k) const { return row[r][k]; }
  EIGEN_STRONG_INLINE void skip(Index k) {
    for (int r = 0; r < R; ++r) row[r] += k;
  }
};

// Left operand of a transposed product: row r of the tile is column r of what stands at base.
template <class T, int R>
struct ColumnPointers {
  const T* base;
  Index stride;
  EIGEN_STRONG_INLINE const T& at(int r, Index k) const { return base[k * stride + r]; }
  EIGEN_STRONG_INLINE void skip(Index k) { base += k * stride; }
};

template <class P, int R, int N>
struct Accumulators {
  P row[R][N];
};

// One stored row of the panels, of which the first `terms` terms count.
template <class Product, int terms, int R, int G, int B, class P, class Left, class T>
EIGEN_STRONG_INLINE void multiply_add_row(P (&sum)[R][B * G], const Left& left, Index k,
                                          const T* row, Index panel_stride) {
  using Value = typename Product::Value;
  const auto weight_of = [&](int v, int term) {
    return Product::weight(load<PacketOf<T>>(row + (v / G) * panel_stride + (v % G) * width<T>),
                           term);
  };
  // The fewer operands, of the left side or of the panels, wait in registers for the others.
#pragma GCC unroll 4
  for (int j = 0; j < terms; ++j) {
    if constexpr (R < B * G) {
      Value value[R];
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) value[r] = broadcast<Value>(left.at(r, k + j));
#pragma GCC unroll 24
      for (int v = 0; v < B * G; ++v) {
        const P weight = weight_of(v, j);
#pragma GCC unroll 6
        for (int r = 0; r < R; ++r) sum[r][v] = Product::multiply_add(value[r], weight, sum[r][v]);
      }
    } else {
      P weight[B * G];
#pragma GCC unroll 24
      for (int v = 0; v < B * G; ++v) weight[v] = weight_of(v, j);
#pragma GCC unroll 6
      for (int r = 0; r < R; ++r) {
        const Value value = broadcast<Value>(left.at(r, k + j));
#pragma GCC unroll 24
        for (int v = 0; v < B * G; ++v)
          sum[r][v] = Product::multiply_add(value, weight[v], sum[r][v]);
      }
    }
  }
}

// sums += left x panels, over `depth` terms.
template <class Product, int R, int G, int B, class P, class Left, class T>
EIGEN_STRONG_INLINE void accumulate(Accumulators<P, R, B * G>& sums, const Left& left, Index depth,
                                    const T* panel, Index panel_stride) {
  constexpr int terms = Product::terms;
  // A copy whose indices are all constants: the array itself, walked by a loop after the product,
  // would be stored at every k where GCC cannot move stores past an intrinsic (aarch64).
  P sum[R][B * G];
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 24
    for (int v = 0; v < B * G; ++v) sum[r][v] = sums.row[r][v];
  const T* row = panel;
  Index k = 0;
  for (; k + terms <= depth; k += terms, row += G * width<T>)
    multiply_add_row<Product, terms, R, G, B>(sum, left, k, row, panel_stride);
  if constexpr (Product::may_end_within_a_row)
    if (k < depth) multiply_add_row<Product, 1, R, G, B>(sum, left, k, row, panel_stride);
#pragma GCC unroll 6
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 24
    for (int v = 0; v < B * G; ++v) sums.row[r][v] = sum[r][v];
}

// z += left x panels, whose first column is `column` of the scales. A product with scales is of
// integers and is summed up by itself first.
template <class Product, int R, int G, int B, class P, class Left, class T>
EIGEN_STRONG_INLINE void add_product(Accumulators<P, R, B * G>& z, const Left& left, Index depth,
                                     const T* panel, Index panel_stride, const T* scales,
                                     Index column) {
  if constexpr (Product::in_tiles) {
    Product::add(z, left, depth, panel);
  } else if constexpr (Product::scaled) {
    using Sum = typename Product::Sum;
    Accumulators<Sum, R, B * G> sums;
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 24
      for (int v = 0; v < B * G; ++v) sums.row[r][v] = broadcast<Sum>(0);
    accumulate<Product, R, G, B>(sums, left, depth, panel, panel_stride);
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 24
      for (int v = 0; v < B * G; ++v)
        z.row[r][v] = simd::pmadd(
            simd::pmul(broadcast<P>(left.scale(r)), load<P>(scales + column + v * width<T>)),
            simd::pcast<Sum, P>(simd::padd(sums.row[r][v], broadcast<Sum>(left.excess(r)))),
            z.row[r][v]);
  } else {
    accumulate<Product, R, G, B>(z, left, depth, panel, panel_stride);
  }
}

template <int N>
struct Constant {
  static constexpr int value = N;
  static constexpr int live = N;
};

// Rows of a tile, of which so many count.
template <int N>
struct PartlyLive {
  static constexpr int value = N;
  Index live;
};

// Calls f(Constant<n>{}) for a count known only at run time, 1 <= n <= Max.
template <int Max, class F>
EIGEN_STRONG_INLINE void with_constant(Index n, const F& f) {
  if constexpr (Max == 1) {
    f(Constant<1>{});
  } else {
    if (n == Max)
      f(Constant<Max>{});
    else
      with_constant<Max - 1>(n, f);
  }
}

// Calls f(first, rows) for tiles of rows.value rows, of which rows.live count: in registers all,
// and they cover the rows evenly, 7 being 3 + 4, not 6 + 1. Leaves when stopped() says so, which is
// asked before the first tile and then now and again.
template <class Product, class Stopped, class F>
EIGEN_STRONG_INLINE void for_row_tiles(Index begin, Index end, const Stopped& stopped, const F& f) {
  constexpr Index tiles_between = 64;
  constexpr int most = Product::max_rows;
  const Index count = end - begin;
  const Index tiles = ceil_div(count, most);
  for (Index i = 0; i < tiles; ++i) {
    if (i % tiles_between == 0 && stopped()) return;
    if constexpr (Product::in_tiles) {
      const Index first = begin + i * most, live = smaller(most, end - first);
      if (live > most / 2)
        f(first, PartlyLive<most>{live});
      else
        f(first, PartlyLive<most / 2>{live});
    } else {
      const Index first = share_begin(count, i, tiles);
      with_constant<most>(share_begin(count, i + 1, tiles) - first,
                          [&](auto rows) { f(begin + first, rows); });
    }
  }
}

template <class Product, class F>
EIGEN_STRONG_INLINE void for_row_tiles(Index begin, Index end, const F& f) {
  for_row_tiles<Product>(begin, end, [] { return false; }, f);
}

// Calls f(first, Constant<B>{}) for groups of panels (or unit blocks) that go side by side in one
// tile of R rows, from the last group to the first if `backwards`.
template <class Product, int R, class F>
EIGEN_STRONG_INLINE void for_panel_groups(Index begin, Index end, bool backwards, const F& f) {
  const Index count = end - begin;
  const Index groups = ceil_div(count, max_panels<Product>(R));
  for (Index g = 0; g < groups; ++g) {
    const Index i = backwards ? groups - 1 - g : g;
    const Index first = share_begin(count, i, groups);
    with_constant<max_panels<Product>(R)>(share_begin(count, i + 1, groups) - first,
                                          [&](auto panels) { f(begin + first, panels); });
  }
}

// Left operands of a product, cut into tiles.
template <class T, class RowOf>
struct Rows {
  RowOf row_of;  // row -> const T*
  template <int R>
  EIGEN_STRONG_INLINE RowPointers<T, R> tile(Index first) const {
    RowPointers<T, R> rows;
    for (int r = 0; r < R; ++r) rows.row[r] = row_of(first + r);
    return rows;
  }
};
template <class T, class RowOf>
Rows<T, RowOf> rows(const RowOf& row_of) {
  return {row_of};
}

template <class T>
struct Columns {
  const T* base;
  Index stride;
  template <int R>
  EIGEN_STRONG_INLINE ColumnPointers<T, R> tile(Index first) const {
    return {base + first, stride};
  }
};

// One tile of a product: out[r][column...] = init[r][column...] + left x panel. init[r] may be
// null (zeros) and may be out[r].
template <class Product, int G, int B, class T, class Left, class RowCount>
EIGEN_DONT_INLINE void multiply_tile(const Left& left, RowCount rows, Index depth, const T* panel,
                                     const Panels<T>& matrix, Index column, const T* const* init,
                                     T* const* out) {
  using P = PacketOf<T>;
  constexpr int R = RowCount::value;
  constexpr Index V = width<T>;
  Accumulators<P, R, B * G> tile;
  // Only the last packet of a matrix can be cut short, and it never stands beside another panel.
  const auto lanes = [&](int v) {
    return B == 1 && v == G - 1 ? smaller(V, matrix.columns - column - v * V) : V;
  };
  for (int r = 0; r < rows.live; ++r)
#pragma GCC unroll 24
    for (int v = 0; v < B * G; ++v)
      tile.row[r][v] =
          init[r] ? load_lanes<P>(init[r] + column + v * V, lanes(v)) : broadcast<P>(T(0));
  add_product<Product, R, G, B>(tile, left, depth, panel, matrix.stride, matrix.scales, column);
  for (int r = 0; r < rows.live; ++r)
#pragma GCC unroll 24
    for (int v = 0; v < B * G; ++v) store_lanes(out[r] + column + v * V, tile.row[r][v], lanes(v));
}

// out = init + left x matrix, for rows [row_begin, row_end) and panels [panel_begin, panel_end),
// unless the call of `part`, which is not looked at otherwise, is stopped.
// Few rows, who read the whole matrix each time, may ask for its panels from the last to the first.
template <class Product, class T, class Left, class Init, class Out>
void multiply(const Part& part, const Left& left, Index row_begin, Index row_end, Index depth,
              const Panels<T>& matrix, Index panel_begin, Index panel_end, const Init& init,
              const Out& out, bool backwards = false) {
  const bool one_tile = row_end - row_begin <= Product::max_rows;
  const Index whole_panels = matrix.columns / panel_width<T>;
  const auto run = [&](Index panel, Index k_begin, Index k_end, auto packets, auto panels,
                       Index first, auto row_count) {
    constexpr int R = decltype(row_count)::value, G = decltype(packets)::value,
                  B = decltype(panels)::value;
    auto tile_left = left.template tile<R>(first);
    tile_left.skip(k_begin);
    const T* from[R];
    T* to[R];
    for (int r = 0; r < row_count.live; ++r) {
      to[r] = out(first + r);
      from[r] = k_begin == 0 ? init(first + r) : to[r];
    }
    multiply_tile<Product, G, B>(
        tile_left, row_count, k_end - k_begin,
        matrix.data + panel * matrix.stride + k_begin / Product::terms * G * width<T>, matrix,
        panel * panel_width<T>, from, to);
  };
  const auto panel_rows = [&](Index panel, auto packets) {
    Index k = 0;
    do {
      const Index k_end = smaller(depth, k + Product::depth_slice);
      for_row_tiles<Product>(
          row_begin, row_end, [&] { return stopped(part); },
          [&](Index first, auto row_count) {
            run(panel, k, k_end, packets, Constant<1>{}, first, row_count);
          });
      k = k_end;
    } while (k < depth);
  };
  const Index whole_end = smaller(panel_end, whole_panels);
  if (one_tile && row_begin < row_end) {
    for_row_tiles<Product>(row_begin, row_end, [&](Index first, auto row_count) {
      for_panel_groups<Product, decltype(row_count)::value>(
          panel_begin, whole_end, backwards, [&](Index panel, auto panels) {
            run(panel, 0, depth, Constant<packets_per_panel>{}, panels, first, row_count);
          });
    });
  } else {
    for (Index panel = panel_begin; panel < whole_end; ++panel)
      panel_rows(panel, Constant<packets_per_panel>{});
  }
  for (Index panel = whole_panels > panel_begin ? whole_panels : panel_begin; panel < panel_end;
       ++panel)
    with_constant<packets_per_panel>(packets_in_panel<T>(matrix.columns, panel),
                                     [&](auto packets) { panel_rows(panel, packets); });
}

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

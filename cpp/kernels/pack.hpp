// Weights into the order the tile reads them.
//
// Owns: the two packed orders, forward (gates together, per block of V units) and transposed.
// Must not know: layers, time, where the memory comes from.
#pragma once

#include "tile.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

constexpr int gate_count = 4;

template <class T>
constexpr Index unit_blocks(Index hidden) {
  return ceil_div(hidden, width<T>);
}

template <class T>
Index gate_columns(Index hidden) {
  return unit_blocks<T>(hidden) * panel_width<T>;
}

template <class T>
Index panel_count(Index columns) {
  return ceil_div(columns, panel_width<T>);
}

// The part of `count` panels or blocks that belongs to this thread.
struct Share {
  Index begin, end;
};
inline Share share_of(Index count, const Part& part) {
  return {share_begin(count, part.share, part.shares),
          share_begin(count, part.share + 1, part.shares)};
}

// Blocks of V x V are transposed in registers, a run of this many elements of V source rows at a
// time, so that what is written stays in L1 while its cache lines fill up.
constexpr Index pack_run = 64;

// to[j][i] = from[i][j] for `rows` <= V rows of any length. A row of `to` has V scalars that this
// writes; those past `rows` become zero.
template <class T>
void transpose_rows(const T* from, Index from_stride, Index rows, Index length, T* to,
                    Index to_stride) {
  using P = PacketOf<T>;
  constexpr Index V = width<T>;
  for (Index j = 0; j < length; j += V) {
    const Index columns = smaller(V, length - j);
    simd::PacketBlock<P, V> block;
    for (Index i = 0; i < V; ++i)
      block.packet[i] =
          i < rows ? load_lanes<P>(from + i * from_stride + j, columns) : broadcast<P>(T(0));
    simd::ptranspose(block);
    for (Index i = 0; i < columns; ++i) store(to + (j + i) * to_stride, block.packet[i]);
  }
}

// A plain matrix into rows [k_begin, k_begin + count) of the packed gates.
template <class T>
void pack_gates(const Part& part, const T* plain, Index count, Index k_begin,
                const PackedLayer<T>& to, Share blocks) {
  constexpr Index V = width<T>;
  const Index depth = to.input_size + to.output;
  for (Index block = blocks.begin; block < blocks.end && !stopped(part); ++block) {
    const Index unit = block * V, units = smaller(V, to.hidden - unit);
    T* panel = to.gates + (block * depth + k_begin) * panel_width<T>;
    for (Index k = 0; k < count; k += pack_run)
      for (Index gate = 0; gate < gate_count; ++gate)
        transpose_rows(plain + (gate * to.hidden + unit) * count + k, count, units,
                       smaller(pack_run, count - k), panel + k * panel_width<T> + gate * V,
                       panel_width<T>);
  }
}

template <class T>
void pack_bias(const PlainLayer<T>& plain, const PackedLayer<T>& to, Share blocks) {
  constexpr Index V = width<T>;
  for (Index block = blocks.begin; block < blocks.end; ++block)
    for (Index lane = 0; lane < panel_width<T>; ++lane) {
      const Index unit = block * V + lane % V, row = (lane / V) * to.hidden + unit;
      to.bias[block * panel_width<T> + lane] =
          plain.bias_ih && unit < to.hidden ? plain.bias_ih[row] + plain.bias_hh[row] : T(0);
    }
}

// Calls f(column, lanes, out, stride) for each packet of columns of a matrix in panels: `lanes` of
// its scalars are columns of the matrix, row k begins at out + k * stride.
template <class T, class F>
void for_packets(const Part& part, Index rows, Index columns, T* to, Share panels, const F& f) {
  constexpr Index V = width<T>;
  for (Index panel = panels.begin; panel < panels.end && !stopped(part); ++panel) {
    const Index packets = packets_in_panel<T>(columns, panel);
    for (Index packet = 0; packet < packets; ++packet) {
      const Index column = panel * panel_width<T> + packet * V;
      f(column, smaller(V, columns - column), to + panel * rows * panel_width<T> + packet * V,
        packets * V);
    }
  }
}

// The transpose of a plain columns x rows matrix into panels of rows x columns.
template <class T>
void pack_panels(const Part& part, const T* plain, Index rows, Index columns, T* to, Share panels) {
  for_packets(part, rows, columns, to, panels,
              [&](Index column, Index lanes, T* out, Index stride) {
                transpose_rows(plain + column * rows, rows, lanes, rows, out, stride);
              });
}

template <class T>
void pack(const PlainLayer<T>& plain, const PackedLayer<T>& to, Part part) {
  const Share blocks = share_of(unit_blocks<T>(to.hidden), part);
  pack_gates(part, plain.weight_ih, to.input_size, 0, to, blocks);
  pack_gates(part, plain.weight_hh, to.output, to.input_size, to, blocks);
  pack_bias(plain, to, blocks);
  if (to.projected)
    pack_panels(part, plain.weight_hr, to.hidden, to.output, to.projection,
                share_of(panel_count<T>(to.output), part));
}

// Rows [k_begin, k_begin + columns) of the packed gates, transposed: panels of 4H x columns.
template <class T>
void transpose_gates(const Part& part, const PackedLayer<T>& from, Index k_begin, Index columns,
                     T* to, Share panels) {
  constexpr Index V = width<T>;
  const Index hidden = from.hidden, depth = from.input_size + from.output;
  for_packets(
      part, gate_count * hidden, columns, to, panels,
      [&](Index column, Index lanes, T* out, Index stride) {
        for (Index unit = 0; unit < hidden; unit += V)
          for (Index gate = 0; gate < gate_count; ++gate)
            transpose_rows(
                from.gates + ((unit / V) * depth + k_begin + column) * panel_width<T> + gate * V,
                panel_width<T>, lanes, smaller(V, hidden - unit),
                out + (gate * hidden + unit) * stride, stride);
      });
}

// Panels of H x P into panels of P x H.
template <class T>
void transpose_projection(const Part& part, const PackedLayer<T>& from, T* to, Share panels) {
  constexpr Index V = width<T>;
  for_packets(part, from.output, from.hidden, to, panels,
              [&](Index unit, Index lanes, T* out, Index stride) {
                for (Index p = 0; p < from.output; p += V) {
                  const Index panel = p / panel_width<T>;
                  const Index width_there = packets_in_panel<T>(from.output, panel) * V;
                  transpose_rows(from.projection + panel * from.hidden * panel_width<T> +
                                     unit * width_there + p % panel_width<T>,
                                 width_there, lanes, smaller(V, from.output - p), out + p * stride,
                                 stride);
                }
              });
}

// From the packed weights, not the plain ones: a tape keeps its packed weights, so gradients
// belong to the values that were recorded, whatever the parameters have become since.
template <class T>
void transpose(const PackedLayer<T>& from, const TransposedLayer<T>& to, Part part) {
  const auto share = [&](Index columns) { return share_of(panel_count<T>(columns), part); };
  transpose_gates(part, from, 0, from.input_size, to.input, share(from.input_size));
  transpose_gates(part, from, from.input_size, from.output, to.recurrent, share(from.output));
  if (from.projected) transpose_projection(part, from, to.projection, share(from.hidden));
}

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

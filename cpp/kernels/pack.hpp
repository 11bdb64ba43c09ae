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

// Both orders are filled in runs of this many elements of a source row, so that what is written
// stays in L1 while its cache lines fill up.
constexpr Index pack_run = 64;

// A plain matrix into rows [k_begin, k_begin + count) of the packed gates.
template <class T>
void pack_gates(const T* plain, Index count, Index k_begin, const PackedLayer<T>& to,
                Share blocks) {
  constexpr Index V = width<T>;
  const Index depth = to.input_size + to.output;
  for (Index block = blocks.begin; block < blocks.end; ++block) {
    T* panel = to.gates + (block * depth + k_begin) * panel_width<T>;
    for (Index k = 0; k < count; k += pack_run) {
      const Index k_end = smaller(count, k + pack_run);
      for (Index lane = 0; lane < panel_width<T>; ++lane) {
        const Index gate = lane / V, unit = block * V + lane % V;
        const T* row = plain + (gate * to.hidden + unit) * count;
        for (Index j = k; j < k_end; ++j)
          panel[j * panel_width<T> + lane] = unit < to.hidden ? row[j] : T(0);
      }
    }
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

// The transpose of a plain columns x rows matrix into panels of rows x columns.
template <class T>
void pack_panels(const T* plain, Index rows, Index columns, T* to, Share panels) {
  for (Index panel = panels.begin; panel < panels.end; ++panel) {
    const Index first = panel * panel_width<T>;
    const Index lanes = packets_in_panel<T>(columns, panel) * width<T>;
    T* out = to + panel * rows * panel_width<T>;
    for (Index k = 0; k < rows; k += pack_run) {
      const Index k_end = smaller(rows, k + pack_run);
      for (Index lane = 0; lane < lanes; ++lane) {
        const T* row = plain + (first + lane) * rows;
        for (Index j = k; j < k_end; ++j)
          out[j * lanes + lane] = first + lane < columns ? row[j] : T(0);
      }
    }
  }
}

template <class T>
void pack(const PlainLayer<T>& plain, const PackedLayer<T>& to, Part part) {
  const Share blocks = share_of(unit_blocks<T>(to.hidden), part);
  pack_gates(plain.weight_ih, to.input_size, 0, to, blocks);
  pack_gates(plain.weight_hh, to.output, to.input_size, to, blocks);
  pack_bias(plain, to, blocks);
  if (to.projected)
    pack_panels(plain.weight_hr, to.hidden, to.output, to.projection,
                share_of(panel_count<T>(to.output), part));
}

// Rows [k_begin, k_begin + columns) of the packed gates, transposed: panels of 4H x columns.
template <class T>
void transpose_gates(const PackedLayer<T>& from, Index k_begin, Index columns, T* to,
                     Share panels) {
  constexpr Index V = width<T>;
  const Index depth = from.input_size + from.output;
  for (Index panel = panels.begin; panel < panels.end; ++panel) {
    const Index first = panel * panel_width<T>;
    const Index lanes = packets_in_panel<T>(columns, panel) * V;
    T* out = to + panel * gate_count * from.hidden * panel_width<T>;
    for (Index unit = 0; unit < from.hidden; ++unit)
      for (Index gate = 0; gate < gate_count; ++gate) {
        const T* source = from.gates + ((unit / V) * depth + k_begin + first) * panel_width<T> +
                          gate * V + unit % V;
        T* row = out + (gate * from.hidden + unit) * lanes;
        for (Index lane = 0; lane < lanes; ++lane)
          row[lane] = first + lane < columns ? source[lane * panel_width<T>] : T(0);
      }
  }
}

// Panels of H x P into panels of P x H.
template <class T>
void transpose_projection(const PackedLayer<T>& from, T* to, Share panels) {
  for (Index panel = panels.begin; panel < panels.end; ++panel) {
    const Index first = panel * panel_width<T>;
    const Index lanes = packets_in_panel<T>(from.hidden, panel) * width<T>;
    T* out = to + panel * from.output * panel_width<T>;
    for (Index p = 0; p < from.output; ++p) {
      const Index from_panel = p / panel_width<T>;
      const Index from_lanes = packets_in_panel<T>(from.output, from_panel) * width<T>;
      const T* source = from.projection + from_panel * from.hidden * panel_width<T> +
                        first * from_lanes + p % panel_width<T>;
      for (Index lane = 0; lane < lanes; ++lane)
        out[p * lanes + lane] = first + lane < from.hidden ? source[lane * from_lanes] : T(0);
    }
  }
}

// From the packed weights, not the plain ones: a tape keeps its packed weights, so gradients
// belong to the values that were recorded, whatever the parameters have become since.
template <class T>
void transpose(const PackedLayer<T>& from, const TransposedLayer<T>& to, Part part) {
  const auto share = [&](Index columns) { return share_of(panel_count<T>(columns), part); };
  transpose_gates(from, 0, from.input_size, to.input, share(from.input_size));
  transpose_gates(from, from.input_size, from.output, to.recurrent, share(from.output));
  if (from.projected) transpose_projection(from, to.projection, share(from.hidden));
}

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

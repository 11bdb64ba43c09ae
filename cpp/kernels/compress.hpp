// Packed weights into fewer bytes.
//
// Owns: how weights are rounded to bfloat16 and to bytes, and put two or four to a float.
// Must not know: who multiplies with them.
#pragma once

#include "quantize.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

// The bits of the nearest bfloat16, of the even one of two; NaN stays NaN.
inline std::uint32_t bfloat16_bits(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (value != value) return bits >> 16 | 0x40;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

// `rows` rows of a panel, of `row_size` columns, into rows that hold two of them each.
inline void compress_bfloat16(const float* from, Index rows, Index row_size, float* to) {
  for (Index k = 0; k < rows; k += 2)
    for (Index column = 0; column < row_size; ++column) {
      const float* pair = from + k * row_size + column;
      const std::uint32_t upper = k + 1 < rows ? bfloat16_bits(pair[row_size]) : 0;
      const std::uint32_t bits = bfloat16_bits(pair[0]) | upper << 16;
      std::memcpy(to + k / 2 * row_size + column, &bits, sizeof bits);
    }
}

// The same into rows that hold four each, and the scales of the columns.
inline void compress_int8(const float* from, Index rows, Index row_size, float* to, float* scales) {
  float most[panel_width<float>] = {}, difference[panel_width<float>] = {};
  float inverse[panel_width<float>];
  for (Index k = 0; k < rows; ++k)
    for (Index column = 0; column < row_size; ++column) {
      const float value = from[k * row_size + column], size = value < 0 ? -value : value;
      most[column] = size > most[column] ? size : most[column];
      difference[column] += value - value;  // NaN where one is not finite
    }
  for (Index column = 0; column < row_size; ++column) {
    const Scale scale = scale_of(most[column] + difference[column]);
    scales[column] = scale.scale;
    inverse[column] = scale.scale == scale.scale ? scale.inverse : 0;
  }
  for (Index k = 0; k < rows; k += Int8::features)
    for (Index column = 0; column < row_size; ++column) {
      std::uint32_t bits = 0;
      for (Index j = 0; j < Int8::features; ++j) {
        const bool counts = k + j < rows && inverse[column] > 0;
        const float value = counts ? from[(k + j) * row_size + column] : 0;
        const auto byte = static_cast<std::int32_t>(rounded(value * inverse[column]));
        bits |= static_cast<std::uint32_t>(byte + 128) << (8 * j);
      }
      std::memcpy(to + k / Int8::features * row_size + column, &bits, sizeof bits);
    }
}

// Calls panel(from, rows, row size, to, scales, first column) for this thread's panels of a layer.
template <class F>
void compress_layer(const PackedLayer<float>& from, const PackedLayer<float>& to, const Part& part,
                    const F& compress_panel) {
  constexpr Index panel = panel_width<float>;
  const Share blocks = share_of(unit_blocks<float>(to.hidden), part);
  for (Index block = blocks.begin; block < blocks.end && !stopped(part); ++block) {
    const float* full = from.gates + block * (from.input_rows + from.output_rows) * panel;
    float* small = to.gates + block * (to.input_rows + to.output_rows) * panel;
    const Index column = block * panel;
    compress_panel(full, to.input_size, panel, small, to.input_scales, column);
    compress_panel(full + from.input_rows * panel, to.output, panel, small + to.input_rows * panel,
                   to.recurrent_scales, column);
    std::memcpy(to.bias + column, from.bias + column, panel * sizeof(float));
  }
  if (!to.projected) return;
  const Share panels = share_of(panel_count<float>(to.output), part);
  for (Index i = panels.begin; i < panels.end && !stopped(part); ++i)
    compress_panel(from.projection + i * from.hidden_rows * panel, to.hidden,
                   packets_in_panel<float>(to.output, i) * width<float>,
                   to.projection + i * to.hidden_rows * panel, to.projection_scales, i * panel);
}

inline void compress_to_bfloat16(const PackedLayer<float>& from, const PackedLayer<float>& to,
                                 Part part) {
  compress_layer(from, to, part,
                 [](const float* panel, Index rows, Index row_size, float* small, float*, Index) {
                   compress_bfloat16(panel, rows, row_size, small);
                 });
}

inline void compress_to_int8(const PackedLayer<float>& from, const PackedLayer<float>& to,
                             Part part) {
  compress_layer(
      from, to, part,
      [](const float* panel, Index rows, Index row_size, float* small, float* scales,
         Index column) { compress_int8(panel, rows, row_size, small, scales + column); });
}

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

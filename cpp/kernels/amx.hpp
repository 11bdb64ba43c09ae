// The tiles of AMX: eight registers of 16 rows by 64 bytes.
//
// Owns: their instructions. Must not know: what is multiplied.
//
// By asm: the intrinsics take registers as literals only, and GCC 12's tell the optimizer nothing
// of the memory they touch. Registers are template parameters here.
#pragma once

#include "simd.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

// What LDTILECFG reads (Intel SDM, volume 1, 18.2).
struct TileShapes {
  std::uint8_t palette, start_row, reserved[14];
  std::uint16_t row_bytes[16];
  std::uint8_t rows[16];
};
static_assert(sizeof(TileShapes) == 64);
alignas(64) constexpr TileShapes whole_tiles{
    1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};

// All of the full size, and zero.
inline void configure_tiles() {
  const TileShapes* shapes = &whole_tiles;
  asm volatile("ldtilecfg %0" : : "m"(*shapes));
}

// While one lives, this thread has tiles; unless somebody else gives them up meanwhile.
class Tiles {
 public:
  Tiles() { configure_tiles(); }
  ~Tiles() { asm volatile("tilerelease"); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

// Rows `stride` bytes apart.
template <int tile>
EIGEN_STRONG_INLINE void load_tile(const void* from, Index stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(tile) : "memory");
}
template <int tile>
EIGEN_STRONG_INLINE void store_tile(void* to, Index stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(tile) : "memory");
}

// sums[m][n] += left[m][2 k] right[k][2 n] + left[m][2 k + 1] right[k][2 n + 1] over k, of
// bfloat16: the even and the odd products are summed up apart, from zero, and their sum is added.
// Rounded each time; subnormal numbers count as zeros.
template <int sums, int left, int right>
EIGEN_STRONG_INLINE void multiply_add_bfloat16() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sums), "i"(left), "i"(right));
}

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

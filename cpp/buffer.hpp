// Memory of the core.
//
// Owns: Buffer, an uninitialised array on a cache line boundary, and the blocks kept from one call
// for the next; running out is std::bad_alloc. Must not know: what is stored.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>

#include "config.hpp"

namespace lstm_native {

constexpr Index cache_line = 64;

// Blocks of at least the first size are mapped, and kept for the next call when they are given
// back: none of more than the second, and together no more than the third, the longest kept making
// room. Fresh memory costs a page fault for each 4 KB, and a training step would pay that for its
// tape every time.
#ifndef LSTM_NATIVE_LEAST_KEPT_BLOCK  // beyond reach in the asan preset: only the heap is guarded
#define LSTM_NATIVE_LEAST_KEPT_BLOCK (32 << 10)
#endif
constexpr Index least_kept_block = LSTM_NATIVE_LEAST_KEPT_BLOCK;
constexpr Index largest_kept_block = 64 << 20;
constexpr Index most_kept = 128 << 20;

struct Block {
  void* data;
  Index bytes;
};

// At least this many bytes.
Block take_block(Index bytes);
void give_block(Block block) noexcept;

template <class T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept
      : block_(std::exchange(other.block_, {})), count_(std::exchange(other.count_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(block_, other.block_);
    std::swap(count_, other.count_);
    return *this;
  }
  explicit Buffer(Index count) : count_(count) {
    if (count > 0) block_ = take_block(checked_product(count, sizeof(T)));
  }
  ~Buffer() {
    if (block_.data) give_block(block_);
  }

  T* data() { return static_cast<T*>(block_.data); }
  const T* data() const { return static_cast<const T*>(block_.data); }
  Index size() const { return count_; }
  Index nbytes() const { return count_ * static_cast<Index>(sizeof(T)); }

 private:
  Block block_{};
  Index count_ = 0;
};

template <class T>
Buffer<T> zero_buffer(Index count) {
  Buffer<T> zeros(count);
  std::fill_n(zeros.data(), count, T(0));
  return zeros;
}

}  // namespace lstm_native

// Memory of the core.
//
// Owns: Buffer, an uninitialised array on a cache line boundary, and the blocks kept from one call
// for the next; running out is std::bad_alloc. Must not know: what is stored.
#pragma once

#include <memory>
#include <utility>

#include "config.hpp"

namespace lstm_native {

constexpr Index cache_line = 64;

// Blocks of at least this size are kept when they are given back, up to so many bytes in all, the
// longest kept making room. The C library returns such blocks to the system, and a training step
// would then meet a page fault for each 4 KB of its tape, every time.
constexpr Index least_kept_block = 32 << 10;
constexpr Index most_kept = 256 << 20;

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

}  // namespace lstm_native

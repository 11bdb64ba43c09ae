// Memory of the core.
//
// Owns: Buffer, an uninitialised array on a cache line boundary; running out is std::bad_alloc.
// Must not know: what is stored.
#pragma once

#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

#include "config.hpp"

namespace lstm_native {

constexpr Index cache_line = 64;

template <class T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept
      : data_(std::move(other.data_)), count_(std::exchange(other.count_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    data_ = std::move(other.data_);
    count_ = std::exchange(other.count_, 0);
    return *this;
  }
  explicit Buffer(Index count) : count_(count) {
    if (count == 0) return;
    const Index bytes =
        checked_sum(checked_product(count, sizeof(T)), cache_line - 1) / cache_line * cache_line;
    data_.reset(static_cast<T*>(std::aligned_alloc(cache_line, static_cast<std::size_t>(bytes))));
    if (!data_) throw std::bad_alloc();
  }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  Index size() const { return count_; }
  Index nbytes() const { return count_ * static_cast<Index>(sizeof(T)); }

 private:
  struct Free {
    void operator()(T* data) const { std::free(data); }
  };
  std::unique_ptr<T, Free> data_;
  Index count_ = 0;
};

}  // namespace lstm_native

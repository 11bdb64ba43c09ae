// Memory of the core.
//
// Owns: Buffer, an uninitialised array on a cache line boundary; running out is std::bad_alloc.
// Must not know: what is stored.
#pragma once

#include <sys/mman.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <utility>

#include "config.hpp"

namespace lstm_native {

constexpr Index cache_line = 64;
constexpr Index huge_page = 2 << 20;
// From here on the C library maps fresh memory at every call, a page fault for each 4 KB of it.
// Smaller blocks it hands out again, already mapped.
constexpr Index worth_huge_pages = 32 << 20;

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
    const Index wanted = checked_product(count, sizeof(T));
    const Index boundary = wanted < worth_huge_pages ? cache_line : huge_page;
    const Index bytes = checked_sum(wanted, boundary - 1) / boundary * boundary;
    data_.reset(static_cast<T*>(std::aligned_alloc(boundary, static_cast<std::size_t>(bytes))));
    if (!data_) throw std::bad_alloc();
    if (boundary == huge_page) madvise(data_.get(), static_cast<std::size_t>(bytes), MADV_HUGEPAGE);
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

#include "buffer.hpp"

#include <sys/mman.h>

#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

namespace lstm_native {
namespace {

constexpr Index page = 4 << 10;
constexpr Index huge_page = 2 << 20;
// From here on the system is asked for huge pages.
constexpr Index worth_huge_pages = 32 << 20;

Block allocate(Index wanted) {
  const Index boundary = wanted < least_kept_block   ? cache_line
                         : wanted < worth_huge_pages ? page
                                                     : huge_page;
  const Index bytes = checked_sum(wanted, boundary - 1) / boundary * boundary;
  void* data =
      std::aligned_alloc(static_cast<std::size_t>(boundary), static_cast<std::size_t>(bytes));
  if (!data) throw std::bad_alloc();
  if (boundary == huge_page) madvise(data, static_cast<std::size_t>(bytes), MADV_HUGEPAGE);
  return {data, bytes};
}

// Blocks given back, oldest first. The lock is only ever tried: who finds it taken, be it by a
// thread that did not come along into a forked child, does without the store.
class Store {
 public:
  Store() { blocks_.reserve(most_blocks); }

  // A block that is not much larger than wanted, or null.
  Block take(Index wanted) {
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (!lock) return {};
    auto best = blocks_.end();
    for (auto block = blocks_.begin(); block != blocks_.end(); ++block)
      if (block->bytes >= wanted && block->bytes - wanted <= wanted / 4 &&
          (best == blocks_.end() || block->bytes <= best->bytes))
        best = block;
    if (best == blocks_.end()) return {};
    const Block found = *best;
    blocks_.erase(best);
    kept_ -= found.bytes;
    return found;
  }

  void give(Block block) {
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (!lock || block.bytes > most_kept) return std::free(block.data);
    std::size_t leaving = 0;
    for (; kept_ + block.bytes > most_kept || blocks_.size() - leaving == most_blocks; ++leaving) {
      kept_ -= blocks_[leaving].bytes;
      std::free(blocks_[leaving].data);
    }
    blocks_.erase(blocks_.begin(), blocks_.begin() + static_cast<std::ptrdiff_t>(leaving));
    blocks_.push_back(block);
    kept_ += block.bytes;
  }

 private:
  static constexpr std::size_t most_blocks = 64;
  std::mutex mutex_;
  std::vector<Block> blocks_;
  Index kept_ = 0;
};

// Never destroyed: arrays may outlive it when the interpreter ends.
Store& store() {
  static Store& only = *new Store;
  return only;
}

}  // namespace

Block take_block(Index bytes) {
  if (bytes >= least_kept_block) {
    const Block kept = store().take(bytes);
    if (kept.data) return kept;
  }
  return allocate(bytes);
}

void give_block(Block block) noexcept {
  if (block.bytes >= least_kept_block)
    store().give(block);
  else
    std::free(block.data);
}

}  // namespace lstm_native

#include "buffer.hpp"

#include <mutex>
#include <new>
#include <vector>

#include "system.hpp"

namespace lstm_native {
namespace {

constexpr Index page = 4 << 10;
constexpr Index huge_page = 2 << 20;
// From here on the system is asked for huge pages.
constexpr Index worth_huge_pages = 32 << 20;

std::size_t size(Index bytes) { return static_cast<std::size_t>(bytes); }

Index rounded_up(Index bytes, Index to) { return checked_sum(bytes, to - 1) / to * to; }

// Straight from the system, so that what is no longer kept goes straight back: among the C
// library's blocks it would leave holes.
Block map(Index wanted) {
  const Index boundary = wanted < worth_huge_pages ? page : huge_page;
  const Index bytes = rounded_up(wanted, boundary);
  void* data = map_pages(size(bytes), size(boundary));
  if (!data) throw std::bad_alloc();
  return {data, bytes};
}

void unmap(Block block) { unmap_pages(block.data, size(block.bytes)); }

// Of exactly this many bytes: how it is given back is told by what was wanted, and whoever runs
// past the end is seen by a sanitizer.
Block allocate(Index bytes) {
  void* data = allocate_aligned(size(bytes), size(cache_line));
  if (!data) throw std::bad_alloc();
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

  // Blocks go back to the system after the lock is let go: that takes long, and who tries the lock
  // meanwhile would do without the store.
  void give(Block block) {
    if (block.bytes > largest_kept_block) return unmap(block);
    Block leaving[most_blocks];
    const std::size_t count = keep(block, leaving);
    for (std::size_t i = 0; i < count; ++i) unmap(leaving[i]);
  }

 private:
  static constexpr std::size_t most_blocks = 64;

  // How many blocks have to leave instead, this one if the lock is taken.
  std::size_t keep(Block block, Block (&leaving)[most_blocks]) {
    const std::unique_lock<std::mutex> lock(mutex_, std::try_to_lock);
    if (!lock) {
      leaving[0] = block;
      return 1;
    }
    std::size_t count = 0;
    for (; kept_ + block.bytes > most_kept || blocks_.size() - count == most_blocks; ++count) {
      leaving[count] = blocks_[count];
      kept_ -= blocks_[count].bytes;
    }
    blocks_.erase(blocks_.begin(), blocks_.begin() + static_cast<std::ptrdiff_t>(count));
    blocks_.push_back(block);
    kept_ += block.bytes;
    return count;
  }

  std::mutex mutex_;
  std::vector<Block> blocks_;
  Index kept_ = 0;
};

// Never destroyed: arrays may outlive it when the interpreter ends. Made when the core is loaded: a
// thread that was at it while another forked would leave the child to wait for ever.
Store& store = *new Store;

}  // namespace

Block take_block(Index bytes) {
  if (bytes < least_kept_block) return allocate(bytes);
  const Block kept = store.take(bytes);
  return kept.data ? kept : map(bytes);
}

void give_block(Block block) noexcept {
  if (block.bytes < least_kept_block)
    free_aligned(block.data);
  else
    store.give(block);
}

}  // namespace lstm_native

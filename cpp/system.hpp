// What the core asks of an operating system: system_posix.cpp or system_windows.cpp, as the build
// says.
//
// Owns: the seam between the two. Must not know: what memory holds, or what is measured.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lstm_native {

// Pages straight from the system, zero; null where there is no memory. `boundary`: the size of
// those that are wanted, 4 KB or a larger power of two, which is a wish.
void* map_pages(std::size_t bytes, std::size_t boundary);
void unmap_pages(void* data, std::size_t bytes);

// Exactly so many bytes of the heap, at a multiple of `boundary`; null where there is no memory.
void* allocate_aligned(std::size_t bytes, std::size_t boundary);
void free_aligned(void* data);

// Nanoseconds of wall time; the same to some milliseconds, where that is cheaper.
std::int64_t wall_time();
std::int64_t coarse_wall_time();
// Nanoseconds for which this thread had a core. Where the system cannot tell to a millisecond:
// wall_time(), as if it had always had one.
std::int64_t time_on_core();

// How many processors this process may run on by its affinity; 0 where the system does not tell.
int affinity();

// Has the functions called before a fork, and after it in the parent and in the child; each may be
// null. Where nothing forks nothing is called. The value is for initialising a global.
int at_fork(void (*before)(), void (*in_parent)(), void (*in_child)());

// While this lives, threads that this thread starts take no signals.
class WithoutSignals {
 public:
  WithoutSignals();
  ~WithoutSignals();
  WithoutSignals(const WithoutSignals&) = delete;
  WithoutSignals& operator=(const WithoutSignals&) = delete;

 private:
  [[maybe_unused]] alignas(std::max_align_t) unsigned char before_[128];
};

// Whether CPU and operating system run what add_kernels("avx2") and its like of CMakeLists.txt
// compile. False on other CPUs than x86-64.
bool runs_avx2();
bool runs_avx512();
bool runs_avx512_vnni();
bool runs_avx512_bf16();  // and VNNI
bool runs_amx();          // and all of these

// Whether the operating system lets this process have tiles, which is asked for once.
bool permits_tiles();

}  // namespace lstm_native

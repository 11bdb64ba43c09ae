// Linux, macOS and their like.
#include "system.hpp"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>
#ifdef LSTM_NATIVE_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <new>

#ifdef LSTM_NATIVE_AMX
// Of tests/native/tiles.cpp, where that is preloaded; else null.
extern "C" __attribute__((weak, visibility("default"))) bool lstm_native_emulates_tiles();
#endif

namespace lstm_native {

namespace {

constexpr std::size_t page = 4 << 10;

std::int64_t read_clock(clockid_t id) {
  timespec time;
  clock_gettime(id, &time);
  return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
}

}  // namespace

void* map_pages(std::size_t bytes, std::size_t boundary) {
  const std::size_t spare = boundary - page;
  void* data =
      mmap(nullptr, bytes + spare, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return nullptr;
  const std::size_t before = -reinterpret_cast<std::uintptr_t>(data) & (boundary - 1);
  if (spare == 0) return data;
  char* begin = static_cast<char*>(data) + before;
  if (before > 0) munmap(data, before);
  if (before < spare) munmap(begin + bytes, spare - before);
#ifdef MADV_HUGEPAGE
  madvise(begin, bytes, MADV_HUGEPAGE);
#endif
  return begin;
}

void unmap_pages(void* data, std::size_t bytes) { munmap(data, bytes); }

void* allocate_aligned(std::size_t bytes, std::size_t boundary) {
  void* data;
  return posix_memalign(&data, boundary, bytes) == 0 ? data : nullptr;
}

void free_aligned(void* data) { std::free(data); }

std::int64_t wall_time() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

// For a quarter of the price.
std::int64_t coarse_wall_time() {
#ifdef CLOCK_MONOTONIC_COARSE
  return read_clock(CLOCK_MONOTONIC_COARSE);
#else
  return wall_time();
#endif
}

std::int64_t time_on_core() { return read_clock(CLOCK_THREAD_CPUTIME_ID); }

int affinity() {
#ifdef __linux__
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
  return 0;
}

int at_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) {
  return pthread_atfork(before, in_parent, in_child);
}

WithoutSignals::WithoutSignals() {
  static_assert(sizeof(sigset_t) <= sizeof before_);
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, new (before_) sigset_t);
}

WithoutSignals::~WithoutSignals() {
  pthread_sigmask(SIG_SETMASK, std::launder(reinterpret_cast<sigset_t*>(before_)), nullptr);
}

// CPU features come from the compiler's runtime, which also asks the operating system (XCR0).
bool runs_avx2() {
#ifdef LSTM_NATIVE_X86
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

bool runs_avx512() {
#ifdef LSTM_NATIVE_X86
  return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512cd");
#else
  return false;
#endif
}

bool runs_avx512_vnni() {
#ifdef LSTM_NATIVE_X86
  return runs_avx512() && __builtin_cpu_supports("avx512vnni");
#else
  return false;
#endif
}

bool runs_avx512_bf16() {
#ifdef LSTM_NATIVE_X86
  return runs_avx512_vnni() && __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

#ifdef LSTM_NATIVE_AMX
namespace {

// Not every compiler's runtime can be asked for these.
bool has_tiles() {
  constexpr unsigned bf16 = 1u << 22, tile = 1u << 24, saved_state = 3u << 17;
  unsigned eax, ebx, ecx, edx, state, upper;
  if (!runs_avx512_bf16() || !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return false;
  asm volatile("xgetbv" : "=a"(state), "=d"(upper) : "c"(0));
  return (edx & bf16) && (edx & tile) && (state & saved_state) == saved_state;
}

}  // namespace

bool runs_amx() { return has_tiles() || (lstm_native_emulates_tiles && runs_avx512_bf16()); }

// Linux keeps no room for tiles where it saves a thread's registers before a process has asked. It
// says no where a thread's stack for signals would be too small for them.
bool permits_tiles() {
  constexpr long request_permission = 0x1023, tile_data = 18;  // ARCH_REQ_XCOMP_PERM
  enum { unknown, refused, permitted };
  static std::atomic<int> answer{unknown};  // two threads may ask at once: it stays the same
  if (answer.load(std::memory_order_relaxed) == unknown) {
    const bool yes = has_tiles() ? syscall(SYS_arch_prctl, request_permission, tile_data) == 0
                                 : lstm_native_emulates_tiles && lstm_native_emulates_tiles();
    answer.store(yes ? permitted : refused, std::memory_order_relaxed);
  }
  return answer.load(std::memory_order_relaxed) == permitted;
}
#else
bool runs_amx() { return false; }
bool permits_tiles() { return false; }
#endif

}  // namespace lstm_native

// Where the members of a team come from: threads_openmp.cpp or threads_std.cpp, as the build says.
//
// Owns: the seam between the two, and how long to spin. Must not know: what members do, or when
// there should be none.
#pragma once

#ifdef _MSC_VER
#include <intrin.h>
#endif

namespace lstm_native {

// A team is never larger.
constexpr int most_threads = 256;

// Whoever waits for another thread spins so often, and then gives its core away: 15 to 50 us,
// longer than most steps of a split.
constexpr int spins_before_yield = 1000;

inline void pause_core() {
#ifdef _MSC_VER
  _mm_pause();
#elif defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Calls member(context, rank, size) for every rank, 0 on the calling thread, and returns when all
// are done. `size` is at most the size asked for, and as many as the system grants. Never in a
// forked child, where the threads of the parent are missing.
using Member = void (*)(const void* context, int rank, int size);
void run_members(int size, Member member, const void* context);

// Members of a team nobody has given a size.
int default_members();

// Processors this process may run on.
int processors();

// "OpenMP 201511" or "std::thread".
const char* threading();

}  // namespace lstm_native

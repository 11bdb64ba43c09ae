// The only place that knows OpenMP.
#include "parallel.hpp"

#include <omp.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>

namespace lstm_native {
namespace {

constexpr int spins_before_yield = 1000;  // 15 to 50 us: longer than most steps of a split

std::atomic<int> requested_threads{0};  // 0: nobody asked
int environment_threads = 0;
std::atomic<bool> forked{false};

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// The cgroup's CPU quota in whole cores, rounded up; INT_MAX without one.
int quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string most;
  double period;
  if (!(file >> most >> period) || most == "max" || period <= 0) return INT_MAX;
  return std::max(1, static_cast<int>(std::ceil(std::strtod(most.c_str(), nullptr) / period)));
}

int available() {
  static const int limit = quota();
  return std::min(omp_get_num_procs(), limit);
}

[[maybe_unused]] const int at_fork = pthread_atfork(nullptr, nullptr, [] { forked = true; });

}  // namespace

void Barrier::wait(int members) {
  const unsigned generation = generation_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.store(generation + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; generation_.load(std::memory_order_acquire) == generation; ++spins) {
    if (spins < spins_before_yield)
      pause();
    else
      sched_yield();
  }
}

void run_team(int size, void (*body)(const void*, const Team&), const void* context) {
  Barrier barriers[3];
  if (size <= 1 || forked.load(std::memory_order_relaxed)) {
    body(context, Team(0, 1, barriers));
    return;
  }
#pragma omp parallel num_threads(size)
  body(context, Team(omp_get_thread_num(), omp_get_num_threads(), barriers));
}

int num_threads() {
  const int requested = requested_threads.load(std::memory_order_relaxed);
  if (requested > 0) return requested;
  const int count = environment_threads > 0 ? environment_threads : omp_get_max_threads();
  return std::max(1, std::min(count, available()));
}

void read_thread_environment() {
  const char* text = std::getenv("LSTM_NATIVE_NUM_THREADS");
  if (!text || !*text) return;
  char* end;
  const long value = std::strtol(text, &end, 10);
  if (*end != 0 || value < 1 || value > INT_MAX)
    throw std::invalid_argument(
        std::string("LSTM_NATIVE_NUM_THREADS should be a positive number, got: ") + text);
  environment_threads = static_cast<int>(value);
}

void set_num_threads(int count) {
  requested_threads.store(count == -1 ? available() : count, std::memory_order_relaxed);
}

const char* openmp_version() {
#define LSTM_NATIVE_TEXT_OF(x) #x
#define LSTM_NATIVE_TEXT(x) LSTM_NATIVE_TEXT_OF(x)
  return LSTM_NATIVE_TEXT(_OPENMP);
}

}  // namespace lstm_native

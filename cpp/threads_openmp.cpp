// Threads of the OpenMP runtime: those that the process's other users of OpenMP have too, and
// OMP_NUM_THREADS governs. The only place that knows OpenMP.
#include <omp.h>

#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "threads.hpp"

namespace lstm_native {
namespace {

// GCC's runtime ends the process when the system refuses it a thread. So as many as it will
// probably start are started here first, all of them alive at once. That cannot be known for
// certain: others may use the runtime on this thread, and the system may refuse a moment later.
int startable(int count) {
  std::mutex mutex;
  std::condition_variable over;
  bool done = false;
  std::vector<std::thread> threads;
  try {
    threads.reserve(static_cast<std::size_t>(count));
    while (static_cast<int>(threads.size()) < count)
      threads.emplace_back([&] {
        std::unique_lock<std::mutex> lock(mutex);
        over.wait(lock, [&] { return done; });
      });
  } catch (const std::exception&) {  // std::system_error or std::bad_alloc: that was the last one
  }
  {
    const std::lock_guard<std::mutex> lock(mutex);
    done = true;
  }
  over.notify_all();
  for (std::thread& thread : threads) thread.join();
  return static_cast<int>(threads.size());
}

// The runtime keeps the threads of this thread's last team, and ends those that a smaller one
// leaves over.
thread_local int last_size = 1;

}  // namespace

void run_members(int size, Member member, const void* context) {
  if (omp_in_parallel()) return member(context, 0, 1);  // inside a region of somebody else's
  if (size > last_size) size = last_size + startable(size - last_size);
#pragma omp parallel num_threads(size)
  {
    const int rank = omp_get_thread_num(), granted = omp_get_num_threads();
    if (rank == 0) last_size = granted;
    member(context, rank, granted);
  }
}

int default_members() { return omp_get_max_threads(); }

int processors() { return omp_get_num_procs(); }

#define LSTM_NATIVE_TEXT_OF(x) #x
#define LSTM_NATIVE_TEXT(x) LSTM_NATIVE_TEXT_OF(x)
const char* threading() { return "OpenMP " LSTM_NATIVE_TEXT(_OPENMP); }

}  // namespace lstm_native

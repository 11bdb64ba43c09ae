// Threads of our own, for systems whose compiler brings no OpenMP and for ThreadSanitizer, which
// sees through std::thread but not through GCC's OpenMP runtime.
//
// A worker serves one team at a time, whosever it is. Between teams it spins for a moment, since
// the next call of a loop comes soon, and then sleeps. Workers are never ended: they sleep until
// the process does.
#include <array>
#include <atomic>
#include <cctype>
#include <climits>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "system.hpp"
#include "threads.hpp"

namespace lstm_native {
namespace {

struct Job {
  Member member;
  const void* context;
  int size;
  std::atomic<int> working;
};

class Worker {
 public:
  // Throws std::system_error when the system refuses a thread.
  Worker() { std::thread(&Worker::live, this).detach(); }

  void start(Job& job, int rank) {
    rank_ = rank;
    job_.store(&job);
    if (asleep_.load()) {
      const std::lock_guard<std::mutex> lock(mutex_);
      wake_.notify_one();
    }
  }

 private:
  [[noreturn]] void live() {
    for (;;) {
      Job& job = await();
      job.member(job.context, rank_, job.size);
      job_.store(nullptr, std::memory_order_relaxed);
      job.working.fetch_sub(1, std::memory_order_release);  // the last use of job
    }
  }

  Job& await() {
    for (int spins = 0; spins < spins_before_yield; ++spins) {
      if (Job* job = job_.load(std::memory_order_acquire)) return *job;
      pause_core();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    // Both sides write their own flag and then read the other's, in one order for all threads: one
    // of them sees the other.
    asleep_.store(true);
    wake_.wait(lock, [this] { return job_.load() != nullptr; });
    asleep_.store(false);
    return *job_.load();
  }

  std::atomic<Job*> job_{nullptr};
  int rank_ = 0;
  std::atomic<bool> asleep_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
};

class Workers {
 public:
  Workers() { idle_.reserve(most_threads); }

  // Fills `team` with up to `count` workers; how many there are.
  int take(int count, Worker** team) {
    const std::lock_guard<std::mutex> lock(mutex_);
    int taken = 0;
    for (; taken < count && !idle_.empty(); idle_.pop_back()) team[taken++] = idle_.back();
    try {
      const WithoutSignals masked;  // those are for the threads of the application
      for (; taken < count && started_ < most_threads - 1; ++started_) team[taken++] = new Worker;
    } catch (const std::exception&) {  // std::system_error or std::bad_alloc: so many, then
    }
    return taken;
  }

  void give(int count, Worker** team) {
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.insert(idle_.end(), team, team + count);
  }

 private:
  std::mutex mutex_;
  std::vector<Worker*> idle_;
  int started_ = 0;
};

// Who starts workers says by OpenMP's own variable how many threads each may have, whatever runs
// there. The first number of "4" or "4,2"; else 0, as OpenMP runtimes ignore what is none.
int openmp_threads() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  if (!text) return 0;
  char* end;
  const long long value = std::strtoll(text, &end, 10);
  while (std::isspace(static_cast<unsigned char>(*end))) ++end;
  const bool number = end != text && (*end == 0 || *end == ',');
  return number && value >= 1 && value <= INT_MAX ? static_cast<int>(value) : 0;
}

const int openmp_threads_at_load = openmp_threads();

// Never destroyed: a daemon thread may be computing when the interpreter ends.
Workers& workers() {
  static Workers& only = *new Workers;
  return only;
}

}  // namespace

void run_members(int size, Member member, const void* context) {
  std::array<Worker*, most_threads> team;
  const int others = workers().take(size - 1, team.data());
  Job job{member, context, others + 1, {others}};
  for (int i = 0; i < others; ++i) team[i]->start(job, i + 1);
  member(context, 0, job.size);
  for (int spins = 0; job.working.load(std::memory_order_acquire) > 0; ++spins)
    spins < spins_before_yield ? pause_core() : std::this_thread::yield();
  workers().give(others, team.data());
}

int default_members() { return openmp_threads_at_load > 0 ? openmp_threads_at_load : processors(); }

int processors() {
  if (const int count = affinity(); count > 0) return count;
  const unsigned all = std::thread::hardware_concurrency();
  return all > 0 ? static_cast<int>(all) : 1;
}

const char* threading() { return "std::thread"; }

}  // namespace lstm_native

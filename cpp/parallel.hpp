// Threads.
//
// Owns: how many there are, the team that runs one call, and its barrier.
// Must not know: what the team computes. Everything OpenMP is behind this header.
#pragma once

#include <atomic>

namespace lstm_native {

// All members arrive, then all go on. Waiting spins for a bounded time and then gives the core
// away, so that a busy neighbour costs a time slice and not a deadlock.
class alignas(64) Barrier {
 public:
  void wait(int members);
  // Whether anybody ever waited longer than it spins.
  bool was_long() const { return was_long_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> was_long_{false};
  std::atomic<int> arrived_{0};
  std::atomic<unsigned> generation_{0};
};

// The members of one call. They split outputs, never sums.
class Team {
 public:
  Team(int rank, int size, Barrier* barriers) : rank_(rank), size_(size), barriers_(barriers) {}
  int rank() const { return rank_; }
  int size() const { return size_; }
  void wait() const {
    if (size_ > 1) barriers_->wait(size_);
  }
  // Half of the team: members below `half` are one team, the others a second, each with a
  // barrier of its own. One level deep.
  Team half(int half) const {
    return rank_ < half ? Team(rank_, half, barriers_ + 1)
                        : Team(rank_ - half, size_ - half, barriers_ + 2);
  }

 private:
  int rank_, size_;
  Barrier* barriers_;  // [3] the team's and those of its halves
};

// Runs body(context, team) on `size` threads, or on fewer when the system grants fewer. `body`
// must not throw. In a forked child it runs on one thread: OpenMP's own would never come back. So
// it does for a while after a team was held up because the system took a core away from a member:
// whoever else wants that core would hold up the next call too.
void run_team(int size, void (*body)(const void* context, const Team& team), const void* context);

// For tests and the benchmark: a team is called together whatever happened before.
void ignore_crowding(bool on);

template <class F>
void run_team(int size, const F& f) {
  run_team(
      size, [](const void* context, const Team& team) { (*static_cast<const F*>(context))(team); },
      &f);
}

// Threads a call may use, asked at every call: set_num_threads(), else LSTM_NATIVE_NUM_THREADS as
// it was at import, else what OpenMP says; the latter two capped by affinity and the cgroup's
// quota.
int num_threads();

// Reads LSTM_NATIVE_NUM_THREADS, once: later a thread could be changing the environment. A value
// that is no positive number is std::invalid_argument.
void read_thread_environment();

// count >= 1, or -1 for all there are.
void set_num_threads(int count);

const char* openmp_version();

}  // namespace lstm_native

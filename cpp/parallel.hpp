// The team of a call.
//
// Owns: how many threads a call may use, its barrier, the state of their floating-point units, and
// stopping all of them. Must not know: what the team computes, or where threads come from
// (threads.hpp).
#pragma once

#include <atomic>
#include <cstdint>

#include "float_mode.hpp"

namespace lstm_native {

// A call that its thread may be told to give up, while this object lives. Calls of other threads,
// and those before and after, are not concerned.
class Stoppable {
 public:
  // `told` is asked on this thread, about twenty times a second while a team of its works. It may
  // run anything, calls of its own among them, and finds the thread as the caller had it.
  Stoppable(bool (*told)(void* context), void* context);
  ~Stoppable();
  Stoppable(const Stoppable&) = delete;
  Stoppable& operator=(const Stoppable&) = delete;

  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }
  // Also asks whether to stop, if it is time. On the thread of the call only.
  bool ask();

  // Of this thread, or null.
  static Stoppable* current();

 private:
  bool (*const told_)(void*);
  void* const context_;
  Stoppable* const outer_;
  const FloatRegister callers_mode_ = read_float_mode();
  std::int64_t next_;  // ns, when to ask again
  std::atomic<bool> stopped_{false};
};

// All members arrive, then all go on. Waiting spins for a bounded time and then gives the core
// away, so that a busy neighbour costs a time slice and not a deadlock. Nobody waits in a call that
// was stopped.
class alignas(64) Barrier {
 public:
  void wait(int members, const Stoppable* call);
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
  Team(int rank, int size, Barrier* barriers, Stoppable* call)
      : rank_(rank), size_(size), calling_(rank == 0), barriers_(barriers), call_(call) {}
  int rank() const { return rank_; }
  int size() const { return size_; }
  void wait() const {
    if (size_ > 1) barriers_->wait(size_, call_);
  }
  // Half of the team: members below `half` are one team, the others a second, each with a
  // barrier of its own. One level deep.
  Team half(int half) const {
    Team team = *this;
    team.rank_ = rank_ < half ? rank_ : rank_ - half;
    team.size_ = rank_ < half ? half : size_ - half;
    team.barriers_ = barriers_ + (rank_ < half ? 1 : 2);
    return team;
  }
  // Whether to leave, the results being of no use. Once true for one member it soon is for all, and
  // since waiting no longer keeps them together, what others may still be using has to stay.
  bool stopped() const { return call_ && (calling_ ? call_->ask() : call_->stopped()); }

 private:
  int rank_, size_;
  bool calling_;       // on the thread of the call
  Barrier* barriers_;  // [3] the team's and those of its halves
  Stoppable* call_;    // null: never stopped
};

// Runs body(context, team) on `size` threads, or on fewer when the system grants fewer. `body`
// must not throw. In a forked child it runs on one thread: the others did not come along. So
// it does for a while after a team was held up because the system took a core away from a member:
// whoever else wants that core would hold up the next call too. Each member takes subnormal numbers
// for zeros meanwhile, which else cost up to a hundred times an ordinary one.
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

}  // namespace lstm_native

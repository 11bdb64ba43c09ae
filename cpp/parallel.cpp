#include "parallel.hpp"

#include <algorithm>
#include <climits>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>

#include "system.hpp"
#include "threads.hpp"

namespace lstm_native {
namespace {

// A thread that was off its core for longer than this, and for more than a quarter of a call, lost
// it to somebody who will want it again.
constexpr std::int64_t time_slice = 1'000'000;  // ns

std::atomic<int> requested_threads{0};  // 0: nobody asked
int environment_threads = 0;
std::atomic<bool> forked{false};

constexpr std::int64_t between_questions = 50'000'000;  // ns
thread_local Stoppable* stoppable = nullptr;

// The times in which a team would be held up by others on its cores. A passing one is over soon;
// whoever comes back again and again is kept away from longer each time.
class Crowding {
 public:
  bool now() const {
    return !ignored_.load(std::memory_order_relaxed) &&
           wall_time() < until_.load(std::memory_order_relaxed);
  }
  void ignore(bool on) { ignored_.store(on, std::memory_order_relaxed); }
  void begin() {
    const std::int64_t time = wall_time(), until = until_.load(std::memory_order_relaxed);
    const std::int64_t before = length_.load(std::memory_order_relaxed);
    const std::int64_t length =
        time < until + soon_after ? std::min(2 * before, longest) : shortest;
    length_.store(length, std::memory_order_relaxed);
    until_.store(time + length, std::memory_order_relaxed);
  }

 private:
  static constexpr std::int64_t shortest = 5'000'000, longest = 400'000'000;  // ns
  static constexpr std::int64_t soon_after = 50'000'000;
  std::atomic<std::int64_t> until_{0}, length_{shortest};
  std::atomic<bool> ignored_{false};
};
Crowding crowding;

// The cgroup's CPU quota in whole cores, rounded up; INT_MAX without one.
int quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string most;
  double period;
  if (!(file >> most >> period) || most == "max" || period <= 0) return INT_MAX;
  return std::max(1, static_cast<int>(std::ceil(std::strtod(most.c_str(), nullptr) / period)));
}

// Read when the core is loaded: a fork may find nothing half made.
const int quota_at_load = quota();

int available() { return std::min(processors(), quota_at_load); }

[[maybe_unused]] const int registered = at_fork(nullptr, nullptr, [] { forked = true; });

}  // namespace

Stoppable::Stoppable(bool (*told)(void*), void* context)
    : told_(told),
      context_(context),
      outer_(stoppable),
      next_(coarse_wall_time() + between_questions) {
  stoppable = this;
}

Stoppable::~Stoppable() { stoppable = outer_; }

Stoppable* Stoppable::current() { return stoppable; }

bool Stoppable::ask() {
  if (stopped() || coarse_wall_time() < next_) return stopped();
  {
    const FloatMode mode(callers_mode_);
    stoppable = nullptr;  // calls that `told_` makes are not this one
    if (told_(context_)) stopped_.store(true, std::memory_order_relaxed);
    stoppable = this;
  }
  next_ = coarse_wall_time() + between_questions;
  return stopped();
}

void Barrier::wait(int members, const Stoppable* call) {
  const auto stopped = [call] { return call && call->stopped(); };
  if (stopped()) return;
  const unsigned generation = generation_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == members) {
    arrived_.store(0, std::memory_order_relaxed);
    generation_.store(generation + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; generation_.load(std::memory_order_acquire) == generation; ++spins) {
    if (spins < spins_before_yield) {
      pause_core();
    } else {
      if (stopped()) return;
      was_long_.store(true, std::memory_order_relaxed);
      std::this_thread::yield();
    }
  }
}

void run_team(int size, void (*body)(const void*, const Team&), const void* context) {
  Barrier barriers[3];
  Stoppable* const call = Stoppable::current();
  if (size <= 1 || forked.load(std::memory_order_relaxed) || crowding.now()) {
    const FloatMode mode;
    body(context, Team(0, 1, barriers, call));
    return;
  }
  // From before the first member: one may be kept from coming at all.
  const std::int64_t start = wall_time();
  std::atomic<bool> lost_a_core{false};
  const auto member = [&](int rank, int members) {
    const FloatMode mode;
    const std::int64_t before = time_on_core();
    body(context, Team(rank, members, barriers, call));
    if (std::any_of(std::begin(barriers), std::end(barriers),
                    [](const Barrier& barrier) { return barrier.was_long(); })) {
      const std::int64_t time = wall_time() - start, lost = time - (time_on_core() - before);
      if (lost > std::max(time_slice, time / 4)) lost_a_core = true;
    }
  };
  run_members(
      size,
      [](const void* f, int rank, int members) {
        (*static_cast<const decltype(member)*>(f))(rank, members);
      },
      &member);
  if (lost_a_core) crowding.begin();
}

void ignore_crowding(bool on) { crowding.ignore(on); }

int num_threads() {
  const int requested = requested_threads.load(std::memory_order_relaxed);
  if (requested > 0) return requested;
  const int count = environment_threads > 0 ? environment_threads : default_members();
  return std::max(1, std::min({count, available(), most_threads}));
}

void read_thread_environment() {
  const char* text = std::getenv("LSTM_NATIVE_NUM_THREADS");
  if (!text || !*text) return;
  char* end;
  const long long value = std::strtoll(text, &end, 10);
  if (*end != 0 || value < 1 || value > INT_MAX)
    throw std::invalid_argument(
        std::string("LSTM_NATIVE_NUM_THREADS should be a positive number, got: ") + text);
  environment_threads = static_cast<int>(value);
}

void set_num_threads(int count) {
  requested_threads.store(count == -1 ? available() : count, std::memory_order_relaxed);
}

}  // namespace lstm_native

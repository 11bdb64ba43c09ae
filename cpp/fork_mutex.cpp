#include "fork_mutex.hpp"

#include "system.hpp"

namespace lstm_native {
namespace {

struct Registry {
  std::mutex mutex;
  std::list<ForkMutex*> all;
};
// Never destroyed: a generator may outlive it when the interpreter ends.
Registry& registry = *new Registry;

void lock_all() {
  registry.mutex.lock();
  for (ForkMutex* each : registry.all) each->lock();
}

void unlock_all() {
  for (ForkMutex* each : registry.all) each->unlock();
  registry.mutex.unlock();
}

[[maybe_unused]] const int registered = at_fork(lock_all, unlock_all, unlock_all);

}  // namespace

ForkMutex::ForkMutex() {
  const std::lock_guard<std::mutex> lock(registry.mutex);
  place_ = registry.all.insert(registry.all.end(), this);
}

ForkMutex::~ForkMutex() {
  const std::lock_guard<std::mutex> lock(registry.mutex);
  registry.all.erase(place_);
}

}  // namespace lstm_native

// A mutex that a fork waits for.
//
// Owns: the list of those that exist. Must not know: what they guard.
//
// A forked child has only the thread that forked. A mutex that another thread held would stay
// locked there, and what it guards would stay half done; so a fork takes them all first. Whoever
// holds one must not wait for another, nor for the GIL.
#pragma once

#include <list>
#include <mutex>

namespace lstm_native {

class ForkMutex {
 public:
  ForkMutex();
  ~ForkMutex();
  ForkMutex(const ForkMutex&) = delete;
  ForkMutex& operator=(const ForkMutex&) = delete;

  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
  std::list<ForkMutex*>::iterator place_;
};

}  // namespace lstm_native

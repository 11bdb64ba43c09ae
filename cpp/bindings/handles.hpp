// What Python holds of the core between calls.
//
// Owns: the handle on packed weights, and when a call lets go of the GIL.
// Must not know: arrays.
#pragma once

#include <pybind11/pybind11.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <variant>

#include "weights.hpp"

namespace lstm_native::bindings {

template <class T>
using SharedWeights = std::shared_ptr<const Weights<T>>;

struct PyWeights {
  std::variant<SharedWeights<float>, SharedWeights<double>> value;
};

inline double flops(const Config& config, Index frames) {
  return 2.0 * static_cast<double>(frames) * static_cast<double>(config.parameters());
}

// Work below some ten microseconds is done faster than the GIL changes hands.
constexpr double worth_releasing = 5e5;  // flops

// Lets go of the GIL. Until 3.14 Python ends a thread that comes back to an interpreter at its end
// by unwinding it, which no destructor survives; such a thread stays here until the process is
// gone, as it does from 3.14 on.
class Release {
 public:
  Release() : thread_(PyEval_SaveThread()) {}
  ~Release() {
    try {
      PyEval_RestoreThread(thread_);
    } catch (...) {
      for (;;) pause();
    }
  }
  Release(const Release&) = delete;
  Release& operator=(const Release&) = delete;

 private:
  PyThreadState* thread_;
};

class MaybeRelease {
 public:
  explicit MaybeRelease(double flops) {
    if (flops > worth_releasing) release_.emplace();
  }

 private:
  std::optional<Release> release_;
};

}  // namespace lstm_native::bindings

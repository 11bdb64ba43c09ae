// What Python holds of the core between calls.
//
// Owns: the handles on packed weights and on a generator, when a call lets go of the GIL, and when
// it is given up. Must not know: arrays.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <memory>
#include <thread>
#include <variant>

#include "generator.hpp"
#include "objects.hpp"
#include "parallel.hpp"
#include "weights.hpp"

namespace lstm_native::bindings {

template <class T>
using SharedWeights = std::shared_ptr<const Weights<T>>;

struct PyWeights {
  std::variant<SharedWeights<float>, SharedWeights<double>> value;
};

struct PyGenerator {
  std::unique_ptr<Generator> value;
};

inline double flops(const Config& config, Index frames) {
  return 2.0 * static_cast<double>(frames) * static_cast<double>(config.parameters());
}

// Work below some ten microseconds is done faster than the GIL changes hands.
constexpr double worth_releasing = 5e5;  // flops

// Until 3.14 Python ends a thread that comes back to an interpreter at its end by unwinding it,
// which no destructor survives; such a thread stays here until the process is gone, as it does from
// 3.14 on.
[[noreturn]] inline void stay() {
  for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

// Lets go of the GIL.
class Released {
 public:
  Released() : state_(PyEval_SaveThread()) {}
  ~Released() { take_back(); }
  Released(const Released&) = delete;
  Released& operator=(const Released&) = delete;

  // Runs the Python handlers of signals that came meanwhile, on the main thread; whether one of
  // them raised.
  static bool interrupted(void* self) {
    const auto released = static_cast<Released*>(self);
    released->take_back();
    const bool raised = PyErr_CheckSignals() != 0;
    released->state_ = PyEval_SaveThread();
    return raised;
  }

 private:
  void take_back() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {  // C throws nothing: this thread is being unwound
      stay();
    }
  }

  PyThreadState* state_;
};

// Runs f() with the GIL, wherever the thread stands. f must not throw: who needs this is a
// destructor. Python's own calls take the GIL, since pybind11's may throw for other reasons than
// the end of the thread.
template <class F>
void with_gil(const F& f) noexcept {
  PyGILState_STATE state;
  try {
    state = PyGILState_Ensure();
  } catch (...) {  // as in Released
    stay();
  }
  f();
  PyGILState_Release(state);
}

// For work that cannot be given up, since it changes what is not its own: runs f(), without the GIL
// where that pays.
template <class F>
void unlocked_to_the_end(double flops, const F& f) {
  if (flops <= worth_releasing) return f();
  const Released gil;
  f();
}

// Where Python runs the handlers of signals.
bool on_main_thread();

// The same for other work. When a signal handler raises meanwhile, as that of Ctrl-C does, it is
// given up and the handler's error goes on.
template <class F>
void unlocked(double flops, const F& f) {
  if (flops <= worth_releasing || !on_main_thread()) return unlocked_to_the_end(flops, f);
  bool stopped;
  {
    Released gil;
    const Stoppable call(Released::interrupted, &gil);
    f();
    stopped = call.stopped();
  }
  if (stopped) throw pybind11::error_already_set();
}

}  // namespace lstm_native::bindings

// What Python holds of the core between calls.
//
// Owns: the handle on packed weights, and when a call lets go of the GIL.
// Must not know: arrays.
#pragma once

#include <pybind11/pybind11.h>

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

class MaybeRelease {
 public:
  explicit MaybeRelease(double flops) {
    if (flops > worth_releasing) release_.emplace();
  }

 private:
  std::optional<pybind11::gil_scoped_release> release_;
};

}  // namespace lstm_native::bindings

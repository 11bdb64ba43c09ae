// A stream: one step of all layers, everything but x and y prepared.
//
// Owns: the entry of a step, which allocates nothing but its result, and the rule that one thread
// at a time is inside a stream, be it for a step or for the state. Arrays that are not plain get
// None back and go through the checks in Python. Must not know: what becomes of the state between
// steps, which lies in the caller's arrays.
#include <atomic>
#include <memory>
#include <mutex>
#include <variant>

#include "handles.hpp"
#include "plain.hpp"
#include "stack.hpp"

namespace lstm_native::bindings {
namespace {

template <class T>
Sequences<T> one_step(const Config& config, Index batch, T* h, T* c) {
  Schedule schedule = Schedule::dense(1, batch);
  Offsets x_offsets = Offsets::packed(schedule, config.input_size);
  Offsets y_offsets = Offsets::packed(schedule, config.output_size());
  return {std::move(schedule), std::move(x_offsets), std::move(y_offsets), nullptr, nullptr, h, c};
}

template <class T>
class Stepper {
 public:
  Stepper(const SharedWeights<T>& weights, py::handle h, py::handle c, Index batch)
      : config_(weights->config()),
        batch_(batch),
        flops_(flops(config_, batch)),
        h_(py::reinterpret_borrow<py::object>(h)),
        c_(py::reinterpret_borrow<py::object>(c)),
        forward_(weights, one_step(config_, batch, data<T>(h), data<T>(c))) {}

  py::object step(py::handle x, py::handle out) {
    // (N, I); for one row (I,) too.
    const bool batched = is_plain<T>(x, 2);
    if (!batched && (batch_ != 1 || !is_plain<T>(x, 1))) return py::none();
    const py::ssize_t ndim = batched ? 2 : 1;
    const Index x_shape[2] = {batch_, config_.input_size};
    const Index y_shape[2] = {batch_, config_.output_size()};
    if (!has_shape(x, x_shape + 2 - ndim)) return py::none();
    py::object y = out.is_none() ? new_array<T>(y_shape + 2 - ndim, ndim)
                                 : py::reinterpret_borrow<py::object>(out);
    if (!out.is_none() &&
        !(is_plain<T>(y, ndim) && has_shape(y, y_shape + 2 - ndim) && writable_apart(y, x)))
      return py::none();

    const std::lock_guard<Stepper> inside(*this);
    unlocked_to_the_end(flops_, [&] { forward_.run(data<const T>(x), data<T>(y)); });
    return y;
  }

  // Waits for nobody.
  void lock() {
    if (taken_.exchange(true, std::memory_order_acquire))
      throw std::runtime_error("another thread is inside this stream: give each its own");
  }
  void unlock() { taken_.store(false, std::memory_order_release); }

 private:
  bool writable_apart(py::handle y, py::handle x) const {
    constexpr int writeable = py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
    const T *to = data<const T>(y), *from = data<const T>(x);
    return (py::detail::array_proxy(y.ptr())->flags & writeable) != 0 &&
           (to + batch_ * config_.output_size() <= from ||
            from + batch_ * config_.input_size <= to);
  }

  const Config config_;
  const Index batch_;
  const double flops_;
  const py::object h_, c_;  // keep the memory of the state
  RepeatedForward<T> forward_;
  std::atomic<bool> taken_{false};
};

struct PyStream {
  std::variant<std::unique_ptr<Stepper<float>>, std::unique_ptr<Stepper<double>>> value;
};

void make_stream(py::detail::value_and_holder& self, py::handle weights, py::handle h,
                 py::handle c) {
  std::visit(
      [&](const auto& shared) {
        using T = std::decay_t<decltype(*shared->layer(0, 0).bias)>;
        const Config& config = shared->config();
        if (config.bidirectional)
          throw py::value_error("a bidirectional network cannot go step by step");
        const Index batch = view<T>(h, "h", 3).shape[1];
        if (batch < 1) throw py::value_error("h should have at least one row");
        exact_view<T>(h, "h", {config.num_layers, batch, config.output_size()});
        exact_view<T>(c, "c", {config.num_layers, batch, config.hidden_size});
        construct(self, PyStream{std::make_unique<Stepper<T>>(shared, h, c, batch)});
      },
      instance<PyWeights>(weights, "weights", "Weights").value);
}

}  // namespace

void register_stream(py::module_& m) {
  using py::arg;
  register_class<PyStream>(m, "Stream")
      .def("__init__", &make_stream, is_constructor(), arg("weights"), arg("h"), arg("c"))
      .def(
          "step",
          [](py::handle self, py::handle x, py::handle out) {
            return std::visit([&](const auto& stepper) { return stepper->step(x, out); },
                              instance<PyStream>(self, "self", "Stream").value);
          },
          arg("x"), arg("out"))
      .def("__enter__",
           [](py::handle self) {
             std::visit([](const auto& stepper) { stepper->lock(); },
                        instance<PyStream>(self, "self", "Stream").value);
           })
      .def(
          "__exit__",
          [](py::handle self, py::handle, py::handle, py::handle) {
            std::visit([](const auto& stepper) { stepper->unlock(); },
                       instance<PyStream>(self, "self", "Stream").value);
          },
          arg("kind"), arg("error"), arg("traceback"));
}

}  // namespace lstm_native::bindings

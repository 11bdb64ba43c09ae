// The compiled module's table of contents.
#include <pybind11/numpy.h>

#include "dispatch.hpp"
#include "parallel.hpp"

namespace lstm_native::bindings {
void register_runtime(pybind11::module_& m);
void register_random(pybind11::module_& m);
void register_weights(pybind11::module_& m);
void register_network(pybind11::module_& m);
void register_inference(pybind11::module_& m);
void register_stream(pybind11::module_& m);
}  // namespace lstm_native::bindings

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  m.doc() = "The compiled core of lstm_native.";
  lstm_native::choose_table();
  lstm_native::read_reproducible();
  lstm_native::read_thread_environment();
  // Now, and not at the first call: a fork while another thread is at it would leave the child to
  // wait for ever.
  pybind11::detail::npy_api::get();
  lstm_native::bindings::register_runtime(m);
  lstm_native::bindings::register_random(m);
  lstm_native::bindings::register_weights(m);
  lstm_native::bindings::register_network(m);
  lstm_native::bindings::register_inference(m);
  lstm_native::bindings::register_stream(m);
}

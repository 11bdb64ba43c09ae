// Threads, the ISA, and what the core was built from.
#include "arrays.hpp"
#include "dispatch.hpp"
#include "parallel.hpp"

namespace lstm_native::bindings {
namespace {

void set_threads(py::handle count) {
  const Index value = integer(count, "count");
  if (value != -1 && (value < 1 || value > 256))
    throw py::value_error("count should be -1 (all) or from 1 to 256, got: " +
                          std::to_string(value));
  set_num_threads(static_cast<int>(value));
}

py::list isas() {
  py::list names;
  for (const KernelTable* table : supported_tables()) names.append(table->name);
  return names;
}

py::dict build_info() {
  py::dict info;
  info["compiler"] = LSTM_NATIVE_COMPILER;
  info["eigen"] = LSTM_NATIVE_EIGEN_VERSION;
  info["pybind11"] = LSTM_NATIVE_PYBIND11_VERSION;
  info["openmp"] = openmp_version();
  return info;
}

// sigmoid or tanh of the active ISA over an array, for the accuracy tests.
template <class T>
void run_activation(py::handle x, py::handle y, bool sigmoid) {
  const auto from = view<const T>(x, "x", 1);
  const auto to = exact_view<T>(y, "y", from.shape);
  const Kernels<T>& k = kernels<T>();
  (sigmoid ? k.sigmoid : k.tanh)(from.data, to.data, from.size());
}

template <bool sigmoid>
void activation(py::handle x, py::handle y) {
  if (array_argument(x, "x").dtype().equal(py::dtype::of<float>()))
    run_activation<float>(x, y, sigmoid);
  else
    run_activation<double>(x, y, sigmoid);
}

}  // namespace

void register_runtime(py::module_& m) {
  m.def("set_num_threads", &set_threads, py::arg("count"));
  m.def("get_num_threads", &num_threads);
  m.def("isa", [] { return active_table().name; });
  m.def("isas", &isas);
  m.def("build_info", &build_info);
  m.def("sigmoid", &activation<true>, py::arg("x"), py::arg("out"));
  m.def("tanh", &activation<false>, py::arg("x"), py::arg("out"));
}

}  // namespace lstm_native::bindings

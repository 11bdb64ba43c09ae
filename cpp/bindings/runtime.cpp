// Threads, the ISA, and what the core was built from.
#include <atomic>
#include <map>
#include <numeric>

#include "arrays.hpp"
#include "dispatch.hpp"
#include "handles.hpp"
#include "names.hpp"
#include "parallel.hpp"
#include "plan.hpp"
#include "system.hpp"
#include "threads.hpp"

namespace lstm_native::bindings {
namespace {

void set_threads(py::handle count) {
  const Index value = integer(count, "count");
  if (value != -1 && (value < 1 || value > most_threads))
    throw py::value_error("count should be -1 (all) or from 1 to " + std::to_string(most_threads) +
                          ", got: " + std::to_string(value));
  set_num_threads(static_cast<int>(value));
}

void force(py::handle dealing) {
  static const std::map<std::string, Dealing> names{
      {"any", Dealing::any},      {"alone", Dealing::alone}, {"rows", Dealing::rows},
      {"units", Dealing::units},  {"tail", Dealing::tail},   {"directions", Dealing::directions},
      {"layers", Dealing::layers}};
  const auto found = names.find(py::str(dealing).cast<std::string>());
  if (found == names.end()) throw py::value_error("dealing should be the name of a Dealing");
  force_dealing(found->second);
}

// What weights of a network are packed as that has a precision of its own, or None.
py::object packing(py::handle own) {
  const Precision by = own.is_none() ? precision() : named(own, precisions, "precision");
  return name_of(storage_by(by), storages);
}

py::list names_of(const std::vector<const KernelTable*>& tables) {
  py::list names;
  for (const KernelTable* table : tables) names.append(table->name);
  return names;
}

py::list isas() { return names_of(supported_tables()); }

py::dict build_info() {
  py::dict info;
  info["isas compiled"] = names_of(compiled_tables());
  info["compiler"] = LSTM_NATIVE_COMPILER;
  info["eigen"] = LSTM_NATIVE_EIGEN_VERSION;
  info["pybind11"] = LSTM_NATIVE_PYBIND11_VERSION;
  info["threading"] = threading();
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

// Runs f(team, sum) on every thread; f adds to the sum of its thread. The total.
template <class F>
double total_over_team(const F& f) {
  const Released release;
  const int threads = num_threads();
  std::vector<double> sums(threads);
  ignore_crowding(true);
  run_team(threads, [&](const Team& team) { sums[team.rank()] = static_cast<double>(f(team)); });
  ignore_crowding(false);
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

double multiply_add(bool in_double, py::handle iterations) {
  const Index count = integer(iterations, "iterations");
  return total_over_team([&](const Team&) {
    float f32;
    double f64;
    return in_double ? kernels<double>().multiply_add(count, &f64)
                     : kernels<float>().multiply_add(count, &f32);
  });
}

double read(py::handle buffer, py::handle iterations) {
  const auto from = view<const float>(buffer, "buffer", 1);
  const Index count = integer(iterations, "iterations");
  return total_over_team([&](const Team& team) {
    float sink;
    const Index share = from.size() / team.size();
    return kernels<float>().read(from.data + team.rank() * share, share, count, &sink);
  });
}

std::atomic<unsigned long> main_thread{0};

}  // namespace

bool on_main_thread() { return PyThread_get_thread_ident() == main_thread; }

void register_runtime(py::module_& m) {
  main_thread =
      py::module_::import("threading").attr("main_thread")().attr("ident").cast<unsigned long>();
  // A child has one thread, which becomes its main thread.
  at_fork(nullptr, nullptr, [] { main_thread = PyThread_get_thread_ident(); });
  m.def("set_num_threads", &set_threads, py::arg("count"));
  m.def("get_num_threads", &num_threads);
  m.def("force_dealing", &force, py::arg("dealing"));
  m.def("isa", [] { return active_table().name; });
  m.def("isas", &isas);
  m.def("build_info", &build_info);
  m.def(
      "set_precision",
      [](py::handle value) { set_precision(named(value, precisions, "precision")); },
      py::arg("precision"));
  m.def("get_precision", [] { return name_of(precision(), precisions); });
  m.def(
      "set_reproducible", [](py::handle value) { set_reproducible(boolean(value, "value")); },
      py::arg("value"));
  m.def("get_reproducible", &reproducible);
  m.def("packing", &packing, py::arg("precision"));
  m.def("sigmoid", &activation<true>, py::arg("x"), py::arg("out"));
  m.def("tanh", &activation<false>, py::arg("x"), py::arg("out"));
  m.def("multiply_add", &multiply_add, py::arg("double"), py::arg("iterations"));
  m.def("read", &read, py::arg("buffer"), py::arg("iterations"));
}

}  // namespace lstm_native::bindings

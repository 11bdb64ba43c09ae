// The generator.
#include <algorithm>

#include "arrays.hpp"
#include "handles.hpp"

namespace lstm_native::bindings {
namespace {

std::uint64_t seed_argument(py::handle seed) {
  if (!PyLong_Check(seed.ptr()))
    throw py::type_error("seed should be of type int, got: " + type_name(seed));
  const unsigned long long value = PyLong_AsUnsignedLongLong(seed.ptr());
  if (value == static_cast<unsigned long long>(-1) && PyErr_Occurred()) {
    PyErr_Clear();
    throw py::value_error("seed should be from 0 to 2^64 - 1");
  }
  return value;
}

Generator& generator_of(py::handle self) {
  return *instance<PyGenerator>(self, "self", "Generator").value;
}

template <class T>
void fill(Generator& generator, py::handle out, double low, double high) {
  const py::array array = array_argument(out, "out");
  const auto to =
      exact_view<T>(out, "out", std::vector<Index>(array.shape(), array.shape() + array.ndim()));
  constexpr double flops_of_a_draw = 500;  // as many as take its time
  unlocked(flops_of_a_draw * static_cast<double>(to.size()), [&] {
    constexpr Index piece = 1 << 20;  // some milliseconds
    Stoppable* const call = Stoppable::current();
    for (Index i = 0; i < to.size() && !(call && call->ask()); i += piece)
      generator.uniform(to.data + i, std::min(piece, to.size() - i), low, high);
  });
}

void uniform(py::handle self, py::handle out, py::handle low, py::handle high) {
  Generator& generator = generator_of(self);
  const double from = number(low, "low"), to = number(high, "high");
  if (array_argument(out, "out").dtype().equal(py::dtype::of<float>()))
    fill<float>(generator, out, from, to);
  else
    fill<double>(generator, out, from, to);
}

py::object get_state(py::handle self) {
  const std::string state = generator_of(self).get_state();
  PyObject* bytes = PyBytes_FromStringAndSize(state.data(), static_cast<Py_ssize_t>(state.size()));
  if (!bytes) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(bytes);
}

void set_state(py::handle self, py::handle state) {
  if (!PyBytes_Check(state.ptr()))
    throw py::type_error("state should be of type bytes, got: " + type_name(state));
  if (!generator_of(self).set_state(state.cast<std::string>()))
    throw py::value_error("state should be the " + std::to_string(Generator::state_size) +
                          " bytes of a CPU generator's state");
}

}  // namespace

void register_random(py::module_& m) {
  register_class<PyGenerator>(m, "Generator")
      .def(
          "__init__",
          [](py::detail::value_and_holder& self, py::handle seed) {
            construct(self, PyGenerator{std::make_unique<Generator>(seed_argument(seed))});
          },
          is_constructor(), py::arg("seed"))
      .def_property_readonly("initial_seed",
                             [](py::handle self) { return generator_of(self).initial_seed(); })
      .def(
          "manual_seed",
          [](py::handle self, py::handle seed) {
            generator_of(self).manual_seed(seed_argument(seed));
          },
          py::arg("seed"))
      .def("uniform", &uniform, py::arg("out"), py::arg("low"), py::arg("high"))
      .def("get_state", &get_state)
      .def("set_state", &set_state, py::arg("state"));
}

}  // namespace lstm_native::bindings

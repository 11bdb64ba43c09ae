// Objects of our classes.
//
// Owns: making them such that running out of memory is MemoryError and loses nothing, which
// pybind11 3.1 does not see to. It writes to a new object before it has asked whether there is one,
// and where it cannot register an object it frees the value without destroying it, or twice.
// Must not know: what the classes are for.
#pragma once

#include <pybind11/pybind11.h>

#include <new>
#include <utility>

namespace lstm_native::bindings {

namespace py = pybind11;

// tp_alloc; under it are pybind11's own callers, in C++.
inline PyObject* allocated(PyTypeObject* type, Py_ssize_t items) {
  PyObject* object = PyType_GenericAlloc(type, items);
  if (object) return object;
  PyErr_Clear();
  throw std::bad_alloc();
}

// tp_new, which Python calls: no exception may pass.
inline PyObject* blank(PyTypeObject* type, PyObject*, PyObject*) noexcept {
  try {
    return py::detail::make_new_instance(type);
  } catch (...) {
    return PyErr_NoMemory();
  }
}

// A class whose values are empty when default-constructed.
template <class C>
py::class_<C> register_class(py::module_& m, const char* name) {
  return py::class_<C>(m, name, py::is_final(), py::custom_type_setup([](PyHeapTypeObject* heap) {
                         heap->ht_type.tp_alloc = &allocated;
                         heap->ht_type.tp_new = &blank;
                       }));
}

// A new object without content, which may be lost. It is to be made before that which fills it: a
// call that runs out of memory afterwards would have changed its generator.
template <class C>
py::object empty() {
  return py::cast(C{});
}

// The same for __init__; goes with is_constructor.
template <class C>
void construct(py::detail::value_and_holder& self, C value) {
  self.value_ptr() = new C{};
  self.type->init_instance(self.inst, nullptr);
  *self.value_ptr<C>() = std::move(value);
}
using is_constructor = py::detail::is_new_style_constructor;

// A tuple of what is given away.
template <class... Objects>
py::object tuple_of(const Objects&... objects) {
  PyObject* tuple = PyTuple_Pack(sizeof...(objects), objects.ptr()...);
  if (!tuple) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(tuple);
}

}  // namespace lstm_native::bindings

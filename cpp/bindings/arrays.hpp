// NumPy arrays at the border.
//
// Owns: the step from a Python object to a checked view, and the errors on the way.
// Must not know: networks.
//
// Every argument arrives as a py::handle, so that what is wrong with it is said here, by name, and
// pybind11's "incompatible function arguments" is left to calls with a wrong number of arguments.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "config.hpp"

namespace lstm_native::bindings {

namespace py = pybind11;

// Strides count elements.
template <class T>
struct View {
  T* data;
  std::vector<Index> shape, strides;
  Index size() const {
    Index count = 1;
    for (const Index extent : shape) count = checked_product(count, extent);
    return count;
  }
};

inline std::string type_name(py::handle object) { return Py_TYPE(object.ptr())->tp_name; }

inline std::string text(const std::vector<Index>& shape) {
  std::string out = "(";
  for (std::size_t i = 0; i < shape.size(); ++i)
    out += std::to_string(shape[i]) + (shape.size() == 1 ? "," : i + 1 < shape.size() ? ", " : "");
  return out + ")";
}

inline py::array array_argument(py::handle object, const char* name) {
  if (!py::isinstance<py::array>(object))
    throw py::type_error(std::string(name) +
                         " should be a numpy.ndarray, got: " + type_name(object));
  return py::reinterpret_borrow<py::array>(object);
}

// A view of an array of T with contiguous features (the last axis). `T` const means it is only
// read.
template <class T>
View<T> view(py::handle object, const char* name, std::size_t ndim) {
  using Value = std::remove_const_t<T>;
  const py::array array = array_argument(object, name);
  const std::string argument(name);
  if (!py::dtype::of<Value>().is(array.dtype()) && !array.dtype().equal(py::dtype::of<Value>()))
    throw py::type_error(argument + " should have dtype " +
                         py::str(py::dtype::of<Value>()).template cast<std::string>() +
                         ", got: " + py::str(array.dtype()).template cast<std::string>());
  if (static_cast<std::size_t>(array.ndim()) != ndim)
    throw py::value_error(argument + " should have " + std::to_string(ndim) +
                          " dimensions, got: " + std::to_string(array.ndim()));
  if (!std::is_const_v<T> && !array.writeable())
    throw py::value_error(argument + " is read-only and would be written");
  View<T> v;
  v.shape.assign(array.shape(), array.shape() + ndim);
  v.strides.assign(ndim, 0);
  // NumPy gives the strides of axes shorter than 2, and of empty arrays, no meaning.
  const bool empty = v.size() == 0;
  if (!empty && reinterpret_cast<std::uintptr_t>(array.data()) % alignof(T) != 0)
    throw py::value_error(argument + " should be aligned to its dtype");
  for (std::size_t axis = 0; axis < ndim; ++axis) {
    if (empty || v.shape[axis] < 2) continue;
    const Index stride = array.strides(axis), size = sizeof(T);
    if (stride % size != 0)
      throw py::value_error(argument + " should have strides of whole elements");
    v.strides[axis] = stride / size;
  }
  if (ndim > 0 && !empty && v.shape.back() > 1 && v.strides.back() != 1)
    throw py::value_error(argument + " should be contiguous along its last axis");
  v.data = static_cast<T*>(const_cast<void*>(array.data()));
  return v;
}

// The same, C-contiguous and of a given shape.
template <class T>
View<T> exact_view(py::handle object, const char* name, const std::vector<Index>& shape) {
  const View<T> v = view<T>(object, name, shape.size());
  if (v.shape != shape)
    throw py::value_error(std::string(name) + " should have shape " + text(shape) +
                          ", got: " + text(v.shape));
  Index stride = 1;
  for (std::size_t axis = shape.size(); axis-- > 0; stride *= shape[axis])
    if (shape[axis] > 1 && v.strides[axis] != stride && v.size() > 0)
      throw py::value_error(std::string(name) + " should be C-contiguous");
  return v;
}

inline Index integer(py::handle object, const char* name) {
  if (!PyIndex_Check(object.ptr()))
    throw py::type_error(std::string(name) + " should be of type int, got: " + type_name(object));
  const Py_ssize_t value = PyNumber_AsSsize_t(object.ptr(), PyExc_OverflowError);
  if (value == -1 && PyErr_Occurred()) throw py::error_already_set();
  return value;
}

// Forgets the pending error, to say it better; anything but a wrong type or value is passed on.
inline void clear_type_error() {
  if (!PyErr_ExceptionMatches(PyExc_TypeError) && !PyErr_ExceptionMatches(PyExc_ValueError))
    throw py::error_already_set();
  PyErr_Clear();
}

inline double number(py::handle object, const char* name) {
  const double value = PyFloat_AsDouble(object.ptr());
  if (value == -1.0 && PyErr_Occurred()) {
    clear_type_error();
    throw py::type_error(std::string(name) + " should be of type float, got: " + type_name(object));
  }
  return value;
}

inline bool boolean(py::handle object, const char* name) {
  const int value = PyObject_IsTrue(object.ptr());
  if (value < 0) {
    clear_type_error();
    throw py::type_error(std::string(name) + " should be of type bool, got: " + type_name(object));
  }
  return value;
}

// An instance of a class of ours.
template <class C>
C& instance(py::handle object, const char* name, const char* class_name) {
  if (!py::isinstance<C>(object))
    throw py::type_error(std::string(name) + " should be a " + class_name +
                         ", got: " + type_name(object));
  // C.__new__(C) makes an object without a value.
  auto* instance = reinterpret_cast<py::detail::instance*>(object.ptr());
  if (!instance->get_value_and_holder().holder_constructed())
    throw py::type_error(std::string(name) + " is a " + class_name + " without a value");
  return object.cast<C&>();
}

}  // namespace lstm_native::bindings

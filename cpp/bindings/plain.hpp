// Arrays as a plain call has them, looked at as C does.
//
// Owns: recognising an array that needs no conversion, and making one. Nothing here says what is
// wrong: that is for Python's checks. Must not know: networks.
#pragma once

#include <algorithm>

#include "arrays.hpp"

namespace lstm_native::bindings {

// Whether a dtype is T in the machine's byte order. Told by number: what was pickled or copied is
// another object.
template <class T>
bool is_dtype(const PyObject* dtype) {
  const auto* descr = py::detail::array_descriptor_proxy(dtype);
  return descr->type_num == py::dtype::num_of<T>() && descr->byteorder == '=';
}

// Whether an object is an ndarray, no subclass, of T, C-contiguous, aligned, with `ndim` axes.
template <class T>
bool is_plain(py::handle object, py::ssize_t ndim) {
  if (Py_TYPE(object.ptr()) != py::detail::npy_api::get().PyArray_Type_) return false;
  const auto* array = py::detail::array_proxy(object.ptr());
  constexpr int wanted = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;
  return array->nd == ndim && (array->flags & wanted) == wanted && is_dtype<T>(array->descr);
}

inline bool has_shape(py::handle array, const Index* shape) {
  const auto* a = py::detail::array_proxy(array.ptr());
  return std::equal(a->dimensions, a->dimensions + a->nd, shape);
}

template <class T>
T* data(py::handle array) {
  return reinterpret_cast<T*>(py::detail::array_proxy(array.ptr())->data);
}

template <class T>
py::object new_array(const Index* shape, py::ssize_t ndim) {
  const auto& numpy = py::detail::npy_api::get();
  auto array = py::reinterpret_steal<py::object>(
      numpy.PyArray_NewFromDescr_(numpy.PyArray_Type_, py::dtype::of<T>().release().ptr(),
                                  static_cast<int>(ndim), shape, nullptr, nullptr, 0, nullptr));
  if (!array) throw py::error_already_set();
  return array;
}

}  // namespace lstm_native::bindings

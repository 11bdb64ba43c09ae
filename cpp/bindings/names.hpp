// The names that Python has for what the core can choose among.
//
// Owns: names of precisions and of storages. Must not know: what they mean.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <utility>

#include "dispatch.hpp"

namespace lstm_native::bindings {

namespace py = pybind11;

template <class T>
using Name = std::pair<T, const char*>;

inline constexpr Name<Precision> precisions[] = {
    {Precision::highest, "highest"}, {Precision::high, "high"}, {Precision::medium, "medium"}};

// Of weights in a type of fewer bytes; and of those that are multiplied with rows rounded alike.
inline constexpr Name<Storage> storages[] = {
    {Storage::bfloat16, "bfloat16"},   {Storage::int8, "int8"},
    {Storage::one_part, "one part"},   {Storage::bfloat16_pairs, "bfloat16 pairs"},
    {Storage::two_parts, "two parts"}, {Storage::three_parts, "three parts"}};

// None for what has no name.
template <class T, std::size_t count>
py::object name_of(T value, const Name<T> (&names)[count]) {
  for (const auto& [each, name] : names)
    if (each == value) return py::str(name);
  return py::none();
}

template <class T, std::size_t count>
T named(py::handle name, const Name<T> (&names)[count], const char* argument) {
  for (const auto& [value, each] : names)
    if (py::isinstance<py::str>(name) && name.equal(py::str(each))) return value;
  std::string valid;
  for (const auto& [value, each] : names)
    valid += (valid.empty() ? "'" : ", '") + std::string(each) + "'";
  throw py::value_error(std::string(argument) + " should be one of " + valid);
}

}  // namespace lstm_native::bindings

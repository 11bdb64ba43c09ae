// Which ISA runs.
//
// Owns: the choice among the kernel tables, made once, when the module is imported.
// Must not know: what the kernels compute.
#pragma once

#include <string>
#include <vector>

#include "kernel_api.hpp"

namespace lstm_native {

// The tables in this build, lowest first.
std::vector<const KernelTable*> compiled_tables();

// The tables this CPU and operating system can run, lowest first.
std::vector<const KernelTable*> supported_tables();

// Chooses the highest supported table, or the one LSTM_NATIVE_ISA names. A name that is unknown
// or unsupported here is std::invalid_argument, and the message lists the valid ones.
void choose_table();

const KernelTable& active_table();

template <class T>
const Kernels<T>& kernels();
template <>
inline const Kernels<float>& kernels<float>() {
  return active_table().f32;
}
template <>
inline const Kernels<double>& kernels<double>() {
  return active_table().f64;
}

}  // namespace lstm_native

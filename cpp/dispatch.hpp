// Which ISA runs.
//
// Owns: the choice among the kernel tables, made once, when the module is imported; the precision
// set for all, at any time. Must not know: what the kernels compute.
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

// The active kernels for weights that are multiplied with rounded rows, null for others.
const RoundedKernels* rounded_kernels(Storage storage);
inline bool multiplies_bfloat16_pairs() { return active_table().bfloat16_pairs.forward; }

// torch's names: how exactly float32 is multiplied by those who do not say it themselves.
enum class Precision { highest, high, medium };
void set_precision(Precision precision);
Precision precision();

// What their weights are packed as: bfloat16_pairs for medium, where they can be multiplied.
Storage storage_by_precision();

}  // namespace lstm_native

// Which ISA runs.
//
// Owns: the choice among the kernel tables, made once, when the module is imported; the precision
// set for all, at any time, and what it comes to here. Must not know: what the kernels compute.
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

// Whether weights stored so can be multiplied here. For parts it asks the operating system for
// tiles, the first time.
bool multiplies(Storage storage);

// torch's names: how exactly float32 is multiplied by those who do not say it themselves.
enum class Precision { highest, high, medium };
void set_precision(Precision precision);
Precision precision();

// Whether "highest" is float32 times float32, with the bits of other CPUs of the kind; else it may
// be three parts, where there are tiles.
void set_reproducible(bool reproducible);
void read_reproducible();  // from LSTM_NATIVE_REPRODUCIBLE; what is not 0 or 1 is
                           // std::invalid_argument
bool reproducible();

// What weights are stored as to be multiplied so, on this CPU.
Storage storage_by(Precision precision);

}  // namespace lstm_native

#include "dispatch.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <initializer_list>
#include <stdexcept>

#include "system.hpp"

namespace lstm_native {

namespace baseline {
extern const KernelTable table;
}
#ifdef LSTM_NATIVE_X86
namespace avx2 {
extern const KernelTable table;
}
namespace avx512 {
extern const KernelTable table;
}
namespace avx512_vnni {
extern const RoundedKernels int8;
}
namespace avx512_bf16 {
extern const RoundedKernels bfloat16_pairs;
}
#endif
#ifdef LSTM_NATIVE_AMX
namespace amx {
extern const RoundedKernels parts[3];
}
#endif

namespace {

const KernelTable* chosen = &baseline::table;
std::atomic<Precision> for_all{Precision::highest};
std::atomic<bool> same_bits{true};

#ifdef LSTM_NATIVE_X86
const KernelTable& avx512_vnni_table() {
  static const KernelTable table = [] {
    KernelTable changed = avx512::table;
    changed.name = "avx512_vnni";
    changed.int8 = avx512_vnni::int8;
    return changed;
  }();
  return table;
}

const KernelTable& avx512_bf16_table() {
  static const KernelTable table = [] {
    KernelTable changed = avx512_vnni_table();
    changed.name = "avx512_bf16";
    changed.bfloat16_pairs = avx512_bf16::bfloat16_pairs;
    return changed;
  }();
  return table;
}
#endif

#ifdef LSTM_NATIVE_AMX
const KernelTable& amx_table() {
  static const KernelTable table = [] {
    KernelTable changed = avx512_bf16_table();
    changed.name = "amx";
    std::copy_n(amx::parts, 3, changed.parts);
    return changed;
  }();
  return table;
}
#endif

// Of an environment variable; empty where there is none.
std::string value_of(const char* variable) {
  const char* value = std::getenv(variable);
  return value ? value : "";
}

}  // namespace

std::vector<const KernelTable*> compiled_tables() {
  return {
      &baseline::table,
#ifdef LSTM_NATIVE_X86
      &avx2::table,     &avx512::table, &avx512_vnni_table(), &avx512_bf16_table(),
#endif
#ifdef LSTM_NATIVE_AMX
      &amx_table(),
#endif
  };
}

std::vector<const KernelTable*> supported_tables() {
  std::vector<const KernelTable*> tables{&baseline::table};
#ifdef LSTM_NATIVE_X86
  if (runs_avx2()) tables.push_back(&avx2::table);
  if (runs_avx512()) tables.push_back(&avx512::table);
  if (runs_avx512_vnni()) tables.push_back(&avx512_vnni_table());
  if (runs_avx512_bf16()) tables.push_back(&avx512_bf16_table());
#endif
#ifdef LSTM_NATIVE_AMX
  if (runs_amx()) tables.push_back(&amx_table());
#endif
  return tables;
}

void choose_table() {
  const auto tables = supported_tables();
  const std::string name = value_of("LSTM_NATIVE_ISA");
  if (name.empty()) {
    chosen = tables.back();
    return;
  }
  std::string valid;
  for (const KernelTable* table : tables) {
    if (table->name == name) {
      chosen = table;
      return;
    }
    valid += (valid.empty() ? "" : ", ") + std::string(table->name);
  }
  throw std::invalid_argument("LSTM_NATIVE_ISA should be one of " + valid +
                              " on this machine, got: " + name);
}

void read_reproducible() {
  const std::string text = value_of("LSTM_NATIVE_REPRODUCIBLE");
  if (text.empty()) return;
  if (text != "0" && text != "1")
    throw std::invalid_argument("LSTM_NATIVE_REPRODUCIBLE should be 0 or 1, got: " + text);
  set_reproducible(text == "1");
}

const KernelTable& active_table() { return *chosen; }

void set_precision(Precision precision) { for_all.store(precision, std::memory_order_relaxed); }

Precision precision() { return for_all.load(std::memory_order_relaxed); }

void set_reproducible(bool reproducible) {
  same_bits.store(reproducible, std::memory_order_relaxed);
}

bool reproducible() { return same_bits.load(std::memory_order_relaxed); }

const RoundedKernels* rounded_kernels(Storage storage) {
  if (const Index parts = parts_of(storage)) return &chosen->parts[parts - 1];
  switch (storage) {
    case Storage::int8:
      return &chosen->int8;
    case Storage::bfloat16_pairs:
      return &chosen->bfloat16_pairs;
    default:
      return nullptr;
  }
}

bool multiplies(Storage storage) {
  const RoundedKernels* kernels = rounded_kernels(storage);
  if (!kernels) return true;
  return kernels->forward && (parts_of(storage) == 0 || permits_tiles());
}

Storage storage_by(Precision precision) {
  const auto first = [](std::initializer_list<Storage> wanted) {
    for (const Storage storage : wanted)
      if (multiplies(storage)) return storage;
    return Storage::plain;
  };
  switch (precision) {
    case Precision::medium:
      return first({Storage::one_part, Storage::bfloat16_pairs});
    case Precision::high:
      return first({Storage::two_parts});
    default:
      return reproducible() ? Storage::plain : first({Storage::three_parts});
  }
}

}  // namespace lstm_native

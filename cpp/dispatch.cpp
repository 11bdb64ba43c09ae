#include "dispatch.hpp"

#include <atomic>
#include <cstdlib>
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

namespace {

const KernelTable* chosen = &baseline::table;
std::atomic<Precision> for_all{Precision::highest};

#ifdef LSTM_NATIVE_X86
const KernelTable& avx512_vnni_table() {
  static const KernelTable table{"avx512_vnni",          avx512::table.f32, avx512::table.f64,
                                 avx512::table.compress, avx512_vnni::int8, {}};
  return table;
}

const KernelTable& avx512_bf16_table() {
  static const KernelTable table{"avx512_bf16",     avx512::table.f32,
                                 avx512::table.f64, avx512::table.compress,
                                 avx512_vnni::int8, avx512_bf16::bfloat16_pairs};
  return table;
}
#endif

}  // namespace

std::vector<const KernelTable*> compiled_tables() {
#ifdef LSTM_NATIVE_X86
  return {&baseline::table, &avx2::table, &avx512::table, &avx512_vnni_table(),
          &avx512_bf16_table()};
#else
  return {&baseline::table};
#endif
}

std::vector<const KernelTable*> supported_tables() {
  std::vector<const KernelTable*> tables{&baseline::table};
#ifdef LSTM_NATIVE_X86
  if (runs_avx2()) tables.push_back(&avx2::table);
  if (runs_avx512()) tables.push_back(&avx512::table);
  if (runs_avx512_vnni()) tables.push_back(&avx512_vnni_table());
  if (runs_avx512_bf16()) tables.push_back(&avx512_bf16_table());
#endif
  return tables;
}

void choose_table() {
  const auto tables = supported_tables();
  const char* name = std::getenv("LSTM_NATIVE_ISA");
  if (!name || !*name) {
    chosen = tables.back();
    return;
  }
  std::string valid;
  for (const KernelTable* table : tables) {
    if (table->name == std::string(name)) {
      chosen = table;
      return;
    }
    valid += (valid.empty() ? "" : ", ") + std::string(table->name);
  }
  throw std::invalid_argument("LSTM_NATIVE_ISA should be one of " + valid +
                              " on this machine, got: " + name);
}

const KernelTable& active_table() { return *chosen; }

void set_precision(Precision precision) { for_all.store(precision, std::memory_order_relaxed); }

Precision precision() { return for_all.load(std::memory_order_relaxed); }

Storage storage_by_precision() {
  return precision() == Precision::medium && multiplies_bfloat16_pairs() ? Storage::bfloat16_pairs
                                                                         : Storage::plain;
}

const RoundedKernels* rounded_kernels(Storage storage) {
  switch (storage) {
    case Storage::int8:
      return &chosen->int8;
    case Storage::bfloat16_pairs:
      return &chosen->bfloat16_pairs;
    default:
      return nullptr;
  }
}

}  // namespace lstm_native

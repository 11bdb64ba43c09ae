#include "dispatch.hpp"

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
#endif

namespace {
const KernelTable* chosen = &baseline::table;
}

std::vector<const KernelTable*> compiled_tables() {
#ifdef LSTM_NATIVE_X86
  return {&baseline::table, &avx2::table, &avx512::table};
#else
  return {&baseline::table};
#endif
}

std::vector<const KernelTable*> supported_tables() {
  std::vector<const KernelTable*> tables{&baseline::table};
#ifdef LSTM_NATIVE_X86
  if (runs_avx2()) tables.push_back(&avx2::table);
  if (runs_avx512()) tables.push_back(&avx512::table);
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

}  // namespace lstm_native

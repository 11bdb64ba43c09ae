// The core without Python: for CPUs and systems where there is none, or where it would be slow.
// Arguments name what is to be checked, by default everything. One line per case; the exit code is
// 1 when anything failed. LSTM_NATIVE_ISA is heeded.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>

#include "checks.hpp"
#include "dispatch.hpp"

namespace {
int checked = 0, failed = 0;
}

void check(bool holds, const char* what) {
  ++checked;
  if (holds) return;
  ++failed;
  std::printf("  failed: %s\n", what);
}

int main(int count, char** arguments) try {
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // a crash still tells which case it was
  lstm_native::choose_table();
  std::printf("kernels: %s\n", lstm_native::active_table().name);
  const auto run = [&](const std::string& name, void (*checks)()) {
    if (count == 1 || std::count(arguments + 1, arguments + count, name)) checks();
  };
  run("activations", check_activations);
  run("networks", check_networks);
  run("storages", check_storages);
  run("parts", check_parts);
  std::printf("%d checks, %d failed\n", checked, failed);
  return failed > 0;
} catch (const std::exception& error) {
  std::printf("%s\n", error.what());
  return 1;
}

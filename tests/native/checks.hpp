// What the files of the native test share.
//
// Owns: counting failures, comparing bits. Must not know: what is checked.
#pragma once

#include <cstring>
#include <vector>

// Counts, and prints `what` when it does not hold.
void check(bool holds, const char* what);

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  if (a.size() != b.size()) return false;
  return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

void check_activations();
void check_networks();
void check_storages();
void check_parts();

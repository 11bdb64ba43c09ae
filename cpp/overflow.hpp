// Whether a sum or a product fits.
//
// Owns: how the compiler at hand is asked. Must not know: what is counted.
#pragma once

#include <cstdint>
#include <limits>

namespace lstm_native {

// *result = a * b, or true and any *result where that does not fit. Neither is negative.
inline bool product_overflows(std::int64_t a, std::int64_t b, std::int64_t* result) {
#if defined(_MSC_VER) && !defined(__clang__)
  if (b != 0 && a > std::numeric_limits<std::int64_t>::max() / b) return true;
  *result = a * b;
  return false;
#else
  return __builtin_mul_overflow(a, b, result);
#endif
}

// The same of a + b.
inline bool sum_overflows(std::int64_t a, std::int64_t b, std::int64_t* result) {
#if defined(_MSC_VER) && !defined(__clang__)
  if (a > std::numeric_limits<std::int64_t>::max() - b) return true;
  *result = a + b;
  return false;
#else
  return __builtin_add_overflow(a, b, result);
#endif
}

}  // namespace lstm_native

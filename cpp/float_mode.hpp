// How this thread computes with floats.
//
// Owns: the control register of its floating-point unit, for as long as a FloatMode lives: rounding
// to nearest, no traps, subnormal operands and results taken for zeros. Then all is as it was; on
// x86-64, whose register has them too, flags included. Must not know: who computes what.
#pragma once

#include <cstdint>

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>
#endif

namespace lstm_native {

#if defined(__x86_64__) || defined(_M_X64)
using FloatRegister = unsigned;
// Flush to zero (bit 15), all exceptions masked (12 to 7), denormals are zeros (6).
constexpr FloatRegister float_mode_of_calls = 0x9fc0;
inline FloatRegister read_float_mode() { return _mm_getcsr(); }
inline void write_float_mode(FloatRegister value) { _mm_setcsr(value); }
#elif defined(__aarch64__)
using FloatRegister = std::uint64_t;
constexpr FloatRegister float_mode_of_calls = FloatRegister{1} << 24;  // flush to zero
inline FloatRegister read_float_mode() {
  FloatRegister value;
  asm volatile("mrs %0, fpcr" : "=r"(value));
  return value;
}
inline void write_float_mode(FloatRegister value) { asm volatile("msr fpcr, %0" : : "r"(value)); }
#else
using FloatRegister = int;
constexpr FloatRegister float_mode_of_calls = 0;
inline FloatRegister read_float_mode() { return 0; }
inline void write_float_mode(FloatRegister) {}
#endif

class FloatMode {
 public:
  explicit FloatMode(FloatRegister mode = float_mode_of_calls) : before_(read_float_mode()) {
    write_float_mode(mode);
  }
  ~FloatMode() { write_float_mode(before_); }
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

 private:
  const FloatRegister before_;
};

}  // namespace lstm_native

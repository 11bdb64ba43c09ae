// How this thread computes with floats.
//
// Owns: the control register of its floating-point unit, for as long as a FloatMode lives: rounding
// to nearest, no traps, subnormal operands and results taken for zeros. Then all is as it was,
// flags included. Must not know: who computes what.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace lstm_native {

class FloatMode {
 public:
  FloatMode() : before_(read()) { write(wanted); }
  ~FloatMode() { write(before_); }
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

 private:
#if defined(__x86_64__)
  using Register = unsigned;
  // Flush to zero (bit 15), all exceptions masked (12 to 7), denormals are zeros (6).
  static constexpr Register wanted = 0x9fc0;
  static Register read() { return _mm_getcsr(); }
  static void write(Register value) { _mm_setcsr(value); }
#elif defined(__aarch64__)
  using Register = std::uint64_t;
  static constexpr Register wanted = Register{1} << 24;  // flush to zero, operands and results
  static Register read() {
    Register value;
    asm volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void write(Register value) { asm volatile("msr fpcr, %0" : : "r"(value)); }
#else
  using Register = int;
  static constexpr Register wanted = 0;
  static Register read() { return 0; }
  static void write(Register) {}
#endif

  const Register before_;
};

}  // namespace lstm_native

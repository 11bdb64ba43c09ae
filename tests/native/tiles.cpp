// AMX for CPUs that have none: there its instructions are undefined, and this is what the signal
// about it does. Preloaded into a process it lets the very code of the ISA amx run, some thousand
// times slower:
//
//   g++ -O2 -shared -fPIC -mavx512f -mfma tests/native/tiles.cpp -o tiles.so
//   LD_PRELOAD=$PWD/tiles.so LSTM_NATIVE_ISA=amx python ...
//
// Owns: the instructions of tiles, as Intel describes them (SDM, volume 2: LDTILECFG and its like).
// Must not know: who executes them. Where it differs from a CPU: shapes are the full ones.
#include <immintrin.h>
#include <ucontext.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace {

constexpr int rows = 16, words = 16;

struct Registers {
  bool configured = false;
  std::uint32_t tile[8][rows][words];
};
thread_local Registers registers;

struct sigaction before;

[[noreturn]] void refuse(const char* why) {
  std::fprintf(stderr, "tiles: %s\n", why);
  std::abort();
}

// An instruction with the three-byte VEX prefix.
struct Instruction {
  const std::uint8_t* at;
  std::uint8_t byte(int i) const { return at[i]; }
  bool extended(int bit) const { return !(byte(1) >> bit & 1); }
  bool is(int prefix, int opcode) const {
    const bool without_w_and_l = (byte(2) & 0x84) == 0;
    return byte(0) == 0xc4 && (byte(1) & 0x1f) == 2 && without_w_and_l && (byte(2) & 3) == prefix &&
           byte(3) == opcode;
  }
  int mod() const { return byte(4) >> 6; }
  int reg() const { return byte(4) >> 3 & 7; }
  int rm() const { return byte(4) & 7; }
  int vvvv() const { return ~(byte(2) >> 3) & 15; }
};

std::int64_t general(const ucontext_t& context, int number) {
  constexpr int order[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                           REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return context.uc_mcontext.gregs[order[number]];
}

struct Memory {
  std::int64_t base, stride;
  int length;  // of the instruction
};

Memory memory_of(const Instruction& instruction, const ucontext_t& context) {
  Memory memory{0, 0, 5};
  const int rm = instruction.rm(), mod = instruction.mod();
  int base = rm;
  if (rm == 4) {
    const int sib = instruction.byte(5), index = (sib >> 3 & 7) + 8 * instruction.extended(6);
    base = sib & 7;
    if (index != 4) memory.stride = general(context, index) << (sib >> 6);
    memory.length = 6;
  }
  const bool has_base = !(mod == 0 && base == 5);
  const int bytes = !has_base || mod == 2 ? 4 : mod;
  std::int32_t offset = 0;
  if (bytes == 4) std::memcpy(&offset, instruction.at + memory.length, 4);
  if (bytes == 1) offset = static_cast<std::int8_t>(instruction.byte(memory.length));
  memory.length += bytes;
  memory.base = offset;
  if (has_base)
    memory.base += general(context, base + 8 * instruction.extended(5));
  else if (rm == 5)
    memory.base += reinterpret_cast<std::int64_t>(instruction.at) + memory.length;
  return memory;
}

void configure(const std::uint8_t* shapes) {
  if (shapes[0] != 1 || shapes[1] != 0) refuse("palette 1 from row 0 is expected");
  for (int tile = 0; tile < 8; ++tile)
    if (shapes[16 + 2 * tile] != 4 * words || shapes[17 + 2 * tile] || shapes[48 + tile] != rows)
      refuse("tiles are expected to be whole");
  for (int i = 2; i < 64; ++i)
    if (shapes[i] && (i < 16 || (i >= 32 && i < 48) || i >= 56)) refuse("reserved bytes");
  registers = {};
  registers.configured = true;
}

void multiply_add_bfloat16(int sums, int left, int right) {
  constexpr unsigned flushing = 0x9fc0;  // to nearest; subnormal numbers are zeros, in and out
  const unsigned mode = _mm_getcsr();
  _mm_setcsr(flushing);
  for (int m = 0; m < rows; ++m) {
    __m512 even = _mm512_setzero_ps(), odd = even;
    for (int k = 0; k < words; ++k) {
      const std::uint32_t pair = registers.tile[left][m][k];
      const __m512i factors = _mm512_loadu_si512(registers.tile[right][k]);
      const auto as_floats = [](std::uint32_t bits) {
        return _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(bits)));
      };
      even =
          _mm512_fmadd_ps(as_floats(pair << 16),
                          _mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xffff, factors, 16)), even);
      odd = _mm512_fmadd_ps(
          as_floats(pair & 0xffff0000),
          _mm512_castsi512_ps(_mm512_and_si512(factors, _mm512_set1_epi32(-0x10000))), odd);
    }
    std::uint32_t* sum = registers.tile[sums][m];
    _mm512_storeu_ps(sum, _mm512_add_ps(_mm512_loadu_ps(sum), _mm512_add_ps(even, odd)));
  }
  _mm_setcsr(mode);
}

// Executes an instruction of tiles; its length, 0 for any other.
int execute(const Instruction& instruction, const ucontext_t& context) {
  constexpr int none = 0, x66 = 1, f3 = 2, f2 = 3;
  const bool in_memory = instruction.mod() != 3;
  if (instruction.is(none, 0x49) && in_memory) {
    const Memory memory = memory_of(instruction, context);
    configure(reinterpret_cast<const std::uint8_t*>(memory.base));
    return memory.length;
  }
  if (instruction.is(none, 0x49) && instruction.byte(4) == 0xc0) {
    registers.configured = false;
    return 5;
  }
  const bool loads = instruction.is(f2, 0x4b) || instruction.is(x66, 0x4b);
  if ((loads || instruction.is(f3, 0x4b)) && in_memory) {
    if (!registers.configured) refuse("no tiles");
    const Memory memory = memory_of(instruction, context);
    for (int r = 0; r < rows; ++r) {
      void* const line = reinterpret_cast<void*>(memory.base + r * memory.stride);
      std::uint32_t* const row = registers.tile[instruction.reg()][r];
      std::memcpy(loads ? row : line, loads ? line : row, sizeof(std::uint32_t) * words);
    }
    return memory.length;
  }
  if (instruction.is(f3, 0x5c) && !in_memory) {
    if (!registers.configured) refuse("no tiles");
    const int sums = instruction.reg(), left = instruction.rm(), right = instruction.vvvv();
    if (sums == left || sums == right || left == right || right > 7) refuse("one tile twice");
    multiply_add_bfloat16(sums, left, right);
    return 5;
  }
  return 0;
}

void on_undefined(int, siginfo_t*, void* at) {
  auto* const context = static_cast<ucontext_t*>(at);
  auto& next = context->uc_mcontext.gregs[REG_RIP];
  const int length = execute({reinterpret_cast<const std::uint8_t*>(next)}, *context);
  if (length > 0)
    next += length;
  else
    sigaction(SIGILL, &before, nullptr);  // who comes back to it meets the one before
}

}  // namespace

// The package asks for this where it would ask the operating system for tiles.
extern "C" bool lstm_native_emulates_tiles() {
  if (const char* no = std::getenv("TILES_REFUSED"); no && *no) return false;
  static bool installed = false;
  if (std::exchange(installed, true)) return true;
  struct sigaction action{};
  action.sa_sigaction = on_undefined;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  return sigaction(SIGILL, &action, &before) == 0;
}

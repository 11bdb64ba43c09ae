// Windows: no fork, and signals do not come to threads.
#include "system.hpp"

#include <intrin.h>
#include <malloc.h>
#include <windows.h>

#include <chrono>
#include <initializer_list>

namespace lstm_native {

// Large pages are for those alone to whom an administrator gave the right.
void* map_pages(std::size_t bytes, std::size_t) {
  return VirtualAlloc(nullptr, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

void unmap_pages(void* data, std::size_t) { VirtualFree(data, 0, MEM_RELEASE); }

void* allocate_aligned(std::size_t bytes, std::size_t boundary) {
  return _aligned_malloc(bytes, boundary);
}

void free_aligned(void* data) { _aligned_free(data); }

std::int64_t wall_time() {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
}

std::int64_t coarse_wall_time() { return static_cast<std::int64_t>(GetTickCount64()) * 1'000'000; }

// The system counts a thread's time in steps of 16 ms.
std::int64_t time_on_core() { return wall_time(); }

// What Windows calls so is of one group of processors, of which a machine may have several.
int affinity() { return 0; }

int at_fork(void (*)(), void (*)(), void (*)()) { return 0; }

WithoutSignals::WithoutSignals() {}
WithoutSignals::~WithoutSignals() {}

#ifdef LSTM_NATIVE_X86
namespace {

// The bits of AVX and of AVX-512 in the extended control register XCR0: what the system saves when
// it switches threads.
constexpr std::uint64_t ymm_state = 0x6, zmm_state = 0xe6;

bool saves(std::uint64_t state) { return (GetEnabledXStateFeatures() & state) == state; }

// One register of CPUID; Intel's manual, volume 2A, table 3-8. A subleaf above 0 is of leaf 7.
enum Register { eax, ebx, ecx, edx };
unsigned cpuid(int leaf, Register which, int subleaf = 0) {
  int values[4];
  __cpuidex(values, 0, 0);
  if (values[eax] < leaf) return 0;
  __cpuidex(values, leaf, 0);
  if (subleaf > 0) {
    if (values[eax] < subleaf) return 0;
    __cpuidex(values, leaf, subleaf);
  }
  return static_cast<unsigned>(values[which]);
}

bool has(unsigned features, std::initializer_list<int> bits) {
  for (const int bit : bits)
    if (!(features >> bit & 1)) return false;
  return true;
}

}  // namespace

bool runs_avx2() {
  constexpr int fma = 12, osxsave = 27, avx = 28, avx2 = 5;
  return has(cpuid(1, ecx), {fma, osxsave, avx}) && has(cpuid(7, ebx), {avx2}) && saves(ymm_state);
}

bool runs_avx512() {
  constexpr int f = 16, dq = 17, cd = 28, bw = 30, vl = 31;
  return runs_avx2() && has(cpuid(7, ebx), {f, dq, cd, bw, vl}) && saves(zmm_state);
}

bool runs_avx512_vnni() {
  constexpr int vnni = 11;
  return runs_avx512() && has(cpuid(7, ecx), {vnni});
}

bool runs_avx512_bf16() {
  constexpr int bf16 = 5;
  return runs_avx512_vnni() && has(cpuid(7, eax, 1), {bf16});
}
#else
bool runs_avx2() { return false; }
bool runs_avx512() { return false; }
bool runs_avx512_vnni() { return false; }
bool runs_avx512_bf16() { return false; }
#endif

// Nobody has tried them on Windows.
bool runs_amx() { return false; }
bool permits_tiles() { return false; }

}  // namespace lstm_native

#include "generator.hpp"

#include <cmath>
#include <cstring>
#include <type_traits>

namespace lstm_native {
namespace {

constexpr int shift_words = 397;
constexpr std::uint32_t matrix_a = 0x9908b0df, upper_bit = 0x80000000, lower_bits = 0x7fffffff;

// torch's CPUGeneratorImplState, little endian.
struct StateBytes {
  std::uint64_t seed;
  std::int32_t left, seeded;
  std::uint64_t next;
  std::uint64_t words[624];
  std::uint8_t rest[40];
};
static_assert(sizeof(StateBytes) == Generator::state_size);

}  // namespace

void Generator::manual_seed(std::uint64_t seed) {
  const std::lock_guard<ForkMutex> lock(mutex_);
  seed_ = seed;
  state_[0] = static_cast<std::uint32_t>(seed);
  for (std::uint32_t j = 1; j < words; ++j)
    state_[j] = 1812433253u * (state_[j - 1] ^ (state_[j - 1] >> 30)) + j;
  left_ = 1;
  next_ = 0;
  rest_.fill(0);
}

std::uint64_t Generator::initial_seed() const {
  const std::lock_guard<ForkMutex> lock(mutex_);
  return seed_;
}

std::uint32_t Generator::draw() {
  if (--left_ == 0) {
    for (int j = 0; j < words; ++j) {
      const std::uint32_t y = (state_[j] & upper_bit) | (state_[(j + 1) % words] & lower_bits);
      state_[j] = state_[(j + shift_words) % words] ^ (y >> 1) ^ ((y & 1) ? matrix_a : 0);
    }
    left_ = words;
    next_ = 0;
  }
  std::uint32_t y = state_[next_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680;
  y ^= (y << 15) & 0xefc60000;
  return y ^ (y >> 18);
}

std::uint64_t Generator::draw_two() {
  const std::uint64_t high = draw();
  return high << 32 | draw();
}

template <class T>
void Generator::uniform(T* values, Index count, double low, double high) {
  const std::lock_guard<ForkMutex> lock(mutex_);
  const T from = static_cast<T>(low), to = static_cast<T>(high);
  for (Index i = 0; i < count; ++i) {
    T unit;  // in [0, 1)
    if constexpr (std::is_same_v<T, float>)
      unit = static_cast<float>(draw() & ((1u << 24) - 1)) * 0x1p-24f;
    else
      unit = static_cast<double>(draw_two() & ((std::uint64_t{1} << 53) - 1)) * 0x1p-53;
    const T value = std::fma(unit, to - from, from);
    values[i] = value == to ? from : value;
  }
}
template void Generator::uniform<float>(float*, Index, double, double);
template void Generator::uniform<double>(double*, Index, double, double);

void Generator::bernoulli(std::uint8_t* keep, Index count, double probability) {
  const std::lock_guard<ForkMutex> lock(mutex_);
  for (Index i = 0; i < count; ++i)
    keep[i] =
        static_cast<double>(draw_two() & ((std::uint64_t{1} << 53) - 1)) * 0x1p-53 < probability;
}

std::string Generator::get_state() const {
  const std::lock_guard<ForkMutex> lock(mutex_);
  StateBytes bytes{};
  bytes.seed = seed_;
  bytes.left = left_;
  bytes.seeded = 1;
  bytes.next = next_;
  for (int j = 0; j < words; ++j) bytes.words[j] = state_[j];
  std::memcpy(bytes.rest, rest_.data(), sizeof bytes.rest);
  return std::string(reinterpret_cast<const char*>(&bytes), sizeof bytes);
}

bool Generator::set_state(const std::string& state) {
  if (state.size() != state_size) return false;
  StateBytes bytes;
  std::memcpy(&bytes, state.data(), sizeof bytes);
  // left - 1 words are drawn from `next` on before the state is renewed.
  if (!bytes.seeded || bytes.left < 1 || bytes.left > words ||
      bytes.next > static_cast<std::uint64_t>(words + 1 - bytes.left))
    return false;
  for (const std::uint64_t word : bytes.words)
    if (word >> 32) return false;
  const std::lock_guard<ForkMutex> lock(mutex_);
  seed_ = bytes.seed;
  left_ = bytes.left;
  next_ = static_cast<std::uint32_t>(bytes.next);
  for (int j = 0; j < words; ++j) state_[j] = static_cast<std::uint32_t>(bytes.words[j]);
  std::memcpy(rest_.data(), bytes.rest, sizeof bytes.rest);
  return true;
}

}  // namespace lstm_native

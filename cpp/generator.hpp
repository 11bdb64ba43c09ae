// Random numbers, torch's own.
//
// Owns: the Mersenne Twister behind torch's CPU generator, how torch turns its words into uniform
// numbers, and the bytes of its state. Must not know: what the numbers are for.
//
// Algorithm: Matsumoto and Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998), mt19937. Uniform
// numbers and state layout: as torch 2.13 on x86-64, tested bit for bit.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "fork_mutex.hpp"
#include "kernel_api.hpp"

namespace lstm_native {

class Generator {
 public:
  explicit Generator(std::uint64_t seed) { manual_seed(seed); }

  void manual_seed(std::uint64_t seed);
  std::uint64_t initial_seed() const;

  // values[i] uniform in [low, high): torch's Tensor.uniform_.
  template <class T>
  void uniform(T* values, Index count, double low, double high);

  // keep[i] is 1 with probability `probability`: torch's bernoulli_ on the CPU.
  void bernoulli(std::uint8_t* keep, Index count, double probability);

  static constexpr std::size_t state_size = 5056;
  std::string get_state() const;
  // False, and nothing changes, when the bytes are no state.
  bool set_state(const std::string& state);

 private:
  static constexpr int words = 624;

  std::uint32_t draw();
  std::uint64_t draw_two();  // the first word is the high one

  mutable ForkMutex mutex_;  // several Python threads may share one generator
  std::uint64_t seed_ = 0;
  std::array<std::uint32_t, words> state_{};
  int left_ = 1;  // words left before the state must be renewed, plus one
  std::uint32_t next_ = 0;
  // A normal number torch has in store; kept so that states pass through unharmed.
  std::array<std::uint8_t, 40> rest_{};
};

}  // namespace lstm_native

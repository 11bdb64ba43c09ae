// Networks of float32 whose weights are packed in one storage or another, and what they read.
//
// Owns: running them, whole or a row or a layer by itself; and that the bits of a run do not depend
// on how it is dealt out. Must not know: what a storage rounds.
#pragma once

#include <memory>
#include <vector>

#include "checks.hpp"
#include "dispatch.hpp"
#include "naive.hpp"
#include "plan.hpp"
#include "stack.hpp"

namespace problems {

using namespace lstm_native;
using Values = std::vector<float>;

// I, H and P of every remainder modulo 2 and 4; one tile of rows and several, of tiles of 32 rows,
// too; more features than a product keeps in L2, by an odd number.
inline constexpr naive::Sizes cases[] = {
    {1, 1, 1, 1, 1, 1, 0, false},    {4, 3, 2, 3, 1, 1, 0, true},
    {7, 1, 3, 5, 1, 1, 0, true},     {5, 5, 6, 18, 2, 2, 7, true},
    {6, 13, 16, 33, 1, 2, 30, true}, {9, 1, 65, 67, 3, 1, 31, true},
    {2, 14, 601, 9, 1, 1, 0, true},  {40, 2, 9, 130, 2, 1, 0, true},
    {3, 90, 5, 24, 1, 2, 0, false},  {5, 50, 70, 96, 2, 2, 40, true},
};

struct Run {
  Values y, h, c;
  bool same(const Run& other) const {
    return same_bits(y, other.y) && same_bits(h, other.h) && same_bits(c, other.c);
  }
};

inline Config config_of(const naive::Sizes& s) { return {s.I, s.H, s.L, s.bias, s.D == 2, s.proj}; }

inline Values slice(const Values& from, std::size_t begin, std::size_t count) {
  return {from.begin() + static_cast<std::ptrdiff_t>(begin),
          from.begin() + static_cast<std::ptrdiff_t>(begin + count)};
}

// Sequences of a network: its parameters and what it reads.
struct Problem {
  naive::Sizes s;
  Values parameters;
  std::vector<Index> length;
  Values x, h, c;

  Problem(const naive::Sizes& sizes, const naive::Problem& from)
      : s(sizes),
        parameters(from.parameters.begin(), from.parameters.end()),
        length(from.length.begin(), from.length.end()),
        x(from.x.begin(), from.x.end()),
        h(from.h.begin(), from.h.end()),
        c(from.c.begin(), from.c.end()) {}

  Weights<float> packed(Storage storage) const {
    return Weights<float>(config_of(s), parameters.data(), storage);
  }

  Run run(const Weights<float>& weights) const {
    Run r{Values(static_cast<std::size_t>(s.T * s.N * s.D * s.P())), h, c};
    const Schedule schedule = Schedule::padded(length.data(), s.N);
    const auto offsets = [&](Index features) {
      return Offsets::strided(schedule, s.N * features, features);
    };
    Dropout none;
    forward(weights,
            Sequences<float>{Schedule::padded(length.data(), s.N), offsets(s.I),
                             offsets(s.D * s.P()), x.data(), r.y.data(), r.h.data(), r.c.data()},
            none);
    return r;
  }
  Run run(Storage storage) const { return run(packed(storage)); }

  // Row n by itself.
  Problem row(int n) const {
    Problem one = *this;
    one.s.N = 1;
    one.length = {length[n]};
    const auto rows = [&](const Values& of, int count, int features) {
      Values taken;
      for (int i = 0; i < count; ++i) {
        const Values part = slice(of, (i * s.N + n) * features, features);
        taken.insert(taken.end(), part.begin(), part.end());
      }
      return taken;
    };
    one.x = rows(x, s.T, s.I);
    one.h = rows(h, s.L * s.D, s.P());
    one.c = rows(c, s.L * s.D, s.H);
    return one;
  }

  // Layer l in direction d by itself, whose input is `input`.
  Problem layer(int l, int d, const Values& input) const {
    Problem one = *this;
    one.s = {s.T, s.N, s.layer_input(l), s.H, 1, 1, s.proj, s.bias};
    std::size_t begin = 0;
    for (int below = 0; below < l; ++below) begin += s.D * s.layer_parameters(below);
    one.parameters = slice(parameters, begin + d * s.layer_parameters(l), s.layer_parameters(l));
    one.x = input;
    const std::size_t state = (l * s.D + d) * s.N;
    one.h = slice(h, state * s.P(), s.N * s.P());
    one.c = slice(c, state * s.H, s.N * s.H);
    return one;
  }
};

// Rows alone or together, by whole stacks, layers or steps, with weights that lie elsewhere, on any
// threads: the same bits.
void check_bits(const Problem& p, Storage wanted);

}  // namespace problems

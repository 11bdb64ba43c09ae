// An LSTM in plain loops and doubles: what the library is compared with where there is no Python.
//
// Owns: the reference, forward and backward, one row after another; and made-up problems for it.
// Must not know: the library.
#pragma once

#include <random>
#include <vector>

namespace naive {

using Array = std::vector<double>;

struct Sizes {
  int T, N, I, H, L, D, proj;
  bool bias;
  int P() const { return proj ? proj : H; }
  int layer_input(int layer) const { return layer ? D * P() : I; }
  int layer_parameters(int layer) const {
    return 4 * H * (layer_input(layer) + P() + (bias ? 2 : 0)) + proj * H;
  }
  int parameters() const {
    int count = 0;
    for (int l = 0; l < L; ++l) count += D * layer_parameters(l);
    return count;
  }
};

struct Problem {
  Array parameters;         // flat, in state_dict order
  std::vector<int> length;  // [N]
  Array x;                  // [T, N, I]
  Array h, c;               // [L * D, N, P], [L * D, N, H]
  Array dy;                 // [T, N, D * P]
  Array dh, dc;             // of h_n and c_n
};

struct Results {
  Array y, h, c, dx, dh, dc, d_parameters;
};

// Every number is exact in float, so that both dtypes see the same ones. Of `ragged` rows one has
// all T steps.
Problem draw_problem(const Sizes& sizes, bool ragged, std::mt19937& random);

Results run(const Sizes& sizes, const Problem& problem);

}  // namespace naive

// Packed weights in fewer bytes: bfloat16 against weights rounded before, to the bit; int8 against
// sums of integers and a bound of what rounding may cost; and the same bits however they are run.
//
// A stack is held to its layers and directions run one by one, and these, step by step, to one step
// in plain loops. So no rounding adds up, and a byte that turns is not met.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "problems.hpp"

namespace {

using namespace problems;

// --- bfloat16 ---

// To `digits` significant binary digits, to the even one of two.
float to_digits(float value, int digits) {
  int exponent;
  const double fraction = std::frexp(static_cast<double>(value), &exponent);
  return static_cast<float>(
      std::ldexp(std::nearbyint(std::ldexp(fraction, digits)), exponent - digits));
}

// Calls f(parameter) for all weights and no bias.
template <class F>
void for_weights(Problem& p, const F& f) {
  const naive::Sizes& s = p.s;
  float* next = p.parameters.data();
  const auto visit = [&](int count) {
    for (int i = 0; i < count; ++i) f(*next++);
  };
  for (int l = 0; l < s.L; ++l)
    for (int d = 0; d < s.D; ++d) {
      visit(4 * s.H * (s.layer_input(l) + s.P()));
      next += s.bias ? 8 * s.H : 0;
      visit(s.proj * s.H);
    }
}

void check_bfloat16(const Problem& given) {
  Problem p = given, rounded = given;
  // Of nine digits every second weight lies in the middle between two of eight.
  int i = 0;
  for_weights(p, [&](float& weight) {
    if (++i % 3 == 0) weight = to_digits(weight, 9);
  });
  rounded.parameters = p.parameters;
  for_weights(rounded, [](float& weight) { weight = to_digits(weight, 8); });
  check(p.run(Storage::bfloat16).same(rounded.run(Storage::plain)),
        "bfloat16 is not the network of rounded weights");
}

// --- int8 ---

// A row as integers, and what they are to be multiplied with.
struct Bytes {
  std::vector<int> value;
  double scale;
  Bytes(const float* row, int count) : value(count) {
    float most = 0;
    for (int k = 0; k < count; ++k) most = std::max(most, std::abs(row[k]));
    scale = most / 127;
    for (int k = 0; k < count && most > 0; ++k)
      value[k] = static_cast<int>(std::nearbyint(row[k] * (127 / most)));
  }
};

// A row times another: of bytes, and what that may be off. With a and b off by half a scale each,
// which bytes are at most, a b is off by |a| s_b / 2 + |b| s_a / 2 + s_a s_b / 4.
struct Product {
  double exact = 0, in_bytes = 0, bound = 0;
  Product(const float* a, const float* b, int count) {
    const Bytes p(a, count), q(b, count);
    long long sum = 0;
    for (int k = 0; k < count; ++k) {
      exact += static_cast<double>(a[k]) * b[k];
      sum += p.value[k] * q.value[k];
      bound += (std::abs(a[k]) * q.scale + std::abs(b[k]) * p.scale + p.scale * q.scale / 2) / 2;
    }
    in_bytes = static_cast<double>(sum) * p.scale * q.scale;
  }
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// What the next step of one row should give, and how far plain weights may be from it.
struct Step {
  std::vector<double> c, h, c_bound, h_bound;
  double one_byte = 0;  // of h, when a byte of what is projected turns
};

Step step_in_bytes(const Problem& p, const float* x, const float* h, const float* c) {
  const int H = p.s.H, I = p.s.I, P = p.s.P();
  const float* w_ih = p.parameters.data();
  const float* w_hh = w_ih + 4 * H * I;
  const float* bias = w_hh + 4 * H * P;
  const float* w_hr = bias + (p.s.bias ? 8 * H : 0);
  Step step;
  Values cell;
  std::vector<double> cell_bound;
  for (int u = 0; u < H; ++u) {
    double z[4], off[4];
    for (int gate = 0; gate < 4; ++gate) {
      const int row = gate * H + u;
      const Product input(w_ih + row * I, x, I), recurrent(w_hh + row * P, h, P);
      z[gate] = input.in_bytes + recurrent.in_bytes;
      if (p.s.bias) z[gate] += static_cast<double>(bias[row] + bias[4 * H + row]);
      off[gate] = input.bound + recurrent.bound;
    }
    // A sigmoid is no steeper than 1/4, tanh no steeper than 1, and neither is larger than 1.
    const double c_next = sigmoid(z[1]) * c[u] + sigmoid(z[0]) * std::tanh(z[2]);
    const double c_off = off[1] / 4 * std::abs(c[u]) + off[0] / 4 + off[2];
    step.c.push_back(c_next);
    step.c_bound.push_back(c_off);
    cell.push_back(static_cast<float>(sigmoid(z[3]) * std::tanh(c_next)));
    cell_bound.push_back(off[3] / 4 + c_off);
  }
  if (!p.s.proj) {
    step.h.assign(cell.begin(), cell.end());
    step.h_bound = cell_bound;
    return step;
  }
  const double scale = Bytes(cell.data(), H).scale;
  for (int k = 0; k < P; ++k) {
    const float* row = w_hr + k * H;
    const Product product(row, cell.data(), H);
    double off = product.bound;
    for (int u = 0; u < H; ++u) {
      off += std::abs(row[u]) * cell_bound[u];
      step.one_byte = std::max(step.one_byte, std::abs(row[u]) * scale * 1.01);
    }
    step.h.push_back(product.in_bytes);
    step.h_bound.push_back(off);
  }
  return step;
}

double farthest(const float* got, const std::vector<double>& expected) {
  double most = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double off = std::abs(got[i] - expected[i]);
    if (!(off <= most)) most = off;  // NaN too
  }
  return most;
}

// One layer in one direction: every step from the states that plain weights come to.
void check_int8(const Problem& p) {
  const naive::Sizes& s = p.s;
  const Weights<float> plain = p.packed(Storage::plain), bytes = p.packed(Storage::int8);
  const double rounding = 2e-6;
  Problem frame = p;
  frame.s.T = 1;
  frame.length.assign(s.N, 1);
  bool sums = true, bounds = true;
  for (int t = 0; t < s.T; ++t) {
    frame.x = slice(p.x, t * s.N * s.I, s.N * s.I);
    const Run expected = frame.run(plain), got = frame.run(bytes);
    for (int n = 0; n < s.N; ++n) {
      const Step step = step_in_bytes(p, &frame.x[n * s.I], &frame.h[n * s.P()], &frame.c[n * s.H]);
      sums = sums && farthest(&got.c[n * s.H], step.c) <= rounding &&
             farthest(&got.h[n * s.P()], step.h) <= rounding + step.one_byte;
      for (int u = 0; u < s.H; ++u)
        bounds = bounds && std::abs(got.c[n * s.H + u] - expected.c[n * s.H + u]) <=
                               step.c_bound[u] + rounding;
      for (int k = 0; k < s.P(); ++k)
        bounds = bounds && std::abs(got.h[n * s.P() + k] - expected.h[n * s.P() + k]) <=
                               step.h_bound[k] + rounding;
    }
    frame.h = expected.h;
    frame.c = expected.c;
  }
  check(sums, "int8 is not a sum of integers");
  check(bounds, "int8 is farther from plain weights than rounding can bring it");
}

// A frame that is not finite makes NaN of its own row alone, from there on.
void check_not_finite(const Problem& p) {
  Problem bad = p;
  bad.x[0] = INFINITY;  // step 0 of row 0
  const Run clean = p.run(Storage::int8), got = bad.run(Storage::int8);
  const int P = p.s.P();
  bool holds = true;
  for (int t = 0; t < p.s.T; ++t)
    for (int k = 0; k < p.s.N * P; ++k) {
      const float value = got.y[t * p.s.N * P + k];
      holds = holds && (k < P ? std::isnan(value) : value == clean.y[t * p.s.N * P + k]);
    }
  check(holds, "a row that is not finite");
}

// Where 127 over the largest would be infinite, all bytes are zero, whatever they meet.
void check_too_small(const Problem& p) {
  const int inputs = 4 * p.s.H * p.s.I;
  for (const float size : {1e-38F, 1e38F}) {
    Problem odd = p, zero = p;
    for (float& value : odd.x) value *= size;
    for (int i = 0; i < inputs; ++i) odd.parameters[i] *= 1 / size;
    std::fill(zero.x.begin(), zero.x.end(), 0.0F);
    check(odd.run(Storage::int8).same(zero.run(Storage::int8)), "numbers that have no inverse");
  }
}

}  // namespace

void check_storages() {
  std::mt19937 random(2);
  for (const naive::Sizes& s : cases)
    for (const bool ragged : {false, true}) {
      std::printf("rounded: T %d N %d I %d H %d L %d D %d proj %d bias %d%s\n", s.T, s.N, s.I, s.H,
                  s.L, s.D, s.proj, s.bias, ragged ? " ragged" : "");
      const Problem p(s, naive::draw_problem(s, ragged, random));
      force_dealing(Dealing::any);
      check_bfloat16(p);
      if (!ragged) check_int8(p.layer(0, 0, p.x));
      if (!ragged) check_not_finite(p.layer(0, 0, p.x));
      if (!ragged) check_too_small(p.layer(0, 0, p.x));
      for (const Storage storage : {Storage::bfloat16, Storage::int8, Storage::bfloat16_pairs})
        if (multiplies(storage)) check_bits(p, storage);
    }
  force_dealing(Dealing::any);
}

// Packed weights in fewer bytes: bfloat16 against weights rounded before, to the bit; int8 against
// sums of integers and a bound of what rounding may cost; and the same bits however they are run,
// of pairs of bfloat16, too.
//
// A stack is held to its layers and directions run one by one, and these, step by step, to one step
// in plain loops. So no rounding adds up, and a byte that turns is not met.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "checks.hpp"
#include "dispatch.hpp"
#include "naive.hpp"
#include "plan.hpp"
#include "stack.hpp"

namespace {

using namespace lstm_native;
using Values = std::vector<float>;

// I, H and P of every remainder modulo 2 and 4; one tile of rows and several; more features than a
// product keeps in L2, by an odd number.
constexpr naive::Sizes cases[] = {
    {1, 1, 1, 1, 1, 1, 0, false},   {4, 3, 2, 3, 1, 1, 0, true},     {7, 1, 3, 5, 1, 1, 0, true},
    {5, 5, 6, 18, 2, 2, 7, true},   {6, 13, 16, 33, 1, 2, 30, true}, {9, 1, 65, 67, 3, 1, 31, true},
    {2, 14, 601, 9, 1, 1, 0, true}, {40, 2, 9, 130, 2, 1, 0, true},  {3, 90, 5, 24, 1, 2, 0, false},
};

struct Run {
  Values y, h, c;
  bool same(const Run& other) const {
    return same_bits(y, other.y) && same_bits(h, other.h) && same_bits(c, other.c);
  }
};

Config config_of(const naive::Sizes& s) { return {s.I, s.H, s.L, s.bias, s.D == 2, s.proj}; }

Values slice(const Values& from, std::size_t begin, std::size_t count) {
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

// Every row's own steps backwards.
Values backwards(const Values& frames, const Problem& p, int features) {
  Values turned(frames.size());
  for (int n = 0; n < p.s.N; ++n)
    for (Index t = 0; t < p.length[n]; ++t)
      std::copy_n(&frames[(t * p.s.N + n) * features], features,
                  &turned[((p.length[n] - 1 - t) * p.s.N + n) * features]);
  return turned;
}

Run layer_by_layer(const Problem& p, Storage storage) {
  const naive::Sizes& s = p.s;
  Run all;
  Values input = p.x;
  for (int l = 0; l < s.L; ++l) {
    Values output(static_cast<std::size_t>(s.T * s.N * s.D * s.P()));
    for (int d = 0; d < s.D; ++d) {
      const Problem one = p.layer(l, d, d == 1 ? backwards(input, p, s.layer_input(l)) : input);
      const Run r = one.run(storage);
      const Values y = d == 1 ? backwards(r.y, p, s.P()) : r.y;
      for (int frame = 0; frame < s.T * s.N; ++frame)
        std::copy_n(&y[frame * s.P()], s.P(), &output[(frame * s.D + d) * s.P()]);
      all.h.insert(all.h.end(), r.h.begin(), r.h.end());
      all.c.insert(all.c.end(), r.c.begin(), r.c.end());
    }
    input = output;
  }
  all.y = input;
  return all;
}

// Frame by frame, as a stream does it.
Run step_by_step(const Problem& p, Storage storage) {
  const naive::Sizes& s = p.s;
  Run r{Values(static_cast<std::size_t>(s.T * s.N * s.P())), p.h, p.c};
  const Schedule one = Schedule::dense(1, s.N);
  RepeatedForward<float> stack(
      std::make_shared<const Weights<float>>(p.packed(storage)),
      Sequences<float>{Schedule::dense(1, s.N), Offsets::strided(one, 0, s.I),
                       Offsets::strided(one, 0, s.P()), nullptr, nullptr, r.h.data(), r.c.data()});
  for (int t = 0; t < s.T; ++t) stack.run(&p.x[t * s.N * s.I], &r.y[t * s.N * s.P()]);
  return r;
}

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

// --- all ---

void check_bits(const Problem& p, Storage storage) {
  force_dealing(Dealing::alone);
  set_num_threads(1);
  const Weights<float> weights = p.packed(storage);
  const Run alone = p.run(weights);
  check(alone.same(layer_by_layer(p, storage)), "a stack is not its layers");
  check(alone.same(p.run(Weights<float>::lying_at(config_of(p.s), weights.panels(), storage))),
        "weights that lie elsewhere");
  if (p.s.D == 1 && *std::min_element(p.length.begin(), p.length.end()) == p.s.T)
    check(alone.same(step_by_step(p, storage)), "steps change the bits");
  const int frame = p.s.D * p.s.P();
  for (int n = 0; n < std::min(p.s.N, 7); ++n) {
    const Run row = p.row(n).run(storage);
    Values of_row;
    for (int t = 0; t < p.s.T; ++t) {
      const Values part = slice(alone.y, (t * p.s.N + n) * frame, frame);
      of_row.insert(of_row.end(), part.begin(), part.end());
    }
    of_row.resize(row.y.size());
    check(same_bits(slice(row.y, 0, p.length[n] * frame), slice(of_row, 0, p.length[n] * frame)),
          "the rows beside it change the bits");
  }
  for (const Dealing dealing :
       {Dealing::rows, Dealing::units, Dealing::tail, Dealing::directions, Dealing::layers})
    for (const int threads : {2, 5}) {
      force_dealing(dealing);
      set_num_threads(threads);
      check(alone.same(p.run(p.packed(storage))), "threads change the bits");
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
      for (const Storage storage : {Storage::bfloat16, Storage::int8}) check_bits(p, storage);
      if (multiplies_bfloat16_pairs()) check_bits(p, Storage::bfloat16_pairs);
    }
}

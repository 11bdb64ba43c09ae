// Weights and rows as sums of bfloat16 parts, where there are tiles: how far from doubles their
// results are, beside those of float32; what parts cannot hold; and the same bits however they are
// run.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "problems.hpp"

namespace {

using namespace problems;

// How far results are from doubles: at most, and their root mean square.
struct Errors {
  double largest = 0, squares = 0;
  void add(const Values& got, const naive::Array& exact) {
    for (std::size_t i = 0; i < got.size(); ++i) {
      const double off = std::abs(got[i] - exact[i]);
      if (!(off <= largest)) largest = off;  // NaN too
      squares += off * off;
    }
  }
};

Errors errors_of(const Problem& p, const naive::Results& exact, const Weights<float>& weights) {
  const Run r = p.run(weights);
  Errors errors;
  errors.add(r.y, exact.y);
  errors.add(r.h, exact.h);
  errors.add(r.c, exact.c);
  return errors;
}

// What sums of floats find hard. Of the layer's weights for x, in either direction, and of x.
enum class Trouble {
  none,
  cancellation,
  wide_exponents,
  large,
  small,
  neighbours_cancel,
  one_cancels
};
constexpr Trouble troubles[] = {
    Trouble::none,  Trouble::cancellation,      Trouble::wide_exponents, Trouble::large,
    Trouble::small, Trouble::neighbours_cancel, Trouble::one_cancels};

// Where even and odd products, summed up apart, or small parts before large ones, meet a sum that
// is soon gone: errors are those of the largest sum on the way.
bool as_large_as_sums(Trouble trouble) {
  return trouble == Trouble::neighbours_cancel || trouble == Trouble::one_cancels;
}

naive::Problem troubled(const naive::Sizes& s, naive::Problem p, Trouble trouble,
                        std::mt19937& random) {
  const auto exact = [](double value) { return static_cast<double>(static_cast<float>(value)); };
  const auto for_x = [&](const auto& f) {
    for (int frame = 0; frame < s.T * s.N; ++frame) f(&p.x[frame * s.I]);
  };
  const auto for_weights = [&](const auto& f) {
    for (int d = 0; d < s.D; ++d)
      for (int row = 0; row < 4 * s.H; ++row)
        f(&p.parameters[d * s.layer_parameters(0) + row * s.I]);
  };
  const auto scale = [&](int k, double factor) {
    for_x([&](double* x) { x[k] = exact(x[k] * factor); });
    for_weights([&](double* w) { w[k] = exact(w[k] / factor); });
  };
  // Two products a thousand times as large as their sum.
  const auto cancel = [&](int k, int other) {
    for_x([&](double* x) { x[other] = x[k]; });
    for_weights([&](double* w) {
      const double sum = w[other];
      w[k] = exact(1000 * w[k]);
      w[other] = exact(sum - w[k]);
    });
  };
  const int half = s.I / 2;
  for (int k = 0; k < s.I; ++k) {
    if (trouble == Trouble::cancellation && k < half) cancel(k, k + half);
    if (trouble == Trouble::neighbours_cancel && k < half) cancel(2 * k, 2 * k + 1);
    if (trouble == Trouble::wide_exponents)
      scale(k, std::ldexp(1, static_cast<int>(random() % 80) - 40));
    if (trouble == Trouble::large) scale(k, 0x1p40);
    if (trouble == Trouble::small) scale(k, 0x1p-40);
  }
  if (trouble == Trouble::one_cancels) {  // one feature takes back what the first has brought
    for_x([](double* x) { x[0] = x[1] = 1.5; });
    for_weights([&](double* w) {
      w[0] = exact(1000 * w[0]);
      w[1] = -w[0];
    });
  }
  return p;
}

// The largest sum of the sizes of a gate's products for x.
double largest_sum(const naive::Sizes& s, const naive::Problem& p) {
  double largest = 0;
  for (int frame = 0; frame < s.T * s.N; ++frame)
    for (int row = 0; row < 4 * s.H; ++row) {
      double sum = 0;
      for (int k = 0; k < s.I; ++k)
        sum += std::abs(p.x[frame * s.I + k] * p.parameters[row * s.I + k]);
      largest = std::max(largest, sum);
    }
  return largest;
}

void check_errors(const naive::Sizes& s, std::mt19937& random) {
  for (const Trouble trouble : troubles) {
    const naive::Problem drawn =
        troubled(s, naive::draw_problem(s, false, random), trouble, random);
    const naive::Results exact = naive::run(s, drawn);
    const Problem p(s, drawn);
    const auto errors = [&](Storage storage) { return errors_of(p, exact, p.packed(storage)); };
    const Errors plain = errors(Storage::plain), three = errors(Storage::three_parts);
    std::printf("  trouble %d: float32 %.1e", static_cast<int>(trouble), plain.largest);
    check(p.packed(Storage::three_parts).storage() == Storage::three_parts,
          "three parts are plain");
    if (as_large_as_sums(trouble))
      check(three.largest <= 0x1p-22 * largest_sum(s, drawn),
            "three parts are farther from doubles than sums of floats may be");
    else
      check(three.largest <= plain.largest && three.squares <= plain.squares,
            "three parts are farther from doubles than float32");
    std::printf(", three parts %.1e, two %.1e, one %.1e\n", three.largest,
                errors(Storage::two_parts).largest, errors(Storage::one_part).largest);
    if (trouble != Trouble::none) continue;
    check(errors(Storage::two_parts).largest <= 2e-5, "two parts are farther off than they say");
    check(errors(Storage::one_part).largest <= 1e-2, "one part is farther off than it says");
  }
}

// A row that parts cannot stand for is multiplied as float32 is, to the bit, wherever in it that
// shows; those beside it are not touched by it.
void check_rows_beyond_parts(const Problem& given) {
  Problem one_step = given;
  one_step.s.T = 1;
  one_step.length.assign(given.s.N, 1);
  one_step.x.resize(given.s.N * given.s.I);
  const Run clean = one_step.run(Storage::three_parts);
  const std::size_t H = given.s.H, P = given.s.P();
  const auto first_row_is_plain = [&](float odd, std::size_t at) {
    Problem bad = one_step;
    bad.x[at % given.s.I] = odd;
    bad.h[at % P] = odd;  // the row of h, too: else it would be in parts
    const Run got = bad.run(Storage::three_parts), plain = bad.run(Storage::plain);
    check(same_bits(slice(got.y, P, got.y.size() - P), slice(clean.y, P, clean.y.size() - P)),
          "a row beside one that is beyond parts");
    return same_bits(slice(got.c, 0, H), slice(plain.c, 0, H));
  };
  for (const std::size_t at : {0, 17, 63})
    for (const float odd : {INFINITY, -INFINITY, NAN, 3.4e38F, -0x1.000002p50F, 0x1.fffffep-104F})
      check(first_row_is_plain(odd, at), "a row beyond parts");
  check(!first_row_is_plain(0x1p-103F, 5), "a row that is just within parts");
}

// Weights that parts cannot stand for are packed as they are, and so are those of few features.
void check_weights_beyond_parts(const Problem& given) {
  const naive::Sizes& s = given.s;
  const auto stored = [&](float odd, std::size_t at) {
    Problem changed = given;
    changed.parameters[at] = odd;
    const Weights<float> packed = changed.packed(Storage::three_parts);
    check(packed.wanted() == Storage::three_parts, "what was asked for is forgotten");
    return packed.storage();
  };
  const std::size_t w_ih = 5, w_hh = 4 * s.H * s.I + 70, last = given.parameters.size() - 1;
  for (const std::size_t at : {w_ih, w_hh, s.proj || !s.bias ? last : w_hh})
    for (const float odd : {INFINITY, NAN, 3.4e38F, -0x1.000002p50F, 0x1.fffffep-104F}) {
      check(stored(odd, at) == Storage::plain, "weights beyond parts");
      check(stored(0x1p50F, at) == Storage::three_parts, "weights just within parts");
      check(stored(0x1p-103F, at) == Storage::three_parts, "weights just within parts");
    }
}

// Fewer than 64 features, of x or of h.
void check_few_features(std::mt19937& random) {
  for (const naive::Sizes& s :
       {naive::Sizes{1, 1, 63, 64, 1, 1, 0, true}, naive::Sizes{1, 1, 64, 63, 1, 1, 0, true},
        naive::Sizes{1, 1, 64, 70, 1, 1, 63, true}})
    check(
        Problem(s, naive::draw_problem(s, false, random)).packed(Storage::three_parts).storage() ==
            Storage::plain,
        "three parts of few features");
}

}  // namespace

void check_parts() {
  if (!multiplies(Storage::one_part)) return;
  std::mt19937 random(3);
  for (const naive::Sizes& s :
       {naive::Sizes{4, 20, 64, 64, 1, 1, 0, true}, naive::Sizes{3, 40, 96, 130, 1, 2, 65, true},
        naive::Sizes{2, 9, 300, 256, 2, 1, 0, false}}) {
    std::printf("parts: T %d N %d I %d H %d L %d D %d proj %d\n", s.T, s.N, s.I, s.H, s.L, s.D,
                s.proj);
    check_errors(s, random);
    const Problem p(s, naive::draw_problem(s, false, random));
    check_rows_beyond_parts(p.layer(0, 0, p.x));
    check_weights_beyond_parts(p);
  }
  check_few_features(random);
  for (const naive::Sizes& s : cases)
    for (const bool ragged : {false, true}) {
      std::printf("in parts: T %d N %d I %d H %d L %d D %d proj %d bias %d%s\n", s.T, s.N, s.I, s.H,
                  s.L, s.D, s.proj, s.bias, ragged ? " ragged" : "");
      const Problem p(s, naive::draw_problem(s, ragged, random));
      for (const Storage storage : {Storage::one_part, Storage::two_parts, Storage::three_parts})
        check_bits(p, storage);
    }
  force_dealing(Dealing::any);
}

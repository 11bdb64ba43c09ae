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

// What sums of floats find hard. Of one layer's weights for x, and x.
enum class Trouble { none, cancellation, neighbours_cancel, wide_exponents, large, small };
constexpr Trouble troubles[] = {
    Trouble::none,           Trouble::cancellation, Trouble::neighbours_cancel,
    Trouble::wide_exponents, Trouble::large,        Trouble::small};

naive::Problem troubled(const naive::Sizes& s, naive::Problem p, Trouble trouble,
                        std::mt19937& random) {
  const auto exact = [](double value) { return static_cast<double>(static_cast<float>(value)); };
  const auto for_x = [&](const auto& f) {
    for (int frame = 0; frame < s.T * s.N; ++frame) f(&p.x[frame * s.I]);
  };
  const auto for_weights = [&](const auto& f) {
    for (int row = 0; row < 4 * s.H; ++row) f(&p.parameters[row * s.I]);
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
      scale(k, std::ldexp(1, static_cast<int>(random() % 160) - 80));
    if (trouble == Trouble::large) scale(k, 0x1p60);
    if (trouble == Trouble::small) scale(k, 0x1p-108);
  }
  return p;
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
    // Even and odd products are summed up apart: neighbours do not cancel at once.
    const double allowed = trouble == Trouble::neighbours_cancel ? 2 : 1;
    check(three.largest <= allowed * plain.largest &&
              three.squares <= allowed * allowed * plain.squares,
          "three parts are farther from doubles than float32");
    std::printf(", three parts %.1e, two %.1e, one %.1e\n", three.largest,
                errors(Storage::two_parts).largest, errors(Storage::one_part).largest);
    if (trouble != Trouble::none) continue;
    check(errors(Storage::two_parts).largest <= 2e-5, "two parts are farther off than they say");
    check(errors(Storage::one_part).largest <= 1e-2, "one part is farther off than it says");
  }
}

// A row that parts cannot stand for is multiplied as float32 is, to the bit; those beside it are
// not touched by it.
void check_rows_beyond_parts(const Problem& given) {
  for (const float odd : {INFINITY, -INFINITY, NAN, 3.4e38F, 1e-35F}) {
    Problem one_step = given;
    one_step.s.T = 1;
    one_step.length.assign(given.s.N, 1);
    one_step.x.resize(given.s.N * given.s.I);
    // The rows of h, too: else they would be in parts.
    Problem bad = one_step;
    bad.x[0] = odd;
    bad.h[0] = odd;
    const Run clean = one_step.run(Storage::three_parts), got = bad.run(Storage::three_parts),
              plain = bad.run(Storage::plain);
    const std::size_t H = given.s.H, P = given.s.P();
    check(same_bits(slice(got.c, 0, H), slice(plain.c, 0, H)), "a row beyond parts");
    check(same_bits(slice(got.y, P, got.y.size() - P), slice(clean.y, P, clean.y.size() - P)),
          "a row beside one that is beyond parts");
  }
}

// Weights that parts cannot stand for, or that are too few, are packed as they are.
void check_weights_beyond_parts(const Problem& given) {
  for (const float odd : {INFINITY, NAN, 3.4e38F, 1e-35F}) {
    Problem bad = given;
    bad.parameters[5] = odd;
    const Weights<float> packed = bad.packed(Storage::three_parts);
    check(packed.storage() == Storage::plain && packed.wanted() == Storage::three_parts,
          "weights beyond parts");
  }
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

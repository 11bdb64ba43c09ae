// Networks of many sizes, forward and backward, against naive.hpp; and the same bits whatever the
// threads, the layout and the checkpoints.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numeric>

#include "checks.hpp"
#include "dispatch.hpp"
#include "naive.hpp"
#include "plan.hpp"
#include "stack.hpp"

namespace {

using namespace lstm_native;

// Around the edges of a tile of 3 or 6 rows and packets of 2 to 16; the last two are long enough
// for several chunks of frames and several segments.
constexpr naive::Sizes cases[] = {
    {4, 3, 3, 5, 1, 1, 0, true},      {3, 1, 1, 1, 1, 1, 0, false},
    {7, 5, 3, 4, 2, 2, 0, true},      {6, 13, 16, 16, 2, 1, 0, false},
    {5, 7, 17, 33, 1, 2, 16, true},   {4, 14, 65, 67, 2, 2, 31, true},
    {9, 25, 40, 70, 1, 1, 0, true},   {40, 1, 9, 40, 3, 1, 0, true},
    {12, 4, 12, 130, 1, 1, 64, true}, {300, 1, 5, 24, 1, 2, 0, true},
    {70, 9, 6, 10, 2, 1, 3, true},
};

struct Layout {
  bool packed;
  Index checkpoint;
};

template <class T>
using Values = std::vector<T>;

// Every result of a run, one after another: y, h, c, dx, dh, dc, d_parameters.
template <class T>
struct Run {
  Values<T> part[7];
};

template <class T>
Values<T> cast(const naive::Array& values) {
  return {values.begin(), values.end()};
}

// Frames of `features`, from (T, N) order to the order of a packed sequence and back.
template <class T>
class Packing {
 public:
  explicit Packing(const std::vector<int>& length) : length_(length) {
    order_.resize(length.size());
    std::iota(order_.begin(), order_.end(), 0);
    std::stable_sort(order_.begin(), order_.end(),
                     [&](Index a, Index b) { return length[a] > length[b]; });
    for (Index t = 0;; ++t) {
      const auto live = std::count_if(length.begin(), length.end(), [&](int l) { return l > t; });
      if (live == 0) break;
      rows_.push_back(live);
    }
  }
  // A packed sequence has no rows without frames.
  bool possible() const { return *std::min_element(length_.begin(), length_.end()) > 0; }
  Schedule schedule() const {
    return Schedule::packed(rows_.data(), static_cast<Index>(rows_.size()), order_.data());
  }
  Values<T> pack(const Values<T>& from, Index features) const {
    Values<T> to(from.size());
    move(features, [&](Index padded, Index packed) { to[packed] = from[padded]; });
    return to;
  }
  Values<T> unpack(const Values<T>& from, Index features) const {
    Values<T> to(from.size());
    move(features, [&](Index padded, Index packed) { to[padded] = from[packed]; });
    return to;
  }

 private:
  template <class F>
  void move(Index features, const F& f) const {
    Index frame = 0;
    for (Index t = 0; t < static_cast<Index>(rows_.size()); ++t)
      for (Index r = 0; r < rows_[t]; ++r, ++frame)
        for (Index j = 0; j < features; ++j)
          f((t * static_cast<Index>(order_.size()) + order_[r]) * features + j,
            frame * features + j);
  }

  const std::vector<int>& length_;
  std::vector<Index> order_, rows_;
};

template <class T>
Run<T> run(const naive::Sizes& s, const naive::Problem& problem, Layout layout) {
  const Config config{s.I, s.H, s.L, s.bias, s.D == 2, s.proj};
  const Values<T> flat = cast<T>(problem.parameters);
  const auto weights = std::make_shared<const Weights<T>>(config, flat.data());
  const Index y_size = s.D * s.P(), x_size = s.I;
  const std::vector<Index> lengths(problem.length.begin(), problem.length.end());
  const Packing<T> packing(problem.length);
  const auto schedule = [&] {
    return layout.packed ? packing.schedule() : Schedule::padded(lengths.data(), s.N);
  };
  const auto offsets = [&](Index features) {
    return layout.packed ? Offsets::packed(schedule(), features)
                         : Offsets::strided(schedule(), s.N * features, features);
  };
  const auto arranged = [&](const naive::Array& values, Index features) {
    return layout.packed ? packing.pack(cast<T>(values), features) : cast<T>(values);
  };
  const Values<T> x = arranged(problem.x, x_size), dy = arranged(problem.dy, y_size);
  Run<T> r{{Values<T>(dy.size()), cast<T>(problem.h), cast<T>(problem.c), Values<T>(x.size()),
            cast<T>(problem.dh), cast<T>(problem.dc), Values<T>(flat.size())}};
  auto& [y, h, c, dx, dh, dc, d_parameters] = r.part;
  const auto sequences = [&](Values<T>& to, Values<T>& h_state, Values<T>& c_state) {
    return Sequences<T>{schedule(), offsets(x_size), offsets(y_size), x.data(),
                        to.data(),  h_state.data(),  c_state.data()};
  };

  Values<T> y_again(y.size()), h_again = h, c_again = c;
  Dropout none;
  forward(*weights, sequences(y_again, h_again, c_again), none);
  Tape<T> tape(weights, sequences(y, h, c), Dropout(), layout.checkpoint);
  record(tape);
  check(same_bits(y, y_again) && same_bits(h, h_again) && same_bits(c, c_again),
        "inference is not the recorded forward");
  check(backward(tape, Gradients<T>{{dy.data(), offsets(y_size)},
                                    {},
                                    dx.data(),
                                    offsets(x_size),
                                    dh.data(),
                                    dc.data(),
                                    d_parameters.data(),
                                    false}),
        "the tape was spent");
  if (layout.packed) {
    y = packing.unpack(y, y_size);
    dx = packing.unpack(dx, x_size);
  }
  return r;
}

template <class T>
void check_same(const Run<T>& got, const Run<T>& expected, const char* what) {
  for (int i = 0; i < 7; ++i) check(same_bits(got.part[i], expected.part[i]), what);
}

template <class T>
void check_case(const naive::Sizes& s, bool ragged, std::mt19937& random) {
  static const char* const names[] = {"y", "h_n", "c_n", "dx", "dh_0", "dc_0", "d_parameters"};
  const naive::Problem problem = naive::draw_problem(s, ragged, random);
  const naive::Results truth = naive::run(s, problem);
  force_dealing(Dealing::alone);
  set_num_threads(1);
  const Run<T> alone = run<T>(s, problem, {false, 0});
  const naive::Array* const expected[] = {&truth.y,  &truth.h,  &truth.c,           &truth.dx,
                                          &truth.dh, &truth.dc, &truth.d_parameters};
  for (int i = 0; i < 7; ++i) {
    double error = 0, size = 1e-30;
    for (std::size_t j = 0; j < expected[i]->size(); ++j) {
      error = std::max(error, std::abs(alone.part[i][j] - (*expected[i])[j]));
      size = std::max(size, std::abs((*expected[i])[j]));
    }
    const double allowed = sizeof(T) == 4 ? (i < 3 ? 2e-6 : 1e-5) : (i < 3 ? 1e-13 : 1e-12);
    check(error <= allowed * size, names[i]);  // a NaN is not <=
    if (!(error <= allowed * size)) std::printf("  off by %.1e of its size\n", error / size);
  }

  check_same(run<T>(s, problem, {false, 5}), alone, "checkpoints change the bits");
  if (Packing<T>(problem.length).possible())
    check_same(run<T>(s, problem, {true, 0}), alone, "packed changes the bits");
  for (const Dealing dealing :
       {Dealing::rows, Dealing::units, Dealing::tail, Dealing::directions, Dealing::layers})
    for (const int threads : {2, 5}) {
      force_dealing(dealing);
      set_num_threads(threads);
      check_same(run<T>(s, problem, {false, 0}), alone, "threads change the bits");
    }
}

}  // namespace

void check_networks() {
  std::mt19937 random(1);
  for (const naive::Sizes& s : cases)
    for (const bool ragged : {false, true}) {
      std::printf("T %d N %d I %d H %d L %d D %d proj %d bias %d%s\n", s.T, s.N, s.I, s.H, s.L, s.D,
                  s.proj, s.bias, ragged ? " ragged" : "");
      check_case<float>(s, ragged, random);
      check_case<double>(s, ragged, random);
    }
}

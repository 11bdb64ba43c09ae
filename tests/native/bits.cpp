#include <algorithm>

#include "problems.hpp"

namespace problems {
namespace {

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

}  // namespace

void check_bits(const Problem& p, Storage wanted) {
  force_dealing(Dealing::alone);
  set_num_threads(1);
  const Weights<float> weights = p.packed(wanted);
  const Storage storage = weights.storage();
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

}  // namespace problems

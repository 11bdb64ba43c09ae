// What a tape with checkpoints left out: gates and c of a run of steps once more.
//
// Owns: the gates as one product over all frames, since every h is known by now, and then c, the
// only part that still is sequential. The same accumulators in the same order as in forward.hpp,
// so the same bits.
// Must not know: gradients, other layers.
#pragma once

#include "cell.hpp"
#include "gates.hpp"
#include "walk.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

template <class T>
class Restore {
  using P = PacketOf<T>;
  static constexpr Index V = width<T>;

 public:
  Restore(const RestorePass<T>& pass, const Part& part)
      : pass_(pass),
        part_(part),
        hidden_(pass.weights.hidden),
        blocks_(share_of(unit_blocks<T>(pass.weights.hidden), part)) {}

  // Nobody is waited for: a unit's c asks for its own gates only.
  void run() const {
    for (Index block = blocks_.begin; block < blocks_.end; ++block)
      for_row_tiles<Plain<T>>(
          0, pass_.frames, [&] { return stopped(part_); },
          [&](Index begin, auto row_count) {
            gate_tile<decltype(row_count)::value>(begin, block);
          });
    for (Index s = 0; s < step_count(part_) && !stopped(part_); ++s)
      cells(visited(part_, pass_.reverse, s));
  }

 private:
  T* gates(Index frame) const {
    return pass_.gates + (frame - pass_.frame_begin) * gate_count * hidden_;
  }
  T* cells(Index t, Index r) const {
    return pass_.cells + (pass_.steps.first[t] + r - pass_.frame_begin) * hidden_;
  }

  template <int R>
  EIGEN_DONT_INLINE void gate_tile(Index begin, Index block) const {
    GateSums<T, R, 1> z;
    RowPointers<T, R> x, h;
    for (int r = 0; r < R; ++r) {
      x.row[r] = pass_.x[begin + r];
      h.row[r] = pass_.h_prev[begin + r];
    }
    input_gates<Plain<T>, T, R, 1>(z, pass_.weights, block, x);
    add_recurrent_gates<Plain<T>, T, R, 1>(z, pass_.weights, block, h);
    const Index unit = block * V, lanes = smaller(V, hidden_ - unit);
    for (int r = 0; r < R; ++r) {
      T* to = gates(pass_.first + begin + r) + unit;
#pragma GCC unroll 4
      for (int g = 0; g < gate_count; ++g) store_lanes(to + g * hidden_, z.row[r][g], lanes);
    }
  }

  void cells(Index t) const {
    const Index before = pass_.reverse ? t + 1 : t - 1;
    const Index continuing = live_end(pass_.steps, before, part_);
    const Index unit_end = smaller(hidden_, blocks_.end * V);
    const Index row_end = live_end(pass_.steps, t, part_);
    for (Index r = part_.row_begin; r < row_end && !stopped_at(part_, r); ++r) {
      T* z = gates(pass_.steps.first[t] + r);
      T* c = cells(t, r);
      const T* c_before = begins_anew(pass_.steps, t, r) ? pass_.zeros
                          : r < continuing ? cells(before, r)
                                           : pass_.c_0 + pass_.steps.order[r] * hidden_;
      for (Index u = blocks_.begin * V; u < unit_end; u += V) {
        const Index lanes = smaller(V, hidden_ - u);
        const auto at = [&](const T* from) { return load_lanes<P>(from + u, lanes); };
        const CellStep<P> step = advance<P>(
            {at(z), at(z + hidden_), at(z + 2 * hidden_), at(z + 3 * hidden_)}, at(c_before));
        store_lanes(z + u, step.gates.i, lanes);
        store_lanes(z + hidden_ + u, step.gates.f, lanes);
        store_lanes(z + 2 * hidden_ + u, step.gates.g, lanes);
        store_lanes(z + 3 * hidden_ + u, step.gates.o, lanes);
        store_lanes(c + u, step.c, lanes);
      }
    }
  }

  const RestorePass<T>& pass_;
  const Part& part_;
  const Index hidden_;
  const Share blocks_;  // of units, this thread's
};

template <class T>
void restore(const RestorePass<T>& pass, Part part) {
  Restore<T>(pass, part).run();
}

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

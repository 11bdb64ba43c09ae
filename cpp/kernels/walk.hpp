// Finding one's way over steps and rows.
//
// Owns: where a frame stands, which rows of a part are alive, which of them begin anew, which step
// a scan visits before and after another.
// Must not know: what is computed there.
#pragma once

#include "simd.hpp"

namespace lstm_native {
namespace LSTM_NATIVE_ISA_NAME {
namespace {

template <class F>
EIGEN_STRONG_INLINE auto frame(const F& frames, Index step, Index row) {
  return frames.base + frames.step[step] + frames.row[row];
}

// The rows of a part that are alive at a step end here. Before the first step and after the last
// nothing lives.
inline Index live_end(const Steps& steps, Index step, const Part& part) {
  const Index live = step >= 0 && step < steps.steps ? steps.rows[step] : 0;
  return live < part.row_begin ? part.row_begin : smaller(live, part.row_end);
}

// Whether the scan comes to this frame with a state of zeros.
inline bool begins_anew(const Steps& steps, Index step, Index row) {
  return steps.anew && steps.anew[steps.first[step] + row];
}

// The s-th step of a part a scan visits; the reverse direction starts at the end.
inline Index visited(const Part& part, bool reverse, Index s) {
  return reverse ? part.step_end - 1 - s : part.step_begin + s;
}

inline Index step_count(const Part& part) { return part.step_end - part.step_begin; }

// The rows of a part whose scan ends at step t: all in reverse, where t is 0; forwards those that
// are no longer alive one step later.
struct RowRange {
  Index begin, end;
};
inline RowRange rows_ending(const Steps& steps, bool reverse, Index t, const Part& part) {
  const Index end = live_end(steps, t, part);
  if (reverse) return {t == 0 ? part.row_begin : end, end};
  return {live_end(steps, t + 1, part), end};
}

// The rows of a part whose scan begins at step t: the mirror of rows_ending.
inline RowRange rows_beginning(const Steps& steps, bool reverse, Index t, const Part& part) {
  return rows_ending(steps, !reverse, t, part);
}

// Steps of one row each after which to ask whether the call is stopped: a question costs some
// nanoseconds, and a step of few weights costs little more.
inline Index steps_between_questions(Index weights) { return 1 + (1 << 17) / weights; }

// The same in a loop over rows, for some of them.
inline bool stopped_at(const Part& part, Index row) { return row % 64 == 63 && stopped(part); }

inline void wait(const Part& part) {
  if (part.shares > 1) part.wait_all(part.team);
}

}  // namespace
}  // namespace LSTM_NATIVE_ISA_NAME
}  // namespace lstm_native

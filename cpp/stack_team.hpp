// The team at a layer, shared by the forward and the backward stack.
//
// Owns: which direction, which stretch of time and which part of it a thread takes under a plan.
// Must not know: what is computed there.
#pragma once

#include <algorithm>

#include "part.hpp"
#include "plan.hpp"

namespace lstm_native {

// Calls f(direction, team) for the directions this thread has a part in.
template <class F>
void for_directions(Index directions, const LayerPlan& plan, const Team& team, const F& f) {
  if (plan.directions_apart && team.size() > 1) {
    const int half = team.size() / 2;
    f(team.rank() < half ? 0 : 1, team.half(half));
  } else {
    for (Index d = 0; d < directions; ++d) f(d, team);
  }
}

// Steps, rows, frames or elements [begin, end).
struct Range {
  Index begin, end;
};

// Calls f(part) for this thread's part of each stretch of some steps of a layer. `falling` time
// goes from the last step to the first.
template <class F>
void for_stretches(const LayerPlan& plan, const Schedule& schedule, Range steps, bool falling,
                   const Team& team, const F& f) {
  const Index until = plan.rows_until, cut = std::clamp(until, steps.begin, steps.end);
  const bool rows = steps.begin < cut, units = cut < steps.end;
  const auto by_rows = [&] {
    f(whole_part(steps.begin, cut, schedule.row_share(team.rank(), team.size(), until),
                 schedule.row_share(team.rank() + 1, team.size(), until), team));
  };
  const auto by_units = [&] {
    Part part = output_part(team);
    part.step_begin = cut;
    part.step_end = steps.end;
    part.row_end = schedule.view().rows[cut];
    f(part);
  };
  if (falling && units) by_units();
  if (falling && rows && units) team.wait();
  if (rows) by_rows();
  if (!falling && rows && units) team.wait();
  if (!falling && units) by_units();
}

// Calls f(frame, step, row) for a run of the tape's frames.
template <class F>
void for_frames(const Schedule& schedule, Range frames, const F& f) {
  const Steps steps = schedule.view();
  Index t =
      std::upper_bound(steps.first, steps.first + steps.steps + 1, frames.begin) - steps.first - 1;
  Index r = frames.begin - steps.first[t];
  for (Index frame = frames.begin; frame < frames.end; ++frame, ++r) {
    if (r == steps.rows[t]) {
      ++t;
      r = 0;
    }
    f(frame, t, r);
  }
}

// This thread's share.
inline Range team_range(Index count, const Team& team) {
  return {count * team.rank() / team.size(), count * (team.rank() + 1) / team.size()};
}

// Calls f(frames) for this thread's share of the tape's frames, piece by piece until the call is
// stopped.
template <class F>
void for_pieces(Index frames, Index width, const Team& team, const F& f) {
  const Index piece = 1 + (Index{1} << 20) / width;  // some hundred microseconds
  const Range share = team_range(frames, team);
  for (Index i = share.begin; i < share.end && !team.stopped(); i += piece)
    f(Range{i, std::min(i + piece, share.end)});
}

}  // namespace lstm_native

// The team at a layer, shared by the forward and the backward stack.
//
// Owns: which direction, which stretch of time and which part of it a thread takes under a plan.
// Must not know: what is computed there.
#pragma once

#include <algorithm>

#include "dropout.hpp"
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

// Of steps, or of equal things.
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

// This thread's share.
inline Range team_range(Index count, const Team& team) {
  return {count * team.rank() / team.size(), count * (team.rank() + 1) / team.size()};
}

// This thread's share of a boundary's masks, `count` elements in all.
template <class T>
void apply_dropout(const Dropout& dropout, Index boundary, const T* from, T* to, Index count,
                   const Team& team) {
  constexpr Index piece = 1 << 20;  // some hundred microseconds
  const Range share = team_range(count, team);
  for (Index i = share.begin; i < share.end && !team.stopped(); i += piece)
    dropout.apply(boundary, from, to, i, std::min(i + piece, share.end));
}

}  // namespace lstm_native

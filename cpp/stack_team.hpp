// The team at a layer, shared by the forward and the backward stack.
//
// Owns: which direction and which part of a layer a thread takes under a plan.
// Must not know: what is computed there.
#pragma once

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

inline void wait_team(void* team) { static_cast<const Team*>(team)->wait(); }

// A part that shares outputs with the whole team, all rows.
inline Part unit_part(Index rows, const Team& team) {
  return {0, rows, team.rank(), team.size(), wait_team, const_cast<Team*>(&team)};
}

// A part of rows of its own, all outputs: nobody to wait for.
inline Part row_part(Index row_begin, Index row_end) {
  return {row_begin, row_end, 0, 1, nullptr, nullptr};
}

inline Part layer_part(const LayerPlan& plan, const Schedule& schedule, const Team& team) {
  if (plan.split_units) return unit_part(schedule.batch(), team);
  return row_part(schedule.row_share(team.rank(), team.size()),
                  schedule.row_share(team.rank() + 1, team.size()));
}

// This thread's share of `count` equal things.
struct Range {
  Index begin, end;
};
inline Range team_range(Index count, const Team& team) {
  return {count * team.rank() / team.size(), count * (team.rank() + 1) / team.size()};
}

}  // namespace lstm_native

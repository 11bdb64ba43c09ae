// A team as kernels see it.
//
// Owns: the step from a Team to the functions of a Part. Must not know: what is shared out, or how.
#pragma once

#include "kernel_api.hpp"
#include "parallel.hpp"

namespace lstm_native {

// Everything there is to compute at some steps and rows.
inline Part whole_part(Index step_begin, Index step_end, Index row_begin, Index row_end,
                       const Team& team) {
  return {step_begin,
          step_end,
          row_begin,
          row_end,
          0,
          1,
          &team,
          [](const void* of) { static_cast<const Team*>(of)->wait(); },
          [](const void* of) { return static_cast<const Team*>(of)->stopped(); }};
}

// A share of the outputs; no steps and no rows yet.
inline Part output_part(const Team& team) {
  Part part = whole_part(0, 0, 0, 0, team);
  part.share = team.rank();
  part.shares = team.size();
  return part;
}

}  // namespace lstm_native

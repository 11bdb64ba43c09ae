// How a layer is dealt to threads.
//
// Owns: the cost model and its constants. Must not know: weights' values, memory, Python.
//
// Whatever is chosen, the bits of the result are the same; only the time differs.
#pragma once

#include "config.hpp"
#include "parallel.hpp"
#include "schedule.hpp"

namespace lstm_native {

// What one direction of one layer costs, as the model sees it.
struct LayerWork {
  double flops_per_frame;
  double weight_bytes;    // read at every step
  Index columns;          // outputs a split by units can deal out ...
  Index grain;            // ... in whole blocks of this many
  double waits_per_step;  // barriers of a split by units
  double packet;          // scalars in a packet
};

struct LayerPlan {
  bool split_units = false;       // else rows
  bool directions_apart = false;  // one half of the team for each direction
  double time = 0;                // estimated, nanoseconds
};

LayerPlan plan_layer(const LayerWork& work, const Schedule& schedule, Index directions, int team);

// The work of one step of the recurrence, forwards or backwards.
template <class T>
LayerWork layer_work(const Config& config, Index layer, bool backward);

// Team size for a whole call: everyone when that is estimated faster than one, else one.
template <class T>
int plan_team(const Config& config, const Schedule& schedule, bool backward);

// Frames whose input part a thread computes ahead of the recurrence; 0: none.
template <class T>
Index plan_ahead(const Config& config, Index layer, const Schedule& schedule, Index rows);

}  // namespace lstm_native

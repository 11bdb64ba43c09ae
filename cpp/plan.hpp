// How a network is dealt to threads.
//
// Owns: the cost model and its constants. Must not know: weights' values, memory, Python.
//
// Whatever is chosen, the bits of the result are the same; only the time differs.
#pragma once

#include "config.hpp"
#include "parallel.hpp"
#include "schedule.hpp"

namespace lstm_native {

enum class Pass { forward, backward };

// Steps before `rows_until` are dealt out by rows, nobody waiting for anybody; the others, in
// which few rows may be left, by units, with a barrier at every step.
struct LayerPlan {
  Index rows_until;
  bool directions_apart;  // one half of the team for each direction
};

// A whole call. With a `chunk`, each thread takes layers of its own and runs them chunk by chunk,
// each layer one chunk behind the one below; else all threads run one layer after the other.
struct StackPlan {
  int threads;
  Index chunk;  // steps, or 0
  LayerPlan first, others;
  const LayerPlan& of(Index layer) const { return layer == 0 ? first : others; }
};

// With dropout `masked`, layers are never run in chunks: masks are made a layer at a time.
template <class T>
StackPlan plan_stack(const Config& config, const Schedule& schedule, Pass pass, bool masked,
                     Storage storage = Storage::plain);

// Frames whose input part a thread computes ahead of the recurrence; 0: none.
template <class T>
Index plan_ahead(const Config& config, Index layer, const Schedule& schedule, Index rows,
                 Storage storage);

// For tests and the benchmark: only this way of dealing work out is considered, where it is
// possible.
enum class Dealing { any, alone, rows, units, tail, directions, layers };
void force_dealing(Dealing dealing);

}  // namespace lstm_native

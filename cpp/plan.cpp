#include "plan.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <utility>

#include "dispatch.hpp"

namespace lstm_native {
namespace {

// Nanoseconds, bytes, flops, of one core. The times and rates are measured (`python -m
// bench.constants`; figures and machine in docs/performance.md), but for read_cost and for
// tile_speed, which is what is expected of tiles. team_time lies between 1.5 us, calls one after
// another, and 50 us, calls 10 ms apart: the members sleep by then. Sizes and counts are chosen.
constexpr double flops_per_lane = 7;             // per nanosecond and lane of a packet
constexpr double tile_speed[] = {1, 4, 2, 1.4};  // times that, by parts
constexpr double cell_time = 30;                 // the cell of one packet of units
constexpr double step_time = 50;        // a step that depends on the one before, beside its work
constexpr double l1_bytes = 24 << 10;   // of weights that stay in a core's L1 ...
constexpr double l2_bytes = 768 << 10;  // ... and in its L2
constexpr double l1_bandwidth = 350;    // bytes per nanosecond
constexpr double l2_bandwidth = 120;
constexpr double l3_bandwidth = 105;
constexpr double read_cost = 0.2;          // of the smaller of computing and reading, not hidden
constexpr double wait_time = 110;          // a barrier between two cores
constexpr double team_time = 5000;         // waking a team up and sending it home
constexpr double ahead_bytes = 256 << 10;  // of L2, for the input part of coming steps
constexpr Index ahead_tiles = 1;           // row tiles per step up to which looking ahead pays
constexpr Index chunks = 32;               // of the steps, when layers are dealt out

constexpr double chunk_bytes = 64 << 20;  // of inner outputs, when layers are dealt out
constexpr Index tail_rows = 32;           // up to so many rows another split may pay in the tail

std::atomic<Dealing> forced{Dealing::any};

bool permitted(Dealing dealing) {
  const Dealing only = forced.load(std::memory_order_relaxed);
  return only == Dealing::any || only == dealing;
}

// What one direction of one layer costs, as the model sees it.
struct LayerWork {
  double input_flops, recurrent_flops;  // per frame
  double input_bytes, recurrent_bytes;  // of weights
  Index ahead_rows;                     // up to so many rows the input part runs ahead
  Index columns;                        // outputs a split by units can deal out ...
  Index grain;                          // ... in whole blocks of this many
  double waits_per_step;                // barriers of a split by units
  double packet;                        // scalars in a packet
  double rate;                          // flops per nanosecond
  double later_flops;                   // per frame, of what waits until after the recurrence
};

// Rows of the largest tile.
template <class T>
Index tile_rows(Storage storage) {
  const RoundedKernels* rounding = rounded_kernels(storage);
  return rounding ? rounding->max_rows : kernels<T>().max_rows;
}

double nbytes_of_weight(Storage storage, std::size_t plain) {
  const double parts = static_cast<double>(parts_of(storage));
  return parts > 0 ? 2 * parts
                   : static_cast<double>(plain) / static_cast<double>(rows_in_one(storage));
}

template <class T>
LayerWork layer_work(const Config& config, Index layer, Pass pass, Storage storage) {
  const Index V = kernels<T>().width;
  const bool backward = pass == Pass::backward;
  const double H = static_cast<double>(config.hidden_size);
  const double P = static_cast<double>(config.output_size());
  const double input = 4 * H * static_cast<double>(config.layer_input(layer));
  const double recurrent = 4 * H * P + (config.projected() ? H * P : 0);
  const double weight_bytes = nbytes_of_weight(storage, sizeof(T));
  LayerWork work{};
  work.recurrent_flops = 2 * recurrent;
  work.recurrent_bytes = recurrent * weight_bytes;
  work.waits_per_step = config.projected() ? 2 : 1;
  work.packet = static_cast<double>(V);
  work.rate = flops_per_lane * work.packet * tile_speed[parts_of(storage)];
  work.columns = config.hidden_size;
  if (backward) {
    work.grain = 4 * V;
    work.later_flops = 4 * input + 2 * recurrent;
  } else {
    work.input_flops = 2 * input;
    work.input_bytes = input * weight_bytes;
    work.ahead_rows = ahead_tiles * tile_rows<T>(storage);
    work.grain = V;
  }
  return work;
}

double read_time(double bytes) {
  return bytes / (bytes <= l1_bytes   ? l1_bandwidth
                  : bytes <= l2_bytes ? l2_bandwidth
                                      : l3_bandwidth);
}

// Reading weights hides behind computing, but not all of it.
double overlap(double compute, double read) {
  return std::max(compute, read) + read_cost * std::min(compute, read);
}

// `frames` frames of `steps` steps, at most `rows` in one, on one core that has `share` of the
// units.
double time_of(const LayerWork& work, double steps, double frames, Index rows, double share) {
  const bool ahead = rows <= work.ahead_rows;
  const double rate = work.rate / share;
  const double input = frames * work.input_flops / rate;
  const double recurrent = frames * work.recurrent_flops / rate;
  const double bytes = share * (work.recurrent_bytes + (ahead ? 0 : work.input_bytes));
  const double read = steps * read_time(bytes);
  const double cells = frames * share * static_cast<double>(work.columns) / work.packet * cell_time;
  return (ahead ? input + overlap(recurrent, read) : overlap(input + recurrent, read)) + cells +
         steps * step_time;
}

// Steps [0, until) of one direction, dealt out by rows.
double rows_time(const LayerWork& work, const Schedule& schedule, Index until, int members) {
  double longest = 0;
  for (int m = 0; m < members; ++m) {
    const Index begin = schedule.row_share(m, members, until);
    const Index end = schedule.row_share(m + 1, members, until);
    if (begin == end) continue;
    const Index frames = schedule.frames_of(end, until) - schedule.frames_of(begin, until);
    const Index steps = std::min(schedule.length(begin), until);
    longest = std::max(longest, time_of(work, static_cast<double>(steps),
                                        static_cast<double>(frames), end - begin, 1));
  }
  return longest;
}

// Steps from `from` on of one direction, dealt out by units.
double units_time(const LayerWork& work, const Schedule& schedule, Index from, int members) {
  const Index all = schedule.steps();
  if (from == all) return 0;
  const Index grains = (work.columns + work.grain - 1) / work.grain;
  const double share =
      static_cast<double>((grains + members - 1) / members) / static_cast<double>(grains);
  const double steps = static_cast<double>(all - from);
  const Index frames = schedule.frames() - schedule.frames_of(schedule.batch(), from);
  return time_of(work, steps, static_cast<double>(frames), schedule.view().rows[from], share) +
         (members > 1 ? steps * work.waits_per_step * wait_time : 0);
}

struct Estimate {
  LayerPlan plan;
  double time;
};

// All directions of one layer on a team.
Estimate plan_layer(const LayerWork& work, const Schedule& schedule, Index directions, int team) {
  const Index steps = schedule.steps();
  const Index* live = schedule.view().rows;
  Estimate best{{steps, false}, std::numeric_limits<double>::infinity()};
  const auto consider = [&](Index until, bool apart) {
    const int members = apart ? team / 2 : team;
    const double one =
        rows_time(work, schedule, until, members) + units_time(work, schedule, until, members);
    const double time = apart ? one : one * static_cast<double>(directions);
    if (time < best.time) best = {{until, apart}, time};
  };
  if (team == 1 || permitted(Dealing::rows)) consider(steps, false);
  if (team > 1 && permitted(Dealing::units)) consider(0, false);
  if (team > 1 && directions == 2 && permitted(Dealing::directions)) {
    consider(steps, true);
    if (team > 3) consider(0, true);
  }
  if (team > 1 && permitted(Dealing::tail))
    for (Index t = 1; t < steps; ++t)
      if (live[t] != live[t - 1] && live[t] <= tail_rows) consider(t, false);
  if (best.time == std::numeric_limits<double>::infinity()) consider(steps, false);
  const double later = static_cast<double>(schedule.frames() * directions) * work.later_flops;
  best.time += later / (work.rate * team);
  return best;
}

}  // namespace

template <class T>
StackPlan plan_stack(const Config& config, const Schedule& schedule, Pass pass, bool masked,
                     Storage storage) {
  const Index L = config.num_layers, steps = schedule.steps();
  const LayerWork works[2] = {layer_work<T>(config, 0, pass, storage),
                              layer_work<T>(config, L > 1 ? 1 : 0, pass, storage)};
  const auto one_by_one = [&](int team) {
    const Estimate first = plan_layer(works[0], schedule, config.directions(), team);
    const Estimate others =
        L > 1 ? plan_layer(works[1], schedule, config.directions(), team) : first;
    const double time = first.time + static_cast<double>(L - 1) * others.time;
    return std::pair(StackPlan{team, 0, first.plan, others.plan},
                     team > 1 ? time + team_time : time);
  };

  auto best = one_by_one(1);
  const bool choice = permitted(Dealing::alone);
  // Asking for the number of threads asks the system: not for a call shorter than that.
  if (steps == 0 || forced == Dealing::alone || (choice && best.second < team_time))
    return best.first;
  const int team = num_threads();
  if (team == 1) return best.first;

  const auto together = one_by_one(team);
  const double alone = best.second;
  if (!choice || together.second < alone) best = together;
  if (pass == Pass::forward && L > 1 && !config.bidirectional && !masked &&
      permitted(Dealing::layers)) {
    // A wave takes as long as its busiest thread: the first, which has the most layers, or another
    // with as many if the first layer is the cheaper one.
    const int members = static_cast<int>(std::min<Index>(team, L));
    // Enough steps to fill a tile with the input part of coming ones.
    const Index chunk =
        std::max((steps + chunks - 1) / chunks, works[0].ahead_rows / schedule.batch());
    const Index waves = (steps + chunk - 1) / chunk + L - 1;
    const double most = static_cast<double>((L + members - 1) / members);
    const double first = plan_layer(works[0], schedule, 1, 1).time;
    const double others = plan_layer(works[1], schedule, 1, 1).time;
    const double wave = (std::max(first, others) + (most - 1) * others) *
                        static_cast<double>(chunk) / static_cast<double>(steps);
    const double time = team_time + static_cast<double>(waves) * (wave + wait_time);
    const double memory = static_cast<double>(L - 1) * static_cast<double>(schedule.frames()) *
                          static_cast<double>(config.output_size()) * sizeof(T);
    if (!choice || (time < best.second && memory <= chunk_bytes))
      best = {{members, chunk, {steps, false}, {steps, false}}, time};
  }
  return best.first;
}

template <class T>
Index plan_ahead(const Config& config, Index layer, const Schedule& schedule, Index rows,
                 Storage storage) {
  const Kernels<T>& k = kernels<T>();
  const Index most = tile_rows<T>(storage);
  if (rows == 0 || rows > ahead_tiles * most || schedule.steps() < 2 ||
      config.layer_input(layer) == 0)
    return 0;
  const Index frame_bytes = k.gate_columns(config.hidden_size) * static_cast<Index>(sizeof(T));
  const Index frames = static_cast<Index>(ahead_bytes) / frame_bytes / most * most;
  return std::min(std::max({frames, rows, most}), schedule.frames());
}

void force_dealing(Dealing dealing) {
  forced.store(dealing, std::memory_order_relaxed);
  ignore_crowding(dealing != Dealing::any);
}

template StackPlan plan_stack<float>(const Config&, const Schedule&, Pass, bool, Storage);
template StackPlan plan_stack<double>(const Config&, const Schedule&, Pass, bool, Storage);
template Index plan_ahead<float>(const Config&, Index, const Schedule&, Index, Storage);
template Index plan_ahead<double>(const Config&, Index, const Schedule&, Index, Storage);

}  // namespace lstm_native

#include "plan.hpp"

#include <algorithm>
#include <limits>

#include "dispatch.hpp"

namespace lstm_native {
namespace {

// Nanoseconds, bytes, flops. Which of these were measured, and which are estimates: see
// docs/performance.md.
constexpr double flops_per_packet = 7;  // flops per nanosecond and packet lane, one core
constexpr double l2_bytes = 768 << 10;  // of a core's L2 that weights may fill
constexpr double l2_bandwidth = 60;     // bytes per nanosecond, one core
constexpr double l3_bandwidth = 25;
constexpr double read_cost = 0.2;          // of the smaller of computing and reading, not hidden
constexpr double wait_time = 400;          // a barrier between two cores
constexpr double team_time = 6000;         // waking a team up and sending it home
constexpr double ahead_bytes = 256 << 10;  // of L2, for the input part of coming steps
constexpr Index ahead_tiles = 2;           // row tiles per step up to which looking ahead pays

double read_time(double bytes) { return bytes / (bytes <= l2_bytes ? l2_bandwidth : l3_bandwidth); }

// Reading weights hides behind computing, but not all of it.
double overlap(double compute, double read) {
  return std::max(compute, read) + read_cost * std::min(compute, read);
}

// One direction on `members` threads.
double rows_time(const LayerWork& work, const Schedule& schedule, int members) {
  double longest = 0;
  for (int m = 0; m < members; ++m) {
    const Index begin = schedule.row_share(m, members), end = schedule.row_share(m + 1, members);
    const double frames = static_cast<double>(schedule.frames_of_rows(begin, end));
    const double compute = frames * work.flops_per_frame / (flops_per_packet * work.packet);
    // The longest row of a share comes first and says how often its weights are read.
    const double steps = begin < end ? static_cast<double>(schedule.length(begin)) : 0;
    longest = std::max(longest, overlap(compute, steps * read_time(work.weight_bytes)));
  }
  return longest;
}

double units_time(const LayerWork& work, const Schedule& schedule, int members) {
  const Index grains = (work.columns + work.grain - 1) / work.grain;
  const double share =
      static_cast<double>((grains + members - 1) / members) / static_cast<double>(grains);
  const double steps = static_cast<double>(schedule.steps());
  const double frames = static_cast<double>(schedule.frames());
  const double compute = share * frames * work.flops_per_frame / (flops_per_packet * work.packet);
  return overlap(compute, steps * read_time(share * work.weight_bytes)) +
         (members > 1 ? steps * work.waits_per_step * wait_time : 0);
}

}  // namespace

LayerPlan plan_layer(const LayerWork& work, const Schedule& schedule, Index directions, int team) {
  LayerPlan best{false, false, std::numeric_limits<double>::infinity()};
  const auto consider = [&](bool split_units, bool apart) {
    const int members = apart ? team / 2 : team;
    const double one =
        split_units ? units_time(work, schedule, members) : rows_time(work, schedule, members);
    const double time = apart ? one : one * static_cast<double>(directions);
    if (time < best.time) best = {split_units, apart, time};
  };
  consider(false, false);
  if (team > 1) consider(true, false);
  if (team > 1 && directions == 2) {
    consider(false, true);
    if (team > 3) consider(true, true);
  }
  return best;
}

template <class T>
LayerWork layer_work(const Config& config, Index layer, bool backward) {
  const Index V = kernels<T>().width;
  const double H = static_cast<double>(config.hidden_size);
  const double P = static_cast<double>(config.output_size());
  const double inputs = backward ? P : static_cast<double>(config.layer_input(layer)) + P;
  const double weights = 4 * H * inputs + (config.projected() ? H * P : 0);
  return {2 * weights,
          weights * sizeof(T),
          backward ? config.output_size() : config.hidden_size,
          backward ? 4 * V : V,
          config.projected() ? 2.0 : 1.0,
          static_cast<double>(V)};
}

template <class T>
int plan_team(const Config& config, const Schedule& schedule, bool backward) {
  const auto time = [&](int team) {
    double sum = team > 1 ? team_time : 0;
    for (Index l = 0; l < config.num_layers; ++l) {
      const LayerWork work = layer_work<T>(config, l, backward);
      sum += plan_layer(work, schedule, config.directions(), team).time;
      if (backward)  // what waits until after the recurrence splits evenly
        sum += static_cast<double>(schedule.frames()) * 3 * work.flops_per_frame *
               static_cast<double>(config.directions()) / (flops_per_packet * work.packet) / team;
    }
    return sum;
  };
  // Asking for the number of threads asks the system: not for a call shorter than that.
  const double alone = time(1);
  if (alone < team_time) return 1;
  const int team = num_threads();
  return team > 1 && time(team) < alone ? team : 1;
}

template <class T>
Index plan_ahead(const Config& config, Index layer, const Schedule& schedule, Index rows) {
  const Kernels<T>& k = kernels<T>();
  if (rows == 0 || rows > ahead_tiles * k.max_rows || schedule.steps() < 2 ||
      config.layer_input(layer) == 0)
    return 0;
  const Index frame_bytes = k.gate_columns(config.hidden_size) * static_cast<Index>(sizeof(T));
  const Index frames = static_cast<Index>(ahead_bytes) / frame_bytes / k.max_rows * k.max_rows;
  return std::min(std::max({frames, rows, k.max_rows}), schedule.frames());
}

template LayerWork layer_work<float>(const Config&, Index, bool);
template LayerWork layer_work<double>(const Config&, Index, bool);
template int plan_team<float>(const Config&, const Schedule&, bool);
template int plan_team<double>(const Config&, const Schedule&, bool);
template Index plan_ahead<float>(const Config&, Index, const Schedule&, Index);
template Index plan_ahead<double>(const Config&, Index, const Schedule&, Index);

}  // namespace lstm_native

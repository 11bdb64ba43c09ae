#include "schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace lstm_native {
namespace {

Indices identity(Index count) {
  Indices order(count);
  std::iota(order.begin(), order.end(), Index{0});
  return order;
}

Indices copy(const Index* from, Index count) {
  Indices to(count);
  std::copy_n(from, count, to.data());
  return to;
}

}  // namespace

Schedule::Schedule(Indices rows, Indices order)
    : rows_(std::move(rows)),
      first_(steps() + 1),
      order_(std::move(order)),
      frames_before_row_(batch() + 1) {
  first_[0] = frames_before_row_[0] = 0;
  for (Index t = 0; t < steps(); ++t) first_[t + 1] = checked_sum(first_[t], rows_[t]);
  Index length = steps();
  for (Index r = 0; r < batch(); ++r) {
    while (length > 0 && rows_[length - 1] <= r) --length;
    frames_before_row_[r + 1] = frames_before_row_[r] + length;
  }
}

Schedule Schedule::dense(Index steps, Index batch) {
  checked_product(steps, batch);
  Indices rows(batch ? steps : 0);
  std::fill(rows.begin(), rows.end(), batch);
  return {std::move(rows), identity(batch)};
}

Schedule Schedule::padded(const Index* lengths, Index batch) {
  Indices order = identity(batch);
  std::stable_sort(order.begin(), order.end(),
                   [&](Index a, Index b) { return lengths[a] > lengths[b]; });
  Indices rows(batch ? lengths[order[0]] : 0);
  Index live = batch;
  for (Index t = 0; t < rows.size(); ++t) {
    while (lengths[order[live - 1]] <= t) --live;
    rows[t] = live;
  }
  return {std::move(rows), std::move(order)};
}

Schedule Schedule::packed(const Index* batch_sizes, Index steps, const Index* order) {
  const Index batch = steps ? batch_sizes[0] : 0;
  return {copy(batch_sizes, steps), order ? copy(order, batch) : identity(batch)};
}

void Schedule::begin_anew(const Frames<const std::uint8_t>& resets) {
  for (auto& anew : anew_) anew.assign(frames(), 0);
  bool any = false;
  for (Index t = 0; t < steps(); ++t)
    for (Index r = 0; r < rows_[t]; ++r) {
      if (resets.base[resets.step[t] + resets.row[r]] == 0) continue;
      any = true;
      anew_[0][first_[t] + r] = 1;
      if (t > 0) anew_[1][first_[t - 1] + r] = 1;
    }
  if (!any)
    for (auto& anew : anew_) anew.clear();
}

Index Schedule::frames_of(Index rows, Index until) const {
  if (until == 0) return 0;
  // The first `whole` rows live through all of these steps.
  const Index whole = std::min(rows, rows_[until - 1]);
  return whole * until + frames_before_row_[rows] - frames_before_row_[whole];
}

Index Schedule::row_share(Index part, Index parts, Index until) const {
  const Index frames = frames_of(batch(), until);
  if (part == 0 || frames == 0) return part == 0 ? 0 : batch();
  if (part == parts) return batch();
  // The row whose frames the even cut falls into goes to the nearer side.
  const double cut =
      static_cast<double>(frames) * static_cast<double>(part) / static_cast<double>(parts);
  Index low = 0, high = batch();  // the first row count with at least `cut` frames: not none
  while (low < high) {
    const Index middle = (low + high) / 2;
    if (static_cast<double>(frames_of(middle, until)) < cut)
      low = middle + 1;
    else
      high = middle;
  }
  const auto distance = [&](Index row) {
    return std::abs(static_cast<double>(frames_of(row, until)) - cut);
  };
  return distance(low - 1) < distance(low) ? low - 1 : low;
}

Offsets Offsets::strided(const Schedule& schedule, Index step_stride, Index row_stride) {
  Offsets offsets(schedule.steps(), schedule.batch());
  for (Index t = 0; t < schedule.steps(); ++t) offsets.step_[t] = t * step_stride;
  for (Index r = 0; r < schedule.batch(); ++r)
    offsets.row_[r] = schedule.view().order[r] * row_stride;
  return offsets;
}

Offsets Offsets::packed(const Schedule& schedule, Index frame_stride) {
  Offsets offsets(schedule.steps(), schedule.batch());
  for (Index t = 0; t < schedule.steps(); ++t)
    offsets.step_[t] = schedule.view().first[t] * frame_stride;
  for (Index r = 0; r < schedule.batch(); ++r) offsets.row_[r] = r * frame_stride;
  return offsets;
}

}  // namespace lstm_native

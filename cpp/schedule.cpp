#include "schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace lstm_native {
namespace {

std::vector<Index> identity(Index count) {
  std::vector<Index> order(count);
  std::iota(order.begin(), order.end(), Index{0});
  return order;
}

}  // namespace

Schedule::Schedule(std::vector<Index> rows, std::vector<Index> order)
    : rows_(std::move(rows)), order_(std::move(order)) {
  first_.reserve(rows_.size() + 1);
  first_.push_back(0);
  for (const Index live : rows_) first_.push_back(checked_sum(first_.back(), live));

  frames_before_row_.reserve(order_.size() + 1);
  frames_before_row_.push_back(0);
  Index length = steps();
  for (Index r = 0; r < batch(); ++r) {
    while (length > 0 && rows_[length - 1] <= r) --length;
    frames_before_row_.push_back(frames_before_row_.back() + length);
  }
}

Schedule Schedule::dense(Index steps, Index batch) {
  checked_product(steps, batch);
  return {std::vector<Index>(batch ? steps : 0, batch), identity(batch)};
}

Schedule Schedule::padded(const Index* lengths, Index batch) {
  std::vector<Index> order = identity(batch);
  std::stable_sort(order.begin(), order.end(),
                   [&](Index a, Index b) { return lengths[a] > lengths[b]; });
  std::vector<Index> rows(batch ? lengths[order[0]] : 0);
  Index live = batch;
  for (Index t = 0; t < static_cast<Index>(rows.size()); ++t) {
    while (lengths[order[live - 1]] <= t) --live;
    rows[t] = live;
  }
  return {std::move(rows), std::move(order)};
}

Schedule Schedule::packed(const Index* batch_sizes, Index steps, const Index* order) {
  const Index batch = steps ? batch_sizes[0] : 0;
  return {std::vector<Index>(batch_sizes, batch_sizes + steps),
          order ? std::vector<Index>(order, order + batch) : identity(batch)};
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
  Index low = 0, high = batch();  // the first row count with at least `cut` frames
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
  return low > 0 && distance(low - 1) < distance(low) ? low - 1 : low;
}

Offsets Offsets::strided(const Schedule& schedule, Index step_stride, Index row_stride) {
  Offsets offsets;
  offsets.step_.resize(schedule.steps());
  offsets.row_.resize(schedule.batch());
  for (Index t = 0; t < schedule.steps(); ++t) offsets.step_[t] = t * step_stride;
  for (Index r = 0; r < schedule.batch(); ++r)
    offsets.row_[r] = schedule.view().order[r] * row_stride;
  return offsets;
}

Offsets Offsets::packed(const Schedule& schedule, Index frame_stride) {
  Offsets offsets;
  offsets.step_.resize(schedule.steps());
  offsets.row_.resize(schedule.batch());
  for (Index t = 0; t < schedule.steps(); ++t)
    offsets.step_[t] = schedule.view().first[t] * frame_stride;
  for (Index r = 0; r < schedule.batch(); ++r) offsets.row_[r] = r * frame_stride;
  return offsets;
}

}  // namespace lstm_native

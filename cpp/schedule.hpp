// Dense is packed: the one layout of sequences the kernels know.
//
// Owns: which rows are alive at which step, and where frames stand in memory. Every variant a
// caller may bring is one of three makers here, and from then on nobody can tell them apart.
// Must not know: weights, features.
#pragma once

#include <vector>

#include "config.hpp"

namespace lstm_native {

class Schedule {
 public:
  // Every row has `steps` steps. Without rows there are no steps either.
  static Schedule dense(Index steps, Index batch);
  // lengths[n] in [0, steps], in any order.
  static Schedule padded(const Index* lengths, Index batch);
  // batch_sizes positive, never growing; order[r] is the caller's row of sorted row r, or null.
  static Schedule packed(const Index* batch_sizes, Index steps, const Index* order);

  Steps view() const { return {steps(), batch(), rows_.data(), first_.data(), order_.data()}; }
  Index steps() const { return static_cast<Index>(rows_.size()); }
  Index batch() const { return static_cast<Index>(order_.size()); }
  Index frames() const { return first_.back(); }

  Index length(Index row) const { return frames_before_row_[row + 1] - frames_before_row_[row]; }
  // Frames of the first `rows` sorted rows in steps [0, until).
  Index frames_of(Index rows, Index until) const;
  // Sorted rows are dealt out so that frames in steps [0, until), not rows, balance: where part
  // `part` begins.
  Index row_share(Index part, Index parts, Index until) const;

 private:
  Schedule(std::vector<Index> rows, std::vector<Index> order);

  std::vector<Index> rows_, first_, order_;
  std::vector<Index> frames_before_row_;  // [N + 1]
};

// Where frames stand, for one memory layout of a schedule; see Frames.
class Offsets {
 public:
  Offsets() = default;
  // Step and row at fixed strides, rows in the caller's order: arrays (T, N, features).
  static Offsets strided(const Schedule& schedule, Index step_stride, Index row_stride);
  // Frames one after another, rows sorted: arrays (F, features), and all memory of our own.
  static Offsets packed(const Schedule& schedule, Index frame_stride);

  template <class T>
  Frames<T> at(T* base) const {
    return {base, step_.data(), row_.data()};
  }

 private:
  std::vector<Index> step_, row_;
};

}  // namespace lstm_native

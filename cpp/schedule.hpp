// Dense is packed: the one layout of sequences the kernels know.
//
// Owns: which rows are alive at which step, where they begin anew, and where frames stand in
// memory. Every variant a caller may bring is one of three makers here, and from then on nobody can
// tell them apart.
// Must not know: weights, features.
#pragma once

#include <memory>
#include <vector>

#include "config.hpp"

namespace lstm_native {

// A few indices, in place; more than a few on the heap. A call of one step of one row makes a dozen
// such arrays, and would spend longer on allocating them than on computing.
class Indices {
 public:
  Indices() = default;
  explicit Indices(Index size) : size_(size) {
    if (size > few) heap_.reset(new Index[size]);
  }
  Index size() const { return size_; }
  Index* data() { return size_ > few ? heap_.get() : in_place_; }
  const Index* data() const { return size_ > few ? heap_.get() : in_place_; }
  Index& operator[](Index i) { return data()[i]; }
  Index operator[](Index i) const { return data()[i]; }
  Index* begin() { return data(); }
  Index* end() { return data() + size_; }

 private:
  static constexpr Index few = 2;
  Index size_ = 0, in_place_[few] = {};
  std::unique_ptr<Index[]> heap_;
};

class Schedule {
 public:
  // Every row has `steps` steps. Without rows there are no steps either.
  static Schedule dense(Index steps, Index batch);
  // lengths[n] in [0, steps], in any order.
  static Schedule padded(const Index* lengths, Index batch);
  // batch_sizes positive, never growing; order[r] is the caller's row of sorted row r, or null.
  static Schedule packed(const Index* batch_sizes, Index steps, const Index* order);

  // Rows begin anew before the frames where `resets` is not zero. The reverse direction comes to an
  // episode from behind: it begins anew at the frame before such a one.
  void begin_anew(const Frames<const std::uint8_t>& resets);

  // Of one direction; valid until this is moved.
  Steps view(bool reverse = false) const {
    const std::vector<std::uint8_t>& anew = anew_[reverse];
    return {steps(),       batch(),       rows_.data(),
            first_.data(), order_.data(), anew.empty() ? nullptr : anew.data()};
  }
  Index steps() const { return rows_.size(); }
  Index batch() const { return order_.size(); }
  Index frames() const { return first_[steps()]; }

  Index length(Index row) const { return frames_before_row_[row + 1] - frames_before_row_[row]; }
  // Frames of the first `rows` sorted rows in steps [0, until).
  Index frames_of(Index rows, Index until) const;
  // Sorted rows are dealt out so that frames in steps [0, until), not rows, balance: where part
  // `part` begins.
  Index row_share(Index part, Index parts, Index until) const;

 private:
  Schedule(Indices rows, Indices order);

  Indices rows_, first_, order_;
  Indices frames_before_row_;          // [N + 1]
  std::vector<std::uint8_t> anew_[2];  // [F] of each direction, or empty
};

// Where frames stand, for one memory layout of a schedule; see Frames.
class Offsets {
 public:
  Offsets() = default;
  // Step and row at fixed strides, rows in the caller's order: arrays (T, N, features).
  static Offsets strided(const Schedule& schedule, Index step_stride, Index row_stride);
  // Frames one after another, rows sorted: arrays (F, features), and all memory of our own.
  static Offsets packed(const Schedule& schedule, Index frame_stride);

  // Valid until this is moved.
  template <class T>
  Frames<T> at(T* base) const {
    return {base, step_.data(), row_.data()};
  }

 private:
  Offsets(Index steps, Index rows) : step_(steps), row_(rows) {}

  Indices step_, row_;
};

}  // namespace lstm_native

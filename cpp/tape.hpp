// What a recorded forward pass leaves for the backward pass.
//
// Owns: the activated gates and c of every frame, the outputs of inner layers, the initial state,
// the masks, and the packed weights of the moment. With checkpoints no gates, and c only between
// segments of the steps, which the backward pass restores one at a time.
// Must not know: how any of it is computed.
//
// A tape is a value: several may be alive. x and y are the caller's memory; whoever makes a tape
// keeps them alive and unchanged. backward() spends a tape: dz takes the place of the gates, and
// afterwards all of it is given back, however long the tape itself is kept.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "dropout.hpp"
#include "schedule.hpp"
#include "weights.hpp"

namespace lstm_native {

// Frames of the last layer, or of every layer.
template <class T>
struct LayerFrames {
  T* last = nullptr;  // null: none
  Offsets offsets;
  bool every = false;  // else only the last layer's are there
  Index stride = 0;    // from one layer to the next; layers may share their frames

  // Of the layer so many below the last; base null when they are not there.
  Frames<T> at(Index below) const {
    const bool there = last && (below == 0 || every);
    return offsets.at(there ? last - below * stride : nullptr);
  }
};

// The sequences of one call.
template <class T>
struct Sequences {
  Schedule schedule;
  Offsets x_offsets, y_offsets;
  const T* x;
  T* y;
  T* h;  // [L * D, N, P] by the caller's row
  T* c;  // [L * D, N, H]
  // From one layer's output to the next, of which y is the last; 0: inner outputs are not asked
  // for.
  Index y_stride = 0;
  LayerFrames<T> cells{};  // [D * H] c of every step

  Frames<T> output(Index below) const { return y_offsets.at(y - below * y_stride); }
};

// Frames whose gradients are summed in registers before the weight gradients are stored and taken
// up again: at 64 frames that traffic alone held H = 1024 at 80 GF/s of one core, at 256 it is
// gone. So every segment but the last has at least as many.
constexpr Index chunk_frames = 256;

template <class T>
class Tape {
 public:
  // `checkpoint` is the least number of steps in a segment; 0 keeps everything.
  Tape(std::shared_ptr<const Weights<T>> weights, Sequences<T> sequences, Dropout dropout,
       Index checkpoint)
      : config_(weights->config()),
        weights_(std::move(weights)),
        sequences_(std::move(sequences)),
        dropout_(std::move(dropout)),
        h_0_(states() * config_.output_size()),
        c_0_(states() * config_.hidden_size) {
    const Schedule& schedule = sequences_.schedule;
    const Index frames = schedule.frames(), hidden = config_.hidden_size;
    const Index kept_frames = checkpoint > 0 && frames > 0 ? cut(checkpoint) : frames;
    for (Index i = 0; i < config_.num_layers * config_.directions(); ++i) {
      gates_.emplace_back(kept() ? 0 : checked_product(4, checked_product(frames, hidden)));
      cells_.emplace_back(checked_product(kept_frames, hidden));
    }
    for (Index l = 0; l + 1 < config_.num_layers; ++l) {
      const Index inner = checked_product(frames, config_.frame_size());
      if (sequences_.y_stride == 0) outputs_.emplace_back(inner);
      if (dropout_.active()) dropped_.emplace_back(inner);
    }
    std::copy_n(sequences_.h, h_0_.size(), h_0_.data());
    std::copy_n(sequences_.c, c_0_.size(), c_0_.data());
    nbytes_ = h_0_.nbytes() + c_0_.nbytes() + dropout_.nbytes();
    for (const auto* buffers : {&gates_, &cells_, &outputs_, &dropped_})
      for (const auto& buffer : *buffers) nbytes_ += buffer.nbytes();
  }

  const Weights<T>& weights() const { return *weights_; }
  const Config& config() const { return config_; }
  const Sequences<T>& sequences() const { return sequences_; }
  Dropout& dropout() { return dropout_; }

  // Steps at which segments begin, and T; empty: gates and c of all steps are kept.
  const std::vector<Index>& borders() const { return borders_; }
  // See ForwardPass::kept; null without segments.
  const Index* kept() const { return kept_.empty() ? nullptr : kept_.data(); }

  // Of one layer and direction: gates [F, 4H] and cells [F, H]; with segments null, and
  // what c is where the scan goes from one segment into the next, at kept()[border].
  T* gates(Index layer, Index direction) { return gates_[at(layer, direction)].data(); }
  T* cells(Index layer, Index direction) { return cells_[at(layer, direction)].data(); }
  // [F, D * P] of an inner layer, unless the caller has it, and what dropout made of it, if active.
  T* output(Index layer) { return outputs_[layer].data(); }
  T* dropped(Index layer) { return dropped_[layer].data(); }
  // [N, P] and [N, H] by the caller's row.
  const T* h_0(Index layer, Index direction) const {
    return h_0_.data() + at(layer, direction) * batch() * config_.output_size();
  }
  const T* c_0(Index layer, Index direction) const {
    return c_0_.data() + at(layer, direction) * batch() * config_.hidden_size;
  }

  // True for the first who asks: the tape is theirs to spend, and to release.
  bool consume() { return !consumed_.exchange(true); }
  bool consumed() const { return consumed_; }
  void release() {
    for (auto* buffers : {&gates_, &cells_, &outputs_, &dropped_}) buffers->clear();
    dropout_.release();
    h_0_ = Buffer<T>();
    c_0_ = Buffer<T>();
    weights_.reset();
  }

  // What is asked for no longer once the layer, and those above it, are done.
  void release_gates(Index layer) {
    for (Index d = 0; d < config_.directions(); ++d) gates_[at(layer, d)] = Buffer<T>();
    for (auto* buffers : {&outputs_, &dropped_})
      if (layer < static_cast<Index>(buffers->size())) (*buffers)[layer] = Buffer<T>();
  }
  void release_cells(Index layer) {
    for (Index d = 0; d < config_.directions(); ++d) cells_[at(layer, d)] = Buffer<T>();
  }

  Index nbytes() const { return consumed_ ? 0 : nbytes_; }

 private:
  // Cuts the steps into segments of at least so many steps, and enough frames; how many rows are
  // alive at all borders together.
  Index cut(Index checkpoint) {
    const Steps steps = sequences_.schedule.view();
    borders_.push_back(0);
    kept_.assign(steps.steps + 1, -1);
    Index rows = 0;
    for (Index t = 1; t < steps.steps; ++t)
      if (t - borders_.back() >= checkpoint &&
          steps.first[t] - steps.first[borders_.back()] >= chunk_frames) {
        borders_.push_back(t);
        kept_[t] = rows;
        rows += steps.rows[t - 1];
      }
    borders_.push_back(steps.steps);
    return rows;
  }

  Index at(Index layer, Index direction) const { return layer * config_.directions() + direction; }
  Index batch() const { return sequences_.schedule.batch(); }
  Index states() const {
    return checked_product(config_.num_layers * config_.directions(), batch());
  }

  const Config config_;
  std::shared_ptr<const Weights<T>> weights_;
  Sequences<T> sequences_;
  Dropout dropout_;
  std::vector<Index> borders_, kept_;
  Index nbytes_;
  Buffer<T> h_0_, c_0_;
  std::vector<Buffer<T>> gates_, cells_;
  std::vector<Buffer<T>> outputs_, dropped_;
  std::atomic<bool> consumed_{false};
};

}  // namespace lstm_native

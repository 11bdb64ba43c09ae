// What a recorded forward pass leaves for the backward pass.
//
// Owns: the activated gates and c of every frame, the outputs of inner layers, the initial state,
// the masks, and the packed weights of the moment. Must not know: how they are computed.
//
// A tape is a value: several may be alive. x and y are the caller's memory; whoever makes a tape
// keeps them alive and unchanged. backward() spends a tape: dz takes the place of the gates.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include "dropout.hpp"
#include "schedule.hpp"
#include "weights.hpp"

namespace lstm_native {

// The sequences of one call.
template <class T>
struct Sequences {
  Schedule schedule;
  Offsets x_offsets, y_offsets;
  const T* x;
  T* y;
  T* h;  // [L * D, N, P] by the caller's row
  T* c;  // [L * D, N, H]
};

template <class T>
class Tape {
 public:
  Tape(std::shared_ptr<const Weights<T>> weights, Sequences<T> sequences, Dropout dropout)
      : weights_(std::move(weights)),
        sequences_(std::move(sequences)),
        dropout_(std::move(dropout)),
        h_0_(states() * config().output_size()),
        c_0_(states() * config().hidden_size) {
    const Index frames = sequences_.schedule.frames();
    const Index cells = checked_product(frames, config().hidden_size);
    for (Index i = 0; i < config().num_layers * config().directions(); ++i) {
      gates_.emplace_back(checked_product(4, cells));
      cells_.emplace_back(cells);
    }
    for (Index l = 0; l + 1 < config().num_layers; ++l) {
      outputs_.emplace_back(checked_product(frames, config().frame_size()));
      if (dropout_.active()) dropped_.emplace_back(outputs_.back().size());
    }
    std::copy_n(sequences_.h, h_0_.size(), h_0_.data());
    std::copy_n(sequences_.c, c_0_.size(), c_0_.data());
  }

  const Weights<T>& weights() const { return *weights_; }
  const Config& config() const { return weights_->config(); }
  const Sequences<T>& sequences() const { return sequences_; }
  Dropout& dropout() { return dropout_; }

  // [F, 4H] and [F, H] of one layer and direction.
  T* gates(Index layer, Index direction) { return gates_[at(layer, direction)].data(); }
  T* cells(Index layer, Index direction) { return cells_[at(layer, direction)].data(); }
  // [F, D * P] of an inner layer, and what dropout made of it.
  T* output(Index layer) { return outputs_[layer].data(); }
  T* dropped(Index layer) {
    return dropout_.active() ? dropped_[layer].data() : outputs_[layer].data();
  }
  // [N, P] and [N, H] by the caller's row.
  const T* h_0(Index layer, Index direction) const {
    return h_0_.data() + at(layer, direction) * batch() * config().output_size();
  }
  const T* c_0(Index layer, Index direction) const {
    return c_0_.data() + at(layer, direction) * batch() * config().hidden_size;
  }

  // True for the first who asks: the tape is theirs to spend.
  bool consume() { return !consumed_.exchange(true); }
  bool consumed() const { return consumed_; }

  Index nbytes() const {
    Index bytes = h_0_.nbytes() + c_0_.nbytes() + dropout_.nbytes();
    for (const auto* buffers : {&gates_, &cells_, &outputs_, &dropped_})
      for (const auto& buffer : *buffers) bytes += buffer.nbytes();
    return bytes;
  }

 private:
  Index at(Index layer, Index direction) const { return layer * config().directions() + direction; }
  Index batch() const { return sequences_.schedule.batch(); }
  Index states() const {
    return checked_product(config().num_layers * config().directions(), batch());
  }

  std::shared_ptr<const Weights<T>> weights_;
  Sequences<T> sequences_;
  Dropout dropout_;
  Buffer<T> h_0_, c_0_;
  std::vector<Buffer<T>> gates_, cells_;
  std::vector<Buffer<T>> outputs_, dropped_;
  std::atomic<bool> consumed_{false};
};

}  // namespace lstm_native

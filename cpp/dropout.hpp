// Dropout between layers.
//
// Owns: one mask per layer boundary, drawn in the order torch draws it, and its product.
// Must not know: what the numbers are that it drops.
#pragma once

#include <cstdint>
#include <vector>

#include "buffer.hpp"
#include "generator.hpp"

namespace lstm_native {

class Dropout {
 public:
  // No dropout.
  Dropout() = default;
  // Room for masks of `count` elements for each boundary. `generator` outlives draw().
  Dropout(double probability, Index boundaries, Index count, Generator* generator);

  // Draws the masks, once all memory of the call is had: a call that fails must leave the generator
  // as it was. Probability 0 and 1 draw nothing. False when the call was stopped meanwhile; what
  // was drawn by then is gone.
  bool draw();

  bool active() const { return probability_ > 0; }
  Index nbytes() const;
  // Gives the masks back.
  void release() { keep_.clear(); }

  // to[i] = from[i] * mask[i] for i in [begin, end): kept elements are scaled by 1 / (1 - p).
  // In place when `to` is `from`. The derivative is the same product.
  template <class T>
  void apply(Index boundary, const T* from, T* to, Index begin, Index end) const;

 private:
  double probability_ = 0;
  Generator* generator_ = nullptr;
  std::vector<Buffer<std::uint8_t>> keep_;  // empty for probability 1
};

}  // namespace lstm_native

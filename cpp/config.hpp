// The sizes of a network.
//
// Owns: Config, what follows from it, and arithmetic on sizes that cannot overflow.
// Must not know: weights, memory, time.
#pragma once

#include <stdexcept>

#include "kernel_api.hpp"
#include "overflow.hpp"

namespace lstm_native {

// a * b, or std::length_error when it does not fit an Index.
inline Index checked_product(Index a, Index b) {
  Index product;
  if (product_overflows(a, b, &product))
    throw std::length_error(
        "sizes overflow: an array of this network would have more than 2^63 "
        "elements");
  return product;
}

inline Index checked_sum(Index a, Index b) {
  Index sum;
  if (sum_overflows(a, b, &sum))
    throw std::length_error(
        "sizes overflow: an array of this network would have more than 2^63 "
        "elements");
  return sum;
}

struct Config {
  Index input_size, hidden_size, num_layers;
  bool bias, bidirectional;
  Index proj_size;

  Index directions() const { return bidirectional ? 2 : 1; }
  bool projected() const { return proj_size > 0; }
  // P
  Index output_size() const { return projected() ? proj_size : hidden_size; }
  // D * P, the features of an output frame
  Index frame_size() const { return checked_product(directions(), output_size()); }
  Index layer_input(Index layer) const { return layer == 0 ? input_size : frame_size(); }

  // The parameters of one layer and direction, in state_dict order.
  Index layer_parameters(Index layer) const {
    const Index gates = checked_product(4, hidden_size);
    Index count = checked_product(gates, checked_sum(layer_input(layer), output_size()));
    if (bias) count = checked_sum(count, checked_product(2, gates));
    if (projected()) count = checked_sum(count, checked_product(proj_size, hidden_size));
    return count;
  }

  Index parameters() const {
    const Index first = checked_product(directions(), layer_parameters(0));
    if (num_layers == 1) return first;
    return checked_sum(
        first, checked_product(checked_product(num_layers - 1, directions()), layer_parameters(1)));
  }

  bool operator==(const Config& other) const {
    return input_size == other.input_size && hidden_size == other.hidden_size &&
           num_layers == other.num_layers && bias == other.bias &&
           bidirectional == other.bidirectional && proj_size == other.proj_size;
  }
};

}  // namespace lstm_native

// Parameters in the order the kernels read them.
//
// Owns: where each parameter stands in the flat buffer, and the packed copy of all of them.
// Must not know: x, y, time. Immutable once made, so threads and tapes share it freely.
#pragma once

#include <vector>

#include "buffer.hpp"

namespace lstm_native {

// The flat buffer: state_dict order, layer by layer, direction by direction.
template <class T>
struct LayerParameters {
  T *weight_ih, *weight_hh, *bias_ih, *bias_hh, *weight_hr;  // null where there is none
};
template <class T>
LayerParameters<T> layer_parameters(const Config& config, T* flat, Index layer, Index direction);

template <class T>
class Weights {
 public:
  Weights(const Config& config, const T* flat);

  const Config& config() const { return config_; }
  const PackedLayer<T>& layer(Index layer, Index direction) const {
    return layers_[layer * config_.directions() + direction];
  }
  Index nbytes() const { return storage_.nbytes(); }

 private:
  Config config_;
  Buffer<T> storage_;
  std::vector<PackedLayer<T>> layers_;
};

}  // namespace lstm_native

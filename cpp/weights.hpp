// Parameters in the order the kernels read them.
//
// Owns: where each parameter stands in the flat buffer, and the packed copy of all of them, in
// memory of its own or where somebody else keeps it.
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
  // Storage other than plain is for float. Where three parts would not do as well as float32, they
  // become plain.
  Weights(const Config& config, const T* flat, Storage storage = Storage::plain);

  // Those that another Weights of this configuration and storage packed on the same ISA, used where
  // they lie; the caller keeps that memory, [packed_size], alive.
  static Weights lying_at(const Config& config, const T* panels, Storage storage);
  static Index packed_size(const Config& config, Storage storage);

  const Config& config() const { return config_; }
  Storage storage() const { return storage_; }
  Storage wanted() const { return wanted_; }  // the one that was asked for
  const PackedLayer<T>& layer(Index layer, Index direction) const {
    return layers_[layer * config_.directions() + direction];
  }
  const T* panels() const { return panels_; }  // [size]
  Index size() const { return size_; }
  Index nbytes() const { return size_ * static_cast<Index>(sizeof(T)); }

 private:
  Weights(const Config& config, Storage storage)
      : config_(config), storage_(storage), wanted_(storage), size_(packed_size(config, storage)) {}
  static Index gates_size(const Config& config, Storage storage, Index layer);
  static Index projection_size(const Config& config, Storage storage);
  // What the columns of a layer need beside the gates: the bias, and their scales.
  static Index columns_size(const Config& config, Storage storage);
  void lay_out(T* panels);
  template <class F>
  void for_layers(const F& f) const;

  Config config_;
  Storage storage_, wanted_;
  Index size_;
  Buffer<T> memory_;
  const T* panels_ = nullptr;
  std::vector<PackedLayer<T>> layers_;
};

}  // namespace lstm_native

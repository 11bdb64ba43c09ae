#include "weights.hpp"

#include <type_traits>

#include "dispatch.hpp"
#include "part.hpp"

namespace lstm_native {

template <class T>
LayerParameters<T> layer_parameters(const Config& config, T* flat, Index layer, Index direction) {
  if (layer > 0)
    flat += config.directions() *
            (config.layer_parameters(0) + (layer - 1) * config.layer_parameters(layer));
  flat += direction * config.layer_parameters(layer);
  const Index gates = 4 * config.hidden_size;
  const auto take = [&](Index count) {
    T* begin = flat;
    flat += count;
    return begin;
  };
  LayerParameters<T> at{};
  at.weight_ih = take(gates * config.layer_input(layer));
  at.weight_hh = take(gates * config.output_size());
  if (config.bias) {
    at.bias_ih = take(gates);
    at.bias_hh = take(gates);
  }
  if (config.projected()) at.weight_hr = take(config.proj_size * config.hidden_size);
  return at;
}

namespace {

Index stored_rows(Storage storage, Index rows) {
  const Index in_one = rows_in_one(storage);
  return rows / in_one + (rows % in_one != 0);
}

}  // namespace

template <class T>
Index Weights<T>::packed_size(const Config& config, Storage storage) {
  const Index others = checked_sum(columns_size(config, storage), projection_size(config, storage));
  const auto layers = [&](Index count, Index like) {
    return checked_product(checked_product(count, config.directions()),
                           checked_sum(gates_size(config, storage, like), others));
  };
  const Index first = layers(1, 0);
  if (config.num_layers == 1) return first;
  return checked_sum(first, layers(config.num_layers - 1, 1));
}

template <class T>
Weights<T> Weights<T>::lying_at(const Config& config, const T* panels, Storage storage) {
  Weights weights(config, storage);
  // Nothing is written through these: a layer's pointers are those that packing writes through.
  weights.lay_out(const_cast<T*>(panels));
  return weights;
}

template <class T>
Index Weights<T>::gates_size(const Config& config, Storage storage, Index layer) {
  return checked_product(kernels<T>().gate_columns(config.hidden_size),
                         checked_sum(stored_rows(storage, config.layer_input(layer)),
                                     stored_rows(storage, config.output_size())));
}

template <class T>
Index Weights<T>::projection_size(const Config& config, Storage storage) {
  return config.projected() ? kernels<T>().panel_size(stored_rows(storage, config.hidden_size),
                                                      config.output_size())
                            : 0;
}

template <class T>
Index Weights<T>::columns_size(const Config& config, Storage storage) {
  const Index gates = kernels<T>().gate_columns(config.hidden_size);
  if (storage != Storage::int8) return gates;
  return checked_sum(checked_product(3, gates),
                     config.projected() ? kernels<T>().panel_size(1, config.output_size()) : 0);
}

template <class T>
void Weights<T>::lay_out(T* panels) {
  panels_ = panels;
  T* next = panels;
  const auto take = [&](Index count) {
    T* begin = next;
    next += count;
    return begin;
  };
  const Index columns = kernels<T>().gate_columns(config_.hidden_size);
  for (Index l = 0; l < config_.num_layers; ++l)
    for (Index d = 0; d < config_.directions(); ++d) {
      PackedLayer<T> layer{};
      layer.input_size = config_.layer_input(l);
      layer.hidden = config_.hidden_size;
      layer.output = config_.output_size();
      layer.projected = config_.projected();
      layer.storage = storage_;
      layer.input_rows = stored_rows(storage_, layer.input_size);
      layer.output_rows = stored_rows(storage_, layer.output);
      layer.hidden_rows = stored_rows(storage_, layer.hidden);
      layer.gates = take(gates_size(config_, storage_, l));
      layer.bias = take(columns);
      if (layer.projected) layer.projection = take(projection_size(config_, storage_));
      if (storage_ == Storage::int8) {
        layer.input_scales = take(columns);
        layer.recurrent_scales = take(columns);
        if (layer.projected)
          layer.projection_scales = take(kernels<T>().panel_size(1, layer.output));
      }
      layers_.push_back(layer);
    }
}

template <class T>
Weights<T>::Weights(const Config& config, const T* flat, Storage storage)
    : Weights(config, storage) {
  const Kernels<T>& k = kernels<T>();
  memory_ = Buffer<T>(size_);
  lay_out(memory_.data());
  if (storage != Storage::plain) {
    const Weights full(config, flat);
    if constexpr (std::is_same_v<T, float>)
      for_layers([&](Index l, Index d, const Part& part) {
        active_table().compress(full.layer(l, d), layer(l, d), part);
      });
    return;
  }
  for_layers([&](Index l, Index d, const Part& part) {
    const auto at = layer_parameters(config, flat, l, d);
    k.pack({at.weight_ih, at.weight_hh, at.bias_ih, at.bias_hh, at.weight_hr}, layer(l, d), part);
  });
}

// f(layer, direction, part) for all of them, on a team if that pays.
template <class T>
template <class F>
void Weights<T>::for_layers(const F& f) const {
  // Below some 100 us of copying a second thread costs more than it saves.
  constexpr Index worth_a_team = 1 << 18;
  const Index work = size_ * rows_in_one(storage_);
  run_team(work < worth_a_team ? 1 : num_threads(), [&](const Team& team) {
    const Part part = output_part(team);
    for (Index l = 0; l < config_.num_layers; ++l)
      for (Index d = 0; d < config_.directions(); ++d) f(l, d, part);
  });
}

template class Weights<float>;
template class Weights<double>;
template LayerParameters<float> layer_parameters(const Config&, float*, Index, Index);
template LayerParameters<double> layer_parameters(const Config&, double*, Index, Index);
template LayerParameters<const float> layer_parameters(const Config&, const float*, Index, Index);
template LayerParameters<const double> layer_parameters(const Config&, const double*, Index, Index);

}  // namespace lstm_native

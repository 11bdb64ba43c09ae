#include "weights.hpp"

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

template <class T>
Index Weights<T>::packed_size(const Config& config) {
  const Index units = kernels<T>().gate_columns(config.hidden_size);
  Index total = 0;
  for (Index l = 0; l < config.num_layers; ++l)
    total = checked_sum(
        total,
        checked_product(config.directions(), checked_sum(checked_sum(gates_size(config, l), units),
                                                         projection_size(config))));
  return total;
}

template <class T>
Weights<T> Weights<T>::lying_at(const Config& config, const T* panels) {
  Weights weights(config);
  // Nothing is written through these: a layer's pointers are those that packing writes through.
  weights.lay_out(const_cast<T*>(panels));
  return weights;
}

template <class T>
Index Weights<T>::gates_size(const Config& config, Index layer) {
  return checked_product(kernels<T>().gate_columns(config.hidden_size),
                         checked_sum(config.layer_input(layer), config.output_size()));
}

template <class T>
Index Weights<T>::projection_size(const Config& config) {
  return config.projected() ? kernels<T>().panel_size(config.hidden_size, config.output_size()) : 0;
}

template <class T>
void Weights<T>::lay_out(T* panels) {
  panels_ = panels;
  T* next = panels;
  const Index units = kernels<T>().gate_columns(config_.hidden_size);
  for (Index l = 0; l < config_.num_layers; ++l)
    for (Index d = 0; d < config_.directions(); ++d) {
      PackedLayer<T> layer{config_.layer_input(l),
                           config_.hidden_size,
                           config_.output_size(),
                           config_.projected(),
                           next,
                           nullptr,
                           nullptr};
      layer.bias = layer.gates + gates_size(config_, l);
      next = layer.bias + units;
      if (layer.projected) layer.projection = next;
      next += projection_size(config_);
      layers_.push_back(layer);
    }
}

template <class T>
Weights<T>::Weights(const Config& config, const T* flat) : Weights(config) {
  const Kernels<T>& k = kernels<T>();
  const Index total = size_;
  storage_ = Buffer<T>(total);
  lay_out(storage_.data());

  // Below some 100 us of copying a second thread costs more than it saves.
  constexpr Index worth_a_team = 1 << 18;
  run_team(total < worth_a_team ? 1 : num_threads(), [&](const Team& team) {
    const Part part = output_part(team);
    for (Index l = 0; l < config.num_layers; ++l)
      for (Index d = 0; d < config.directions(); ++d) {
        const auto at = layer_parameters(config, flat, l, d);
        k.pack({at.weight_ih, at.weight_hh, at.bias_ih, at.bias_hh, at.weight_hr}, layer(l, d),
               part);
      }
  });
}

template class Weights<float>;
template class Weights<double>;
template LayerParameters<float> layer_parameters(const Config&, float*, Index, Index);
template LayerParameters<double> layer_parameters(const Config&, double*, Index, Index);
template LayerParameters<const float> layer_parameters(const Config&, const float*, Index, Index);
template LayerParameters<const double> layer_parameters(const Config&, const double*, Index, Index);

}  // namespace lstm_native

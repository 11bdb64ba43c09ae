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
Weights<T>::Weights(const Config& config, const T* flat) : config_(config) {
  const Kernels<T>& k = kernels<T>();
  const Index units = k.gate_columns(config.hidden_size);
  const auto gates_size = [&](Index layer) {
    return checked_product(units, checked_sum(config.layer_input(layer), config.output_size()));
  };
  const Index projection =
      config.projected() ? k.panel_size(config.hidden_size, config.output_size()) : 0;
  Index total = 0;
  for (Index l = 0; l < config.num_layers; ++l)
    total = checked_sum(
        total, checked_product(config.directions(),
                               checked_sum(checked_sum(gates_size(l), units), projection)));
  storage_ = Buffer<T>(total);
  T* next = storage_.data();
  for (Index l = 0; l < config.num_layers; ++l)
    for (Index d = 0; d < config.directions(); ++d) {
      PackedLayer<T> layer{config.layer_input(l),
                           config.hidden_size,
                           config.output_size(),
                           config.projected(),
                           next,
                           nullptr,
                           nullptr};
      layer.bias = layer.gates + gates_size(l);
      next = layer.bias + units;
      if (layer.projected) layer.projection = next;
      next += projection;
      layers_.push_back(layer);
    }

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

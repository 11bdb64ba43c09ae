#include "weights.hpp"

#include <algorithm>
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

Index quotient_up(Index a, Index b) { return a / b + (a % b != 0); }

// Rows of the panels that hold `rows` rows of k.
Index stored_rows(Storage storage, Index rows) {
  if (const Index parts = parts_of(storage))
    return checked_product(parts * tile_height, quotient_up(rows, tile_depth));
  return quotient_up(rows, rows_in_one(storage));
}

// Whether three parts may stand for these weights. Their sums have to be long enough, or six
// roundings of one tile would be more than those of float32; and all their digits have to be there:
// a part of a larger weight would be infinite, one of a smaller weight count as zero.
template <class T>
bool split_well(const Config& config, const T* flat) {
  const auto all_split = [](const T* weights, Index count) {
    bool split = true;
    for (Index i = 0; i < count; ++i) {
      const T size = weights[i] < 0 ? -weights[i] : weights[i];
      split &= (size == 0) | ((size >= least_in_parts) & (size <= most_in_parts));
    }
    return split;
  };
  const Index gates = 4 * config.hidden_size;
  for (Index l = 0; l < config.num_layers; ++l)
    for (Index d = 0; d < config.directions(); ++d) {
      const Index input = config.layer_input(l), output = config.output_size();
      const auto at = layer_parameters(config, flat, l, d);
      if (std::min(input, output) < 2 * tile_depth || !all_split(at.weight_ih, gates * input) ||
          !all_split(at.weight_hh, gates * output) ||
          (at.weight_hr && !all_split(at.weight_hr, output * config.hidden_size)))
        return false;
    }
  return true;
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
    : Weights(config, storage == Storage::three_parts && !split_well(config, flat) ? Storage::plain
                                                                                   : storage) {
  wanted_ = storage;
  const Kernels<T>& k = kernels<T>();
  memory_ = Buffer<T>(size_);
  lay_out(memory_.data());
  if (storage_ != Storage::plain) {
    const Weights full(config, flat);
    if constexpr (std::is_same_v<T, float>) {
      const RoundedKernels* rounding = rounded_kernels(storage_);
      const auto compress = rounding ? rounding->compress : active_table().compress;
      for_layers([&](Index l, Index d, const Part& part) {
        compress(full.layer(l, d), layer(l, d), part);
      });
    }
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
  const Index work = config_.parameters();
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

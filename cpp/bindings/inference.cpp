// The plain call, in one entry: a network in evaluation mode on dense input.
//
// Owns: recognising a call that needs no conversion and no explanation, and making its results.
// Whatever is not plain gets None back and goes the long way, through the checks in Python: this
// file raises nothing of its own. At one step and one row that way costs several times the
// arithmetic.
#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>

#include "dispatch.hpp"
#include "handles.hpp"
#include "names.hpp"
#include "plain.hpp"
#include "stack.hpp"

namespace lstm_native::bindings {
namespace {

template <class T>
void run(const Weights<T>& weights, const Sequences<T>& sequences) {
  unlocked(flops(weights.config(), sequences.schedule.frames()), [&] {
    Dropout none;
    forward<T>(weights, sequences, none);
  });
}

// h or c: a new array that begins as `given`, or as zeros.
template <class T>
py::object new_state(const Index* shape, py::ssize_t ndim, py::handle given) {
  py::object state = new_array<T>(shape, ndim);
  const Index count = std::accumulate(shape, shape + ndim, Index{1}, std::multiplies<Index>());
  if (given)
    std::copy_n(data<const T>(given), count, data<T>(state));
  else
    std::fill_n(data<T>(state), count, T(0));
  return state;
}

// h_0 and c_0 of a call; null when None was given. False: not plain.
template <class T>
struct GivenState {
  py::handle h, c;
  bool read(py::handle hx, py::ssize_t ndim, const Index* h_shape, const Index* c_shape) {
    if (hx.is_none()) return true;
    if (!PyTuple_CheckExact(hx.ptr()) || PyTuple_GET_SIZE(hx.ptr()) != 2) return false;
    h = PyTuple_GET_ITEM(hx.ptr(), 0);
    c = PyTuple_GET_ITEM(hx.ptr(), 1);
    return is_plain<T>(h, ndim) && is_plain<T>(c, ndim) && has_shape(h, h_shape) &&
           has_shape(c, c_shape);
  }
};

template <class T>
py::object infer_as(const Weights<T>& weights, py::handle x, py::handle hx, bool batch_first) {
  const Config& config = weights.config();
  const bool batched = is_plain<T>(x, 3);
  if (!batched && !is_plain<T>(x, 2)) return py::none();
  const py::ssize_t ndim = batched ? 3 : 2;
  const auto* shape = py::detail::array_proxy(x.ptr())->dimensions;
  batch_first = batched && batch_first;
  const Index steps = shape[batch_first ? 1 : 0];
  const Index batch = batched ? shape[batch_first ? 0 : 1] : 1;
  if (shape[ndim - 1] != config.input_size || steps == 0 || batch == 0) return py::none();

  const Index states = config.num_layers * config.directions();
  Index y_shape[3] = {shape[0], shape[1], config.frame_size()};
  Index h_shape[3] = {states, batch, config.output_size()};
  Index c_shape[3] = {states, batch, config.hidden_size};
  if (!batched)
    for (Index* sizes : {y_shape, h_shape, c_shape}) sizes[1] = sizes[2];
  GivenState<T> given;
  if (!given.read(hx, ndim, h_shape, c_shape)) return py::none();
  py::object y = new_array<T>(y_shape, ndim);
  py::object h = new_state<T>(h_shape, ndim, given.h);
  py::object c = new_state<T>(c_shape, ndim, given.c);

  Schedule schedule = Schedule::dense(steps, batch);
  const auto offsets = [&](Index features) {
    return batch_first ? Offsets::strided(schedule, features, steps * features)
                       : Offsets::strided(schedule, batch * features, features);
  };
  Offsets x_offsets = offsets(config.input_size), y_offsets = offsets(config.frame_size());
  run(weights, {std::move(schedule), std::move(x_offsets), std::move(y_offsets), data<const T>(x),
                data<T>(y), data<T>(h), data<T>(c)});
  return tuple_of(y, tuple_of(h, c));
}

template <class T>
py::object infer_cell_as(const Weights<T>& weights, py::handle x, py::handle hx) {
  const Config& config = weights.config();
  // Other networks have more states than the two that are made here.
  if (config.num_layers != 1 || config.bidirectional || config.projected()) return py::none();
  const bool batched = is_plain<T>(x, 2);
  if (!batched && !is_plain<T>(x, 1)) return py::none();
  const py::ssize_t ndim = batched ? 2 : 1;
  const auto* shape = py::detail::array_proxy(x.ptr())->dimensions;
  const Index batch = batched ? shape[0] : 1;
  if (shape[ndim - 1] != config.input_size || batch == 0) return py::none();
  const Index state_shape[2] = {batched ? batch : config.hidden_size, config.hidden_size};
  GivenState<T> given;
  if (!given.read(hx, ndim, state_shape, state_shape)) return py::none();
  py::object h = new_state<T>(state_shape, ndim, given.h);
  py::object c = new_state<T>(state_shape, ndim, given.c);
  Buffer<T> y(checked_product(batch, config.hidden_size));
  Schedule schedule = Schedule::dense(1, batch);
  Offsets x_offsets = Offsets::packed(schedule, config.input_size);
  Offsets y_offsets = Offsets::packed(schedule, config.hidden_size);
  run(weights, {std::move(schedule), std::move(x_offsets), std::move(y_offsets), data<const T>(x),
                y.data(), data<T>(h), data<T>(c)});
  return tuple_of(h, c);
}

// Whether weights were packed under other settings than those of now. `precision`: the number of
// the network's own, that after all of them for the one set for all; negative where none is asked.
template <class T>
bool outdated(const Weights<T>& weights, int precision) {
  if (precision < 0) return false;
  constexpr int own = std::size(precisions);
  return weights.wanted() !=
         storage_by(precision < own ? precisions[precision].first : lstm_native::precision());
}

py::object infer(py::handle weights, py::handle x, py::handle hx, bool batch_first, int precision) {
  return std::visit(
      [&](const auto& w) -> py::object {
        return outdated(*w, precision) ? py::none() : infer_as(*w, x, hx, batch_first);
      },
      instance<PyWeights>(weights, "weights", "Weights").value);
}

py::object infer_cell(py::handle weights, py::handle x, py::handle hx, int precision) {
  return std::visit(
      [&](const auto& w) -> py::object {
        return outdated(*w, precision) ? py::none() : infer_cell_as(*w, x, hx);
      },
      instance<PyWeights>(weights, "weights", "Weights").value);
}

}  // namespace

void register_inference(py::module_& m) {
  using py::arg;
  m.def("infer", &infer, arg("weights"), arg("x"), arg("hx"), arg("batch_first"), arg("precision"));
  m.def("infer_cell", &infer_cell, arg("weights"), arg("x"), arg("hx"), arg("precision"));
}

}  // namespace lstm_native::bindings

// The network: forward, record, backward, step.
//
// Owns: turning arrays into sequences, and back. All checks that keep memory safe are made here,
// before the first pointer is taken (for plain calls in inference.cpp); the wording a user sees is
// made in Python.
#include <memory>
#include <variant>

#include "arrays.hpp"
#include "handles.hpp"
#include "stack.hpp"

namespace lstm_native::bindings {
namespace {

struct PyTape {
  std::variant<std::unique_ptr<Tape<float>>, std::unique_ptr<Tape<double>>> value;
  py::object x, y;             // what the tape reads and does not own
  std::vector<Index> x_shape;  // when it was recorded
};

// What a call brings, still as Python objects.
struct Arguments {
  py::handle x, y, h, c, lengths, batch_sizes, order, resets, cells;
};

// Index arrays are copied first and then checked: another thread may write to them meanwhile.
Schedule padded_schedule(py::handle lengths, Index steps, Index batch) {
  const auto given = exact_view<const Index>(lengths, "lengths", {batch});
  const std::vector<Index> values(given.data, given.data + batch);
  for (const Index length : values)
    if (length < 0 || length > steps)
      throw py::value_error("lengths should be from 0 to " + std::to_string(steps) +
                            ", got: " + std::to_string(length));
  return Schedule::padded(values.data(), batch);
}

Schedule packed_schedule(py::handle batch_sizes, py::handle order, Index frames) {
  const auto given = exact_view<const Index>(
      batch_sizes, "batch_sizes", view<const Index>(batch_sizes, "batch_sizes", 1).shape);
  const std::vector<Index> sizes(given.data, given.data + given.shape[0]);
  const Index steps = given.shape[0], batch = steps ? sizes[0] : 0;
  Index sum = 0;
  for (Index t = 0; t < steps; ++t) {
    if (sizes[t] < 1 || (t > 0 && sizes[t] > sizes[t - 1]))
      throw py::value_error("batch_sizes should be positive and never grow");
    sum = checked_sum(sum, sizes[t]);
  }
  if (sum != frames)
    throw py::value_error("batch_sizes should sum to the " + std::to_string(frames) +
                          " rows of x, got: " + std::to_string(sum));
  if (order.is_none()) return Schedule::packed(sizes.data(), steps, nullptr);
  const Index* order_data = exact_view<const Index>(order, "order", {batch}).data;
  const std::vector<Index> rows(order_data, order_data + batch);
  std::vector<bool> seen(batch);
  for (const Index row : rows) {
    if (row < 0 || row >= batch || seen[row])
      throw py::value_error("order should be a permutation of the batch");
    seen[row] = true;
  }
  return Schedule::packed(sizes.data(), steps, rows.data());
}

std::vector<Index> shape_of(py::handle array) {
  const auto a = py::reinterpret_borrow<py::array>(array);
  return {a.shape(), a.shape() + a.ndim()};
}

void expect(const char* name, const std::vector<Index>& expected, const std::vector<Index>& got) {
  if (got != expected)
    throw py::value_error(std::string(name) + " should have shape " + text(expected) +
                          ", got: " + text(got));
}

// Frames of an array laid out like x: (T, N, features), or (F, features) when packed; after
// `leading` other axes.
template <class T>
Offsets offsets_of(const View<T>& v, const Schedule& schedule, std::size_t leading = 0) {
  const Index* strides = v.strides.data() + leading;
  return v.shape.size() == leading + 2 ? Offsets::packed(schedule, strides[0])
                                       : Offsets::strided(schedule, strides[0], strides[1]);
}

// An array laid out like x but for its features; or, with one axis more, such an array of each
// layer.
template <class T>
struct LayerView {
  View<T> all;
  std::size_t leading;  // 1 when there is an axis of layers

  LayerView(py::handle object, const char* name, const std::vector<Index>& x_shape, Index layers,
            Index features)
      : leading(array_argument(object, name).ndim() ==
                static_cast<py::ssize_t>(x_shape.size()) + 1) {
    std::vector<Index> shape = x_shape;
    shape.back() = features;
    if (leading) shape.insert(shape.begin(), layers);
    all = view<T>(object, name, shape.size());
    expect(name, shape, all.shape);
  }
  Index stride() const { return leading ? all.strides[0] : 0; }
  T* last() const { return leading ? all.data + (all.shape[0] - 1) * stride() : all.data; }
  Offsets offsets(const Schedule& schedule) const { return offsets_of(all, schedule, leading); }
  LayerFrames<T> frames(const Schedule& schedule) const {
    return {last(), offsets(schedule), leading == 1, stride()};
  }
};

// A mask laid out like x: (T, N), or (F,) when packed. Read as bytes: a bool of another value than
// 0 and 1 is none to C++.
void begin_anew(Schedule& schedule, py::handle resets, const std::vector<Index>& frames) {
  if (resets.is_none()) return;
  const auto given = exact_view<const bool>(resets, "resets", frames);
  const Offsets offsets =
      frames.size() == 1 ? Offsets::packed(schedule, 1) : Offsets::strided(schedule, frames[1], 1);
  schedule.begin_anew(offsets.at(reinterpret_cast<const std::uint8_t*>(given.data)));
}

template <class T>
Sequences<T> sequences_of(const Arguments& from, const Config& config) {
  const bool packed = !from.batch_sizes.is_none();
  if (packed && !from.lengths.is_none())
    throw py::value_error("lengths and batch_sizes exclude each other");
  if (!packed && !from.order.is_none()) throw py::value_error("order goes with batch_sizes");
  const auto x = view<const T>(from.x, "x", packed ? 2 : 3);
  const Index L = config.num_layers;
  const LayerView<T> y(from.y, "y", x.shape, L, config.frame_size());
  std::vector<Index> shape = x.shape;
  shape.back() = config.input_size;
  expect("x", shape, x.shape);
  Schedule schedule = packed ? packed_schedule(from.batch_sizes, from.order, x.shape[0])
                      : from.lengths.is_none()
                          ? Schedule::dense(x.shape[0], x.shape[1])
                          : padded_schedule(from.lengths, x.shape[0], x.shape[1]);
  begin_anew(schedule, from.resets, {x.shape.begin(), x.shape.end() - 1});
  const Index states = checked_product(config.num_layers, config.directions());
  T* h = exact_view<T>(from.h, "h", {states, schedule.batch(), config.output_size()}).data;
  T* c = exact_view<T>(from.c, "c", {states, schedule.batch(), config.hidden_size}).data;
  LayerFrames<T> cells;
  if (!from.cells.is_none())
    cells = LayerView<T>(from.cells, "cells", x.shape, L, config.directions() * config.hidden_size)
                .frames(schedule);
  Offsets x_offsets = offsets_of(x, schedule), y_offsets = y.offsets(schedule);
  return {std::move(schedule), std::move(x_offsets), std::move(y_offsets), x.data, y.last(), h, c,
          y.stride(),          std::move(cells)};
}

// Where masks come from, read before any array: __float__ may run anything.
struct Masking {
  double probability;
  Generator* generator;  // null without dropout

  Masking(const Config& config, py::handle dropout, py::handle engine)
      : probability(number(dropout, "dropout")), generator(nullptr) {
    if (!(probability >= 0 && probability <= 1))
      throw py::value_error("dropout should be from 0 to 1");
    if (config.num_layers == 1) probability = 0;
    if (probability > 0)
      generator = instance<PyGenerator>(engine, "generator", "Generator").value.get();
  }

  Dropout masks(const Config& config, Index frames) const {
    return {probability, config.num_layers - 1, checked_product(frames, config.frame_size()),
            generator};
  }
};

void run_forward(py::handle weights, py::handle x, py::handle y, py::handle h, py::handle c,
                 py::handle lengths, py::handle batch_sizes, py::handle order, py::handle dropout,
                 py::handle generator, py::handle resets, py::handle cells) {
  std::visit(
      [&](const auto& shared) {
        using T = std::decay_t<decltype(*shared->layer(0, 0).bias)>;
        const Config& config = shared->config();
        const Masking masking(config, dropout, generator);
        const auto sequences =
            sequences_of<T>({x, y, h, c, lengths, batch_sizes, order, resets, cells}, config);
        const Index frames = sequences.schedule.frames();
        Dropout masks = masking.masks(config, frames);
        unlocked(flops(config, frames), [&] { forward<T>(*shared, sequences, masks); });
      },
      instance<PyWeights>(weights, "weights", "Weights").value);
}

// Least steps between checkpoints; 0 for none.
Index checkpoint_of(py::handle checkpoint) {
  if (checkpoint.is_none()) return 0;
  const Index steps = integer(checkpoint, "checkpoint");
  if (steps < 1) throw py::value_error("checkpoint should be at least 1");
  return steps;
}

py::object run_record(py::handle weights, py::handle x, py::handle y, py::handle h, py::handle c,
                      py::handle lengths, py::handle batch_sizes, py::handle order,
                      py::handle dropout, py::handle generator, py::handle checkpoint,
                      py::handle resets, py::handle cells) {
  return std::visit(
      [&](const auto& shared) {
        using T = std::decay_t<decltype(*shared->layer(0, 0).bias)>;
        const Config& config = shared->config();
        if (shared->storage() != Storage::plain)
          throw py::value_error("weights to record with should be packed with storage None");
        const Index every = checkpoint_of(checkpoint);
        const Masking masking(config, dropout, generator);
        auto sequences =
            sequences_of<T>({x, y, h, c, lengths, batch_sizes, order, resets, cells}, config);
        const Index frames = sequences.schedule.frames();
        Dropout masks = masking.masks(config, frames);
        py::object object = empty<PyTape>();
        PyTape& holder = object.cast<PyTape&>();
        holder = {{},
                  py::reinterpret_borrow<py::object>(x),
                  py::reinterpret_borrow<py::object>(y),
                  shape_of(x)};
        unlocked(flops(config, frames), [&] {
          auto tape =
              std::make_unique<Tape<T>>(shared, std::move(sequences), std::move(masks), every);
          record(*tape);
          holder.value = std::move(tape);
        });
        return object;
      },
      instance<PyWeights>(weights, "weights", "Weights").value);
}

void run_backward(py::handle tape, py::handle grad_y, py::handle grad_x, py::handle grad_h,
                  py::handle grad_c, py::handle grad_parameters, py::handle accumulate,
                  py::handle grad_cells) {
  PyTape& holder = instance<PyTape>(tape, "tape", "Tape");
  std::visit(
      [&](const auto& recorded) {
        using T = std::decay_t<decltype(*recorded->gates(0, 0))>;
        const Config& config = recorded->config();
        const Schedule& schedule = recorded->sequences().schedule;
        const std::vector<Index>& x_shape = holder.x_shape;
        const auto frames_of = [&](py::handle given, const char* name, Index features) {
          if (given.is_none()) return LayerFrames<const T>{};
          return LayerView<const T>(given, name, x_shape, config.num_layers, features)
              .frames(schedule);
        };
        Gradients<T> gradients{};
        gradients.add = boolean(accumulate, "accumulate");
        gradients.dy = frames_of(grad_y, "grad_y", config.frame_size());
        gradients.d_cells =
            frames_of(grad_cells, "grad_cells", config.directions() * config.hidden_size);
        const auto dx = view<T>(grad_x, "grad_x", x_shape.size());
        expect("grad_x", x_shape, dx.shape);
        gradients.dx = dx.data;
        gradients.dx_offsets = offsets_of(dx, schedule);
        const Index states = config.num_layers * config.directions(), batch = schedule.batch();
        gradients.dh = exact_view<T>(grad_h, "grad_h", {states, batch, config.output_size()}).data;
        gradients.dc = exact_view<T>(grad_c, "grad_c", {states, batch, config.hidden_size}).data;
        gradients.d_parameters =
            exact_view<T>(grad_parameters, "grad_parameters", {config.parameters()}).data;
        bool spent = false;
        try {
          unlocked(flops(config, schedule.frames()),
                   [&] { spent = !backward(*recorded, gradients); });
        } catch (const py::error_already_set&) {  // given up, and the tape with it
          holder.x = holder.y = py::none();
          throw;
        }
        if (spent)
          throw std::runtime_error(
              "the tape has been used by an earlier backward(); record the forward pass again");
        holder.x = holder.y = py::none();
      },
      holder.value);
}

// One step of every layer: a sequence of length 1.
void run_step(py::handle weights, py::handle x, py::handle y, py::handle h, py::handle c) {
  std::visit(
      [&](const auto& shared) {
        using T = std::decay_t<decltype(*shared->layer(0, 0).bias)>;
        const Config& config = shared->config();
        if (config.bidirectional)
          throw py::value_error(
              "a bidirectional network cannot go step by step: its reverse "
              "direction begins at the end of the sequence");
        const auto from = view<const T>(x, "x", 2);
        const auto to = view<T>(y, "y", 2);
        const Index batch = from.shape[0];
        expect("x", {batch, config.input_size}, from.shape);
        expect("y", {batch, config.output_size()}, to.shape);
        T* state_h = exact_view<T>(h, "h", {config.num_layers, batch, config.output_size()}).data;
        T* state_c = exact_view<T>(c, "c", {config.num_layers, batch, config.hidden_size}).data;
        Schedule schedule = Schedule::dense(1, batch);
        Offsets x_offsets = Offsets::packed(schedule, from.strides[0]);
        Offsets y_offsets = Offsets::packed(schedule, to.strides[0]);
        const Sequences<T> sequences{std::move(schedule),
                                     std::move(x_offsets),
                                     std::move(y_offsets),
                                     from.data,
                                     to.data,
                                     state_h,
                                     state_c};
        unlocked(flops(config, batch), [&] {
          Dropout none;
          forward<T>(*shared, sequences, none);
        });
      },
      instance<PyWeights>(weights, "weights", "Weights").value);
}

}  // namespace

void register_network(py::module_& m) {
  using py::arg;
  const auto with_tape = [](py::handle self, const auto& f) {
    return std::visit(f, instance<PyTape>(self, "self", "Tape").value);
  };
  register_class<PyTape>(m, "Tape")
      .def_property_readonly("consumed",
                             [with_tape](py::handle self) {
                               return with_tape(self, [](const auto& t) { return t->consumed(); });
                             })
      .def_property_readonly("nbytes", [with_tape](py::handle self) {
        return with_tape(self, [](const auto& t) { return t->nbytes(); });
      });
  m.def("forward", &run_forward, arg("weights"), arg("x"), arg("y"), arg("h"), arg("c"),
        arg("lengths"), arg("batch_sizes"), arg("order"), arg("dropout"), arg("generator"),
        arg("resets") = py::none(), arg("cells") = py::none());
  m.def("record", &run_record, arg("weights"), arg("x"), arg("y"), arg("h"), arg("c"),
        arg("lengths"), arg("batch_sizes"), arg("order"), arg("dropout"), arg("generator"),
        arg("checkpoint"), arg("resets") = py::none(), arg("cells") = py::none());
  m.def("backward", &run_backward, arg("tape"), arg("grad_y"), arg("grad_x"), arg("grad_h"),
        arg("grad_c"), arg("grad_parameters"), arg("accumulate"), arg("grad_cells") = py::none());
  m.def("step", &run_step, arg("weights"), arg("x"), arg("y"), arg("h"), arg("c"));
}

}  // namespace lstm_native::bindings

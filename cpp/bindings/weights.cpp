// Packed weights: made of the flat parameters, read out, and used where an array holds them.
//
// Owns: how sizes become a Config, and how long such an array is kept. Must not know: calls.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "arrays.hpp"
#include "dispatch.hpp"
#include "handles.hpp"
#include "names.hpp"
#include "plain.hpp"

namespace lstm_native::bindings {
namespace {

Config config_of(py::handle input_size, py::handle hidden_size, py::handle num_layers,
                 py::handle bias, py::handle bidirectional, py::handle proj_size) {
  const Config config{integer(input_size, "input_size"),       integer(hidden_size, "hidden_size"),
                      integer(num_layers, "num_layers"),       boolean(bias, "bias"),
                      boolean(bidirectional, "bidirectional"), integer(proj_size, "proj_size")};
  if (config.input_size < 0 || config.hidden_size < 1 || config.num_layers < 1 ||
      config.proj_size < 0 || (config.proj_size > 0 && config.proj_size >= config.hidden_size))
    throw py::value_error(
        "sizes should be input_size >= 0, hidden_size >= 1, num_layers >= 1 and "
        "0 <= proj_size < hidden_size");
  return config;
}

bool in_float(py::handle array, const char* name) {
  return array_argument(array, name).dtype().equal(py::dtype::of<float>());
}

Storage storage_of(py::handle name, const Config& config, bool in_float) {
  if (name.is_none()) return Storage::plain;
  const Storage storage = named(name, storages, "storage");
  if (!in_float) throw py::value_error("storage should be None for float64");
  if (!multiplies(storage))
    throw py::value_error("storage '" + name.cast<std::string>() +
                          "' cannot be multiplied with the ISA " + active_table().name);
  // Sums of products of bytes are integers of 32 bits.
  constexpr Index most_terms = 0x7fffffff / (127 * 127);
  if (storage == Storage::int8 &&
      (config.input_size > most_terms || config.frame_size() > most_terms ||
       config.hidden_size > most_terms))
    throw py::value_error("storage 'int8' is for at most " + std::to_string(most_terms) +
                          " features and units");
  return storage;
}

// The one that was asked for.
py::object storage_name(py::handle self) {
  return name_of(std::visit([](const auto& shared) { return shared->wanted(); },
                            instance<PyWeights>(self, "self", "Weights").value),
                 storages);
}

template <class T>
py::object pack_as(py::handle parameters, const Config& config, Storage storage) {
  const auto flat = exact_view<const T>(parameters, "parameters", {config.parameters()});
  py::object packed = empty<PyWeights>();
  auto& shared = packed.cast<PyWeights&>().value;
  unlocked(flops(config, 1),
           [&] { shared = std::make_shared<const Weights<T>>(config, flat.data, storage); });
  return packed;
}

py::object pack(py::handle parameters, py::handle input_size, py::handle hidden_size,
                py::handle num_layers, py::handle bias, py::handle bidirectional,
                py::handle proj_size, py::handle storage) {
  const Config config =
      config_of(input_size, hidden_size, num_layers, bias, bidirectional, proj_size);
  const bool single = in_float(parameters, "parameters");
  const Storage as = storage_of(storage, config, single);
  return single ? pack_as<float>(parameters, config, as) : pack_as<double>(parameters, config, as);
}

// Ends weights that lie in an array, and lets go of the array. A tape may be the last to hold them
// and lose them inside backward(), where this thread has no GIL.
struct Keeper {
  py::object array;

  template <class T>
  void operator()(const Weights<T>* weights) {
    delete weights;
    with_gil([this] { array = py::object(); });
  }
};

template <class T>
py::object use_as(py::handle panels, const Config& config, Storage storage) {
  const auto from =
      exact_view<const T>(panels, "panels", {Weights<T>::packed_size(config, storage)});
  py::object packed = empty<PyWeights>();
  packed.cast<PyWeights&>().value =
      SharedWeights<T>(new const Weights<T>(Weights<T>::lying_at(config, from.data, storage)),
                       Keeper{py::reinterpret_borrow<py::object>(panels)});
  return packed;
}

py::object use_packed(py::handle panels, py::handle input_size, py::handle hidden_size,
                      py::handle num_layers, py::handle bias, py::handle bidirectional,
                      py::handle proj_size, py::handle storage) {
  const Config config =
      config_of(input_size, hidden_size, num_layers, bias, bidirectional, proj_size);
  const bool single = in_float(panels, "panels");
  const Storage as = storage_of(storage, config, single);
  return single ? use_as<float>(panels, config, as) : use_as<double>(panels, config, as);
}

py::object panels(py::handle self) {
  return std::visit(
      [](const auto& shared) {
        using T = std::decay_t<decltype(*shared->layer(0, 0).bias)>;
        const Index size = shared->size();
        py::object copy = new_array<T>(&size, 1);
        T* const to = data<T>(copy);
        unlocked_to_the_end(static_cast<double>(size),
                            [&] { std::copy_n(shared->panels(), size, to); });
        return copy;
      },
      instance<PyWeights>(self, "self", "Weights").value);
}

Index parameter_count(py::handle input_size, py::handle hidden_size, py::handle num_layers,
                      py::handle bias, py::handle bidirectional, py::handle proj_size) {
  return config_of(input_size, hidden_size, num_layers, bias, bidirectional, proj_size)
      .parameters();
}

}  // namespace

void register_weights(py::module_& m) {
  using py::arg;
  register_class<PyWeights>(m, "Weights")
      .def_property_readonly("nbytes",
                             [](py::handle self) {
                               return std::visit(
                                   [](const auto& shared) { return shared->nbytes(); },
                                   instance<PyWeights>(self, "self", "Weights").value);
                             })
      .def_property_readonly("storage", &storage_name)
      .def("panels", &panels);
  m.def("parameter_count", &parameter_count, arg("input_size"), arg("hidden_size"),
        arg("num_layers"), arg("bias"), arg("bidirectional"), arg("proj_size"));
  m.def("pack", &pack, arg("parameters"), arg("input_size"), arg("hidden_size"), arg("num_layers"),
        arg("bias"), arg("bidirectional"), arg("proj_size"), arg("storage") = py::none());
  m.def("use_packed", &use_packed, arg("panels"), arg("input_size"), arg("hidden_size"),
        arg("num_layers"), arg("bias"), arg("bidirectional"), arg("proj_size"),
        arg("storage") = py::none());
}

}  // namespace lstm_native::bindings

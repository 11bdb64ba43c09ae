"""Keras's LSTM layers in torch's terms.

Owns what the configuration of a model says: which layers are LSTMs, which follow each other, and
what torch's LSTM is not, which is refused. Must not know files.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_native.checkpoints.contents import Array

MOST_DEPTH = 20

_PASSING = (
    "Dropout",
    "SpatialDropout1D",
    "GaussianDropout",
    "GaussianNoise",
    "ActivityRegularization",
)
_ROLES = {"0": "kernel", "1": "recurrent_kernel", "2": "bias"}


@dataclass(frozen=True)
class Layer:
    """An LSTM layer, or a Bidirectional one around it."""

    path: tuple[str, ...]  # its name, after those of the models it is in
    counted: tuple[str, ...]  # the same, each by class and number
    units: int
    bias: bool
    directions: int
    sequences: bool
    time_major: bool

    @property
    def kind(self) -> tuple[Any, ...]:
        """What layers must have in common to be the layers of one LSTM."""
        return self.units, self.bias, self.directions, self.time_major


def stacks(model: Any) -> list[list[Layer]]:
    """The LSTM layers of a model's configuration, those that follow each other put together."""
    found: list[list[Layer]] = []
    _collect(model, (), (), found)
    return found


def parameters(layer: Layer, arrays: Mapping[str, Array], number: int) -> dict[str, Array]:
    """A layer's arrays, given by their paths in the file, as torch's for layer `number`."""
    result: dict[str, Array] = {}
    name = "/".join(layer.path)
    roles = {}
    for path, array in arrays.items():
        parts = path.split("/")
        role = parts[-1].split(":")[0]
        role = _ROLES.get(role, role)
        if role in ("kernel", "recurrent_kernel", "bias"):
            backward = layer.directions == 2 and any(p.startswith("backward") for p in parts)
            if (backward, role) in roles:
                raise ValueError(f"the {role} of the layer {name!r} stands twice in it")
            roles[backward, role] = array
    units, gates = layer.units, 4 * layer.units
    for direction in range(layer.directions):
        suffix = f"_l{number}" + "_reverse" * direction
        shapes: dict[str, tuple[int, ...]] = {
            "kernel": (-1, gates),
            "recurrent_kernel": (units, gates),
        }
        if layer.bias:
            shapes["bias"] = (gates,)
        for role, shape in shapes.items():
            array = roles.get((bool(direction), role), np.empty(0))
            fits = array.ndim == len(shape) and array.dtype.kind == "f"
            if not fits or any(w not in (-1, g) for w, g in zip(shape, array.shape, strict=True)):
                raise ValueError(
                    f"the layer {name!r} should have a {role} of shape {shape}, got {array.shape}"
                )
        result[f"weight_ih{suffix}"] = np.ascontiguousarray(roles[bool(direction), "kernel"].T)
        recurrent = roles[bool(direction), "recurrent_kernel"]
        result[f"weight_hh{suffix}"] = np.ascontiguousarray(recurrent.T)
        if layer.bias:
            result[f"bias_ih{suffix}"] = roles[bool(direction), "bias"]
            result[f"bias_hh{suffix}"] = np.zeros_like(roles[bool(direction), "bias"])
    return result


def _collect(
    model: Any, path: tuple[str, ...], counted: tuple[str, ...], found: list[list[Layer]]
) -> None:
    config = _dict(_dict(model).get("config"))
    layers = config.get("layers")
    if not isinstance(layers, list):
        return
    if len(path) > MOST_DEPTH:
        raise ValueError("its models contain each other too deeply")
    counts: Counter[str] = Counter()
    ends: dict[str, list[Layer]] = {}  # the stacks, by the name of the layer they end in
    sources = _sources(layers)
    readers = Counter(source for source in sources.values() if source is not None)
    readers.update(_histories(config.get("output_layers"), 0))
    for entry in map(_dict, layers):
        kind, name = str(entry.get("class_name")), _name(entry)
        snake = _snake_case(kind)
        number, counts[snake] = counts[snake], counts[snake] + 1
        here = (*path, name), (*counted, f"{snake}_{number}" if number else snake)
        source = sources.get(name)
        before = ends.pop(source, None) if source and readers[source] == 1 else None
        if kind in _PASSING and before:
            ends[name] = before
            continue
        layer = _layer(kind, entry, *here)
        if layer is None:
            _collect(entry, *here, found)
            continue
        if before and before[-1].sequences and before[-1].kind == layer.kind:
            before.append(layer)
            ends[name] = before
        else:
            ends[name] = [layer]
            found.append(ends[name])


def _layer(
    kind: str, entry: dict[str, Any], path: tuple[str, ...], counted: tuple[str, ...]
) -> Layer | None:
    """The layer of an entry; None if it is another, ValueError if it is unlike torch's."""
    config = _dict(entry.get("config"))
    name = "/".join(path)
    if kind == "CuDNNLSTM":
        raise ValueError(f"the layer {name!r} is a CuDNNLSTM of Keras 1, which is not read")
    if kind == "LSTM":
        _check(name, config, backwards=False)
        return _of(config, path, counted, 1)
    inner = _dict(config.get("layer"))
    if kind != "Bidirectional" or inner.get("class_name") != "LSTM":
        return None
    if config.get("merge_mode", "concat") != "concat":
        raise ValueError(f"the layer {name!r} merges its directions by {config['merge_mode']!r}")
    _check(name, _dict(inner.get("config")), backwards=False)
    backward = _dict(config.get("backward_layer"))
    if backward:
        if backward.get("class_name") != "LSTM":
            raise ValueError(f"the layer {name!r} goes back by another kind of layer")
        _check(name, _dict(backward.get("config")), backwards=True)
        for key in ("units", "use_bias"):
            if _dict(backward.get("config")).get(key) != _dict(inner.get("config")).get(key):
                raise ValueError(f"the directions of the layer {name!r} differ in {key}")
    return _of(_dict(inner.get("config")), path, counted, 2)


def _check(name: str, config: dict[str, Any], *, backwards: bool) -> None:
    for key, wanted in (("activation", "tanh"), ("recurrent_activation", "sigmoid")):
        if config.get(key) != wanted:
            got = config.get(key)
            raise ValueError(f"the layer {name!r} has the {key} {got!r}, not {wanted!r}")
    if bool(config.get("go_backwards")) is not backwards:
        raise ValueError(f"the layer {name!r} reads its sequences from the wrong end")
    units = config.get("units")
    if type(units) is not int or not 0 < units < 2**31:
        raise ValueError(f"the layer {name!r} has {units!r} units")


def _of(
    config: dict[str, Any], path: tuple[str, ...], counted: tuple[str, ...], directions: int
) -> Layer:
    return Layer(
        path=path,
        counted=counted,
        units=config["units"],
        bias=config.get("use_bias", True) is True,
        directions=directions,
        sequences=config.get("return_sequences") is True and not config.get("return_state"),
        time_major=config.get("time_major") is True,
    )


def _sources(layers: list[Any]) -> dict[str, str | None]:
    """The layer each one takes its input from, and None if there is not just one.

    In a graph its entry says so; in a sequence it is the one before.
    """
    sources: dict[str, str | None] = {}
    before: str | None = None
    graph = any("inbound_nodes" in _dict(entry) for entry in layers)
    for entry in map(_dict, layers):
        name = _name(entry)
        if graph:
            nodes = entry.get("inbound_nodes")
            inputs = _histories(nodes, 0)
            one = isinstance(nodes, list) and len(nodes) == 1 and len(inputs) == 1
            sources[name] = inputs[0] if one else None
        else:
            sources[name] = before
        before = name
    return sources


def _histories(value: Any, depth: int) -> list[str]:
    """The names in a layer's calls; each tensor is given as [name, node, tensor, ...]."""
    if depth > MOST_DEPTH:
        raise ValueError("its configuration is nested too deeply")
    if isinstance(value, dict):
        return [name for part in value.values() for name in _histories(part, depth + 1)]
    if not isinstance(value, list):
        return []
    if len(value) in (3, 4) and isinstance(value[0], str) and type(value[1]) is int:
        return [value[0]]
    return [name for part in value for name in _histories(part, depth + 1)]


def _name(entry: dict[str, Any]) -> str:
    return str(entry.get("name") or _dict(entry.get("config")).get("name") or "")


def _snake_case(name: str) -> str:
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

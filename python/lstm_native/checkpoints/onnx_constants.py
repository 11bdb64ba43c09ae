"""What is known of an ONNX graph without running it.

Owns the constants, and the few operations by which exporters cut and join weights: gates are put
into ONNX's order in the graph. Must not know LSTMs, nor how a tensor lies in a file.
"""

from collections import ChainMap
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from lstm_native.checkpoints.contents import Array
from lstm_native.checkpoints.onnx_budget import Budget

MOST_AXES = 32

_DTYPES = {1: "f4", 7: "i8", 10: "f2", 11: "f8"}  # of Cast; ONNX's numbers


Constants: TypeAlias = ChainMap[str, Array]


def known(
    body: Any, tensor: Callable[[Any], Array | None], outer: Constants, budget: Budget
) -> Constants:
    """The constants of a graph by name, with those of the graphs around it."""
    values = outer.new_child()
    for proto in getattr(body, "initializer", ()):
        _set(values, proto.name, tensor(proto))
    for node in body.node:
        if node.op_type == "Constant" and len(node.output) == 1:
            for attribute in node.attribute:
                if attribute.name == "value":
                    _set(values, node.output[0], tensor(attribute.t))
                elif attribute.name in ("value_int", "value_ints"):
                    numbers = list(attribute.ints) or attribute.i
                    _set(values, node.output[0], np.array(numbers, np.int64))
        elif node.op_type in _OPERATIONS and len(node.output) == 1 and node.input:
            inputs = [values.get(name) for name in node.input]
            if all(array is not None for array in inputs):
                attributes = {attribute.name: attribute for attribute in node.attribute}
                try:
                    result = _OPERATIONS[node.op_type](inputs, attributes, budget)
                except (IndexError, TypeError) as error:
                    raise ValueError(f"the node {node.name!r} makes no sense: {error}") from error
                _set(values, node.output[0], result)
    return values


def _set(values: Constants, name: str, array: Array | None) -> None:
    """Add a constant; ValueError if its graph has another of that name."""
    if array is None:
        return
    if name in values.maps[0]:
        raise ValueError(f"the name {name!r} stands twice in a graph of it")
    values[name] = array


def _axes(inputs: list[Any], attributes: Mapping[str, Any], at: int = 1) -> tuple[int, ...]:
    if len(inputs) > at:
        axes = [int(axis) for axis in inputs[at].reshape(-1)[: MOST_AXES + 1]]
    else:
        axes = list(attributes["axes"].ints) if "axes" in attributes else []
    if len(axes) > MOST_AXES:
        raise ValueError("a node in it has too many axes")
    return tuple(axes)


def _concat(inputs: list[Any], attributes: Mapping[str, Any], budget: Budget) -> Array:
    budget.spend(sum(array.nbytes for array in inputs))
    joined: Array = np.concatenate(inputs, attributes["axis"].i if "axis" in attributes else 0)
    return joined


def _slice(inputs: list[Any], attributes: Mapping[str, Any], budget: Budget) -> Array | None:
    if len(inputs) < 3:
        return None  # the form before opset 10, which no exporter of LSTMs writes
    array, starts, stops = inputs[0], inputs[1].reshape(-1), inputs[2].reshape(-1)
    axes = _axes(inputs, {}, 3) or tuple(range(len(starts)))
    steps = inputs[4].reshape(-1) if len(inputs) > 4 else np.ones(len(starts), np.int64)
    cut = [slice(None)] * array.ndim
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        if step < 1:
            return None
        cut[axis] = slice(int(start), int(stop), int(step))
    result: Array = array[tuple(cut)]
    return result


def _unsqueeze(inputs: list[Any], attributes: Mapping[str, Any], budget: Budget) -> Array:
    return np.asarray(np.expand_dims(inputs[0], _axes(inputs, attributes)))


def _squeeze(inputs: list[Any], attributes: Mapping[str, Any], budget: Budget) -> Array:
    return np.asarray(np.squeeze(inputs[0], _axes(inputs, attributes) or None))


def _transpose(inputs: list[Any], attributes: Mapping[str, Any], budget: Budget) -> Array:
    order = list(attributes["perm"].ints) if "perm" in attributes else None
    return np.asarray(np.transpose(inputs[0], order))


def _cast(inputs: list[Any], attributes: Mapping[str, Any], budget: Budget) -> Array | None:
    if "to" not in attributes or attributes["to"].i not in _DTYPES:
        return None
    dtype = np.dtype(_DTYPES[attributes["to"].i])
    budget.spend(inputs[0].size * dtype.itemsize)
    return np.asarray(inputs[0].astype(dtype))


_OPERATIONS: dict[str, Callable[[list[Any], Mapping[str, Any], Budget], Array | None]] = {
    "Identity": lambda inputs, attributes, budget: inputs[0],
    "Concat": _concat,
    "Slice": _slice,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Cast": _cast,
}

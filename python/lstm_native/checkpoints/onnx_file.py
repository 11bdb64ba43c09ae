"""ONNX files: LSTM nodes under torch's names, every other initialiser under its own.

Owns the file, its tensors and the search for LSTM nodes, those in branches and loops too. The
``onnx`` package, an extra, imported on first use, parses the file. Must not know other formats.
"""

import math
from collections import ChainMap, deque
from typing import Any, NamedTuple

import numpy as np

from lstm_native.checkpoints import bfloat16, onnx_constants, onnx_lstm, onnx_stack
from lstm_native.checkpoints.contents import Array, Contents, add
from lstm_native.checkpoints.external_data import External
from lstm_native.checkpoints.extras import needed
from lstm_native.checkpoints.onnx_budget import Budget

MOST_AXES = 32
NEWEST_IR = 32  # far from reached; a larger one is another kind of file

# ONNX's number of a type -> dtype of the bytes, and the field for values not given as bytes.
_TYPES = {
    1: ("<f4", "float_data"),
    2: ("<u1", "int32_data"),
    3: ("<i1", "int32_data"),
    4: ("<u2", "int32_data"),
    5: ("<i2", "int32_data"),
    6: ("<i4", "int32_data"),
    7: ("<i8", "int64_data"),
    9: ("<u1", "int32_data"),
    10: ("<f2", "int32_data"),
    11: ("<f8", "double_data"),
    12: ("<u4", "uint64_data"),
    13: ("<u8", "uint64_data"),
    16: ("<u2", "int32_data"),
}
_FIELD_TYPES = {
    "float_data": "<f4",
    "double_data": "<f8",
    "int32_data": "<i4",
    "int64_data": "<i8",
    "uint64_data": "<u8",
}
_BOOL, _BFLOAT16 = 9, 16
_EXTERNAL = 1
_FIELDS = b"\x12\x1a\x22\x28\x32\x3a\x42\x72"  # what may follow the version of the format


def recognises(start: bytes) -> bool:
    """Tell a file from its first bytes: a version, then a field that a model has."""
    return len(start) > 2 and start[0] == 8 and 0 < start[1] < NEWEST_IR and start[2] in _FIELDS


class Parsed(NamedTuple):
    """A model, the LSTMs in it, and its other arrays."""

    model: Any
    nodes: list[onnx_lstm.Node]
    initialisers: dict[str, Array]


def read(path: str) -> Contents:
    """Read the arrays of a file; ValueError if it is not sound or an LSTM cannot be had here."""
    _, nodes, initialisers = parse(path)
    arrays: dict[str, Array] = {}
    notes: dict[str, str] = {}
    for node in nodes:
        for name, array in node.arrays.items():
            add(arrays, f"{node.name}.{name}", array)
        notes[f"{node.name}.batch_first"] = "true" if node.batch_first else "false"
    used = {name for node in nodes for name in node.inputs}
    for name, array in initialisers.items():
        if name not in used:
            arrays.setdefault(name, array)
    return Contents(arrays, notes)


def parse(path: str) -> Parsed:
    """Read a file; ValueError if it is not sound or an LSTM cannot be had here."""
    onnx: Any = needed("onnx", "onnx", path, "an ONNX file")
    from google.protobuf.message import DecodeError

    with open(path, "rb") as file:
        content = file.read()
    try:
        model = onnx.ModelProto.FromString(content)
        size = len(content)
        del content
        budget = Budget()
        budget.grow(size)
        external = External(path, budget)

        def tensor(proto: Any) -> Array | None:
            return _array(proto, external, budget)

        found: list[onnx_lstm.Node] = []
        names: dict[str, int] = {}
        initialisers: dict[str, Array] = {}
        nothing: onnx_constants.Constants = ChainMap()
        bodies = deque((body, nothing) for body in (model.graph, *model.functions))
        while bodies:
            body, outer = bodies.popleft()
            constants = onnx_constants.known(body, tensor, outer, budget)
            for proto in getattr(body, "initializer", ()):
                if proto.name in constants:
                    initialisers.setdefault(proto.name, constants[proto.name])
            found += onnx_stack.nodes(body, constants, names, budget)
            bodies += [(graph, constants) for node in body.node for graph in _branches(node)]
    # TypeError: protobuf gives a text that is no Unicode as bytes.
    except (DecodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"{path} is an ONNX file that cannot be read: {error}.") from error
    return Parsed(model, found, initialisers)


def _branches(node: Any) -> list[Any]:
    graphs = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return graphs + [graph for attribute in node.attribute for graph in attribute.graphs]


def _array(tensor: Any, external: External, budget: Budget) -> Array | None:
    """A tensor of numbers; None if it is of a type NumPy lacks."""
    if tensor.data_type not in _TYPES:
        return None
    dtype, field = _TYPES[tensor.data_type]
    shape = tuple(tensor.dims)
    if len(shape) > MOST_AXES or any(size < 0 for size in shape):
        raise ValueError(f"the shape of {tensor.name!r} makes no sense")
    if tensor.data_location == _EXTERNAL:
        keys = {entry.key: entry.value for entry in tensor.external_data}
        data = external.bytes_of(tensor.name, keys).view(np.uint8)
    elif tensor.HasField("raw_data"):
        data = np.frombuffer(tensor.raw_data, np.uint8)
    else:
        given = getattr(tensor, field)
        values = np.fromiter(given, _FIELD_TYPES[field], len(given))
        data = values.astype(_wire(dtype), copy=False).view(np.uint8)
    expected = math.prod(shape) * np.dtype(dtype).itemsize
    if data.size != expected:
        raise ValueError(
            f"{tensor.name!r} of shape {shape} should have {expected} bytes but has {data.size}"
        )
    array: Array = data.view(dtype).reshape(shape)
    if tensor.data_type == _BFLOAT16:
        budget.spend(2 * array.nbytes)
        return bfloat16.widened(array)
    if tensor.data_type != _BOOL and array.flags.aligned:
        return array
    # Tensors may lie in one place of a file beside the model: each copy counts.
    budget.spend(array.nbytes)
    return np.not_equal(array, 0) if tensor.data_type == _BOOL else array.copy()


def _wire(dtype: str) -> str:
    """As what the values of a field stand for the bytes: float16 is given as its bits."""
    return "<u2" if dtype == "<f2" else dtype

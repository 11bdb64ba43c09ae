"""Whom ``verify`` asks: ONNX Runtime for the nodes of an ONNX file, torch for everything else.

Owns how each is made to run the LSTMs of a file on the same sequences as ours. Imports torch and
onnxruntime, when it is asked to; nothing but ``verify`` may import this.
"""

import math
import os
from typing import Any, NamedTuple

import numpy as np

from lstm_native.cell import LSTMCell
from lstm_native.checkpoints import onnx_file, onnx_lstm, read
from lstm_native.checkpoints.contents import Array, Contents
from lstm_native.inventory import FoundLSTM, find_lstms, parameter_names
from lstm_native.lstm import LSTM

STEPS, ROWS = 16, 5

# ONNX Runtime is given the model as bytes, so it has to be told where the data beside it lies.
_EXTERNAL_FOLDER = "session.model_external_initializers_file_folder_path"


class Comparison(NamedTuple):
    """The largest difference of outputs and states; relative to states that exceed 1.

    Infinite where one has a NaN or an infinity that the other has not.
    """

    prefix: str
    peer: str
    difference: float


def compare(path: str, prefix: str | None, seed: int) -> list[Comparison]:
    """Compare every LSTM of a file, or that under `prefix`."""
    with open(path, "rb") as file:
        is_onnx = onnx_file.recognises(file.read(32))
    contents, rng = read(path), np.random.default_rng(seed)
    chosen = [one for one in find_lstms(contents.arrays) if prefix in (None, one.prefix)]
    if is_onnx:
        return _with_onnxruntime(path, contents, chosen, rng)
    return [_with_torch(contents, one, rng) for one in chosen]


def _with_torch(contents: Contents, one: FoundLSTM, rng: np.random.Generator) -> Comparison:
    try:
        import torch
    except ImportError as error:
        raise ImportError("verify compares with torch, which is not installed") from error
    names = parameter_names(one)
    state = {name[len(one.prefix) :]: contents.arrays[name] for name in names}
    ours: Any
    if one.cell:
        ours = LSTMCell.from_state_dict(state)
        theirs: Any = torch.nn.LSTMCell(one.input_size, one.hidden_size, one.bias)
        x = rng.standard_normal((ROWS, one.input_size)).astype(ours.dtype)
    else:
        ours = LSTM.from_state_dict(state)
        theirs = torch.nn.LSTM(
            one.input_size,
            one.hidden_size,
            one.num_layers,
            one.bias,
            bidirectional=one.bidirectional,
            proj_size=one.proj_size,
        )
        x = rng.standard_normal((STEPS, ROWS, one.input_size)).astype(ours.dtype)
    theirs = theirs.to(getattr(torch, ours.dtype.name))
    theirs.load_state_dict({name: torch.from_numpy(a.copy()) for name, a in state.items()})
    with torch.no_grad():
        expected = _flat(theirs(torch.from_numpy(x)))
    return Comparison(one.prefix, f"torch {torch.__version__}", _largest(_flat(ours(x)), expected))


def _with_onnxruntime(
    path: str, contents: Contents, chosen: list[FoundLSTM], rng: np.random.Generator
) -> list[Comparison]:
    """Run the whole model, and look at what goes into its LSTMs and comes out."""
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError("verify compares with onnxruntime, which is not installed") from error
    from onnx import TensorProto, helper

    model, nodes, _ = onnx_file.parse(path)
    made = {name for node in model.graph.node for name in node.output}
    made |= {value.name for value in model.graph.input}
    prefixes = {one.prefix for one in chosen}
    wanted = [n for n in nodes if f"{n.name}." in prefixes and n.output in made]
    if not wanted:
        raise ValueError(f"{path} has its LSTMs in branches or functions, which are not verified")
    known = {value.name for value in model.graph.output}
    values = {name for node in wanted for name in node.values} & made
    for name in sorted(values - known):
        kind = TensorProto.INT32 if name in {n.lengths for n in wanted} else TensorProto.FLOAT
        model.graph.output.append(helper.make_tensor_value_info(name, kind, None))
    lengths = {node.lengths for node in nodes}
    constants = {tensor.name for tensor in model.graph.initializer}
    feeds = {
        value.name: _input(value, value.name in lengths, rng)
        for value in model.graph.input
        if value.name not in constants
    }
    names = sorted(values)
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        folder = os.path.dirname(os.path.abspath(path))
        options.add_session_config_entry(_EXTERNAL_FOLDER, folder)
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        results = dict(zip(names, session.run(names, feeds), strict=True))
    except Exception as error:  # its errors have no class in common
        raise ValueError(f"ONNX Runtime cannot run {path} on random input: {error}") from error
    peer = f"onnxruntime {onnxruntime.__version__}"
    return [
        Comparison(f"{node.name}.", peer, _difference(node, contents.arrays, results))
        for node in wanted
    ]


def _difference(node: onnx_lstm.Node, arrays: dict[str, Array], results: dict[str, Array]) -> float:
    lstm = LSTM.from_state_dict(arrays, f"{node.name}.", node.batch_first)
    x = results[node.sequence].astype(lstm.dtype)
    starts = []
    for names in zip(*node.states, strict=True):
        size = (len(node.states) * node.directions, x.shape[0 if node.batch_first else 1])
        parts = [results[name] for name in names if name in results]
        if node.batch_first:
            parts = [part.swapaxes(0, 1) for part in parts]
        whole = len(parts) == len(names)
        zeros = np.zeros((*size, lstm.hidden_size), lstm.dtype)
        starts.append(np.concatenate(parts).astype(lstm.dtype) if whole else zeros)
    output, _ = lstm(x, (starts[0], starts[1]), lengths=results.get(node.lengths))
    theirs = results[node.output]
    if not node.batch_first:
        theirs = theirs.swapaxes(1, 2)
    return _largest([output], [theirs.reshape(output.shape)])


def _input(value: Any, is_lengths: bool, rng: np.random.Generator) -> Array:
    """Something for an input of a graph: sizes left open are ROWS, integers are 1."""
    from onnx import helper

    kind = value.type.tensor_type
    shape = tuple(size.dim_value or ROWS for size in kind.shape.dim)
    dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    return np.full(shape, ROWS if is_lengths else 1, dtype)


def _flat(results: Any) -> list[Array]:
    if isinstance(results, tuple):
        return [array for part in results for array in _flat(part)]
    return [np.asarray(results)]


def _largest(ours: list[Array], theirs: list[Array]) -> float:
    return max(_difference_of(a, b) for a, b in zip(ours, theirs, strict=True))


def _difference_of(ours: Array, theirs: Array) -> float:
    finite = np.isfinite(ours) & np.isfinite(theirs)
    if not np.array_equal(ours[~finite], theirs[~finite], equal_nan=True):
        return math.inf
    # c is a sum and may be large: its differences count by its largest value.
    a, b = ours[finite], theirs[finite]
    return float(np.max(np.abs(a - b), initial=0.0) / np.max(np.abs(b), initial=1.0))

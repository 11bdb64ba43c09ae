"""A row as an ONNX graph: the operator LSTM, one node a layer.

Owns names and order of its inputs and outputs; knows nothing of who runs it.
"""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.problem import Floats, Problem
from bench.shapes import Mode, Shape

OPSET = 17


def refusal(shape: Shape, mode: Mode) -> str | None:
    """Say what the operator lacks for a row, or what its runtimes lack on a CPU."""
    if mode == "train":
        return "inference only"
    if shape.P:
        return "no projection in the ONNX operator"
    if shape.dtype == "float64":
        return "no float64 on the CPU"
    return None


def feeds(problem: Problem) -> dict[str, Any]:
    """Give each input of the graph its array."""
    shape = problem.shape
    arrays: dict[str, Any] = {"x": problem.x}
    for layer in range(shape.L):
        cells = slice(layer * shape.D, (layer + 1) * shape.D)
        arrays[f"h_0_l{layer}"] = problem.h_0[cells]
        arrays[f"c_0_l{layer}"] = problem.c_0[cells]
    if problem.lengths is not None:
        arrays["lengths"] = problem.lengths.astype(np.int32)
    return arrays


def states(shape: Shape, outputs: list[Floats]) -> dict[str, Floats]:
    """Name the outputs of the graph as `bench.sides.Runner` asks."""
    # The operator's own order is (T, D, N, H): turning it is not timed.
    output = outputs[0].swapaxes(1, 2).reshape(shape.T, shape.N, shape.D * shape.H)
    h_n, c_n = np.concatenate(outputs[1::2]), np.concatenate(outputs[2::2])
    return {"output": output, "h_n": h_n, "c_n": c_n}


def graph(problem: Problem) -> onnx.ModelProto:
    """Build the network of a row; the initial states are inputs, the weights constants."""
    shape = problem.shape
    ragged = problem.lengths is not None
    inputs = [_value("x", TensorProto.FLOAT, (shape.T, shape.N, shape.I))]
    if ragged:
        inputs.append(_value("lengths", TensorProto.INT32, (shape.N,)))
    states = []
    weights = []
    nodes = []
    source = "x"
    for layer in range(shape.L):
        if layer > 0:
            # (T, D, N, H) of the layer below to (T, N, D*H); the last layer's is left as it is.
            nodes += [
                helper.make_node("Transpose", [source], [f"turned_l{layer}"], perm=[0, 2, 1, 3]),
                helper.make_node("Reshape", [f"turned_l{layer}", f"to_l{layer}"], [f"x_l{layer}"]),
            ]
            weights.append(numpy_helper.from_array(np.array([0, 0, -1]), f"to_l{layer}"))
            source = f"x_l{layer}"
        state = [f"h_0_l{layer}", f"c_0_l{layer}"]
        inputs += [_value(name, TensorProto.FLOAT, (shape.D, shape.N, shape.H)) for name in state]
        arrays = zip(("W", "R", "B"), _layer_weights(problem, layer), strict=True)
        weights += [numpy_helper.from_array(array, f"{name}_l{layer}") for name, array in arrays]
        results = [f"{name}_l{layer}" for name in ("output", "h_n", "c_n")]
        states += results[1:]
        nodes.append(
            helper.make_node(
                "LSTM",
                [source, *(f"{name}_l{layer}" for name in "WRB"), "lengths" * ragged, *state],
                results,
                hidden_size=shape.H,
                direction="bidirectional" if shape.D == 2 else "forward",
            )
        )
        source = results[0]
    outputs = [source, *states]
    graph = helper.make_graph(
        nodes,
        shape.name,
        inputs,
        [_value(name, TensorProto.FLOAT, None) for name in outputs],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)


def _value(name: str, element: int, sizes: tuple[int, ...] | None) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, element, sizes)


def _layer_weights(problem: Problem, layer: int) -> tuple[Floats, Floats, Floats]:
    """Stack a layer's directions, its gates turned from torch's i, f, g, o to ONNX's i, o, f, g."""

    def turned(name: str, suffix: str) -> Floats:
        i, f, g, o = np.split(problem.state[f"{name}_l{layer}{suffix}"], 4)
        return np.concatenate((i, o, f, g))

    suffixes = ("", "_reverse")[: problem.shape.D]
    w = np.stack([turned("weight_ih", suffix) for suffix in suffixes])
    r = np.stack([turned("weight_hh", suffix) for suffix in suffixes])
    b = np.stack([np.concatenate((turned("bias_ih", s), turned("bias_hh", s))) for s in suffixes])
    return w, r, b

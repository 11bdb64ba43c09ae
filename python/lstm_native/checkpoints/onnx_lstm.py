"""One LSTM node of ONNX, in torch's terms.

Owns the order of gates, the layout of weights, and the list of what a node may ask for that torch's
LSTM is not: such a node is refused. Must not know files, nor how nodes follow each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lstm_native.checkpoints.contents import Array
from lstm_native.checkpoints.onnx_budget import Budget

# ONNX has its gates in the order i, o, f, c; torch has i, f, g (ONNX's c), o.
_ORDER = [0, 2, 3, 1]
_ACTIVATIONS = ["sigmoid", "tanh", "tanh"]
# ONNX's numbers of the types that attributes have.
_TYPES = {
    "activation_alpha": 6,
    "activation_beta": 6,
    "activations": 8,
    "clip": 1,
    "direction": 3,
    "hidden_size": 2,
    "input_forget": 2,
    "layout": 2,
}
_X, _W, _R, _B, _LENGTHS, _H0, _C0, _P = range(8)


@dataclass
class Node:
    """A node, or several that follow each other, as the parameters of an LSTM."""

    name: str
    arrays: dict[str, Array]
    inputs: list[str]  # the names of the weights
    sequence: str  # the names of X, of sequence_lens, of each layer's initial states, and of Y
    lengths: str
    states: list[tuple[str, str]]
    output: str
    directions: int
    hidden_size: int
    batch_first: bool

    @property
    def values(self) -> set[str]:
        """The names of what goes in and comes out when the graph is run."""
        states = {name for pair in self.states for name in pair}
        return {self.sequence, self.lengths, self.output, *states} - {""}

    @property
    def kind(self) -> tuple[Any, ...]:
        """What nodes must have in common to be the layers of one LSTM."""
        bias = any(name.startswith("bias") for name in self.arrays)
        return self.directions, self.hidden_size, self.batch_first, self.lengths, bias


def read(node: Any, constants: Mapping[str, Array], name: str, budget: Budget) -> Node:
    """Read a node whose weights are constants; ValueError if it is not an LSTM of torch's kind."""
    inputs = [*node.input, *[""] * 8]
    if reason := _unlike_torch(node, inputs, constants):
        raise ValueError(f"the LSTM node {node.name!r} {reason}")
    weights = {}
    for stem, index in (("weight_ih", _W), ("weight_hh", _R), ("bias", _B)):
        if inputs[index]:
            if inputs[index] not in constants:
                raise ValueError(
                    f"the weights of the LSTM node {node.name!r} are computed in the graph, by "
                    "more than cutting and joining constants"
                )
            weights[stem] = constants[inputs[index]]
    directions, hidden = _check_shapes(node, weights)
    budget.spend(sum(array.nbytes for array in weights.values()))
    arrays: dict[str, Array] = {}
    for direction in range(directions):
        suffix = "_l0" + "_reverse" * direction
        arrays[f"weight_ih{suffix}"] = _gates(weights["weight_ih"][direction])
        arrays[f"weight_hh{suffix}"] = _gates(weights["weight_hh"][direction])
        if "bias" in weights:
            both = weights["bias"][direction]
            arrays[f"bias_ih{suffix}"] = _gates(both[: 4 * hidden])
            arrays[f"bias_hh{suffix}"] = _gates(both[4 * hidden :])
    return Node(
        name=name,
        arrays=arrays,
        inputs=[inputs[index] for index in (_W, _R, _B) if inputs[index]],
        sequence=inputs[_X],
        lengths=inputs[_LENGTHS],
        states=[(inputs[_H0], inputs[_C0])],
        output=node.output[0] if node.output else "",
        directions=directions,
        hidden_size=hidden,
        batch_first=_attribute(node, "layout", 0) == 1,
    )


def check_states(
    node: Any, hidden: int, constants: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Refuse a node whose initial states are not those of its weights, as far as is known."""
    inputs = [*node.input, *[""] * 8]
    for name in (inputs[_H0], inputs[_C0]):
        shape = constants[name].shape if name in constants else shapes.get(name, ())
        if len(shape) == 3 and shape[2] not in (0, hidden):
            raise ValueError(
                f"the LSTM node {node.name!r} has {hidden} units and starts from a state of "
                f"{shape[2]}. torch.onnx.export(dynamo=True) makes such nodes where it drops the "
                "projection of an LSTM with proj_size: save the state dict with torch.save instead"
            )


def _gates(rows: Array) -> Array:
    blocks = rows.reshape(4, rows.shape[0] // 4, *rows.shape[1:])
    return blocks[_ORDER].reshape(rows.shape)


def _attribute(node: Any, name: str, default: Any) -> Any:
    for attribute in node.attribute:
        if attribute.name == name:
            if isinstance(default, list):
                return [*attribute.strings, *attribute.floats]
            fields = {int: attribute.i, float: attribute.f, bytes: attribute.s}
            return fields[type(default)]
    return default


def _unlike_torch(node: Any, inputs: list[str], constants: Mapping[str, Array]) -> str:
    """What a node asks for that torch's LSTM has not; empty if nothing."""
    if node.domain not in ("", "ai.onnx"):
        return f"is of the domain {node.domain!r}"
    names = [attribute.name for attribute in node.attribute]
    if len(set(names)) < len(names):
        return "has an attribute twice"
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            return f"takes its {attribute.name!r} from the caller of a function"
        if attribute.type and attribute.type != _TYPES.get(attribute.name, attribute.type):
            return f"has an attribute {attribute.name!r} of the wrong type"
    if inputs[_P]:
        return "has peepholes"
    if _attribute(node, "clip", 0.0):
        return "clips its gates"
    if _attribute(node, "input_forget", 0):
        return "couples its input and forget gates"
    if _attribute(node, "activation_alpha", []) or _attribute(node, "activation_beta", []):
        return "has scaled activations"
    direction = _attribute(node, "direction", b"forward")
    if direction not in (b"forward", b"bidirectional"):
        return f"reads in the direction {direction.decode(errors='replace')!r} only"
    activations = [a.decode(errors="replace") for a in _attribute(node, "activations", [])]
    directions = 2 if direction == b"bidirectional" else 1
    if activations and [a.lower() for a in activations] != _ACTIVATIONS * directions:
        return f"has other activations: {', '.join(activations)}"
    for index in (_H0, _C0):
        start = constants.get(inputs[index])
        if start is not None and np.any(start):
            return "starts from a constant state that is not zero"
    return ""


def _check_shapes(node: Any, weights: Mapping[str, Array]) -> tuple[int, int]:
    """The directions D and hidden units H of a node whose weights have shapes that agree."""
    directions = 2 if _attribute(node, "direction", b"forward") == b"bidirectional" else 1
    shapes = {stem: array.shape for stem, array in weights.items()}
    w, r = shapes.get("weight_ih", ()), shapes.get("weight_hh", ())
    if len(w) == len(r) == 3 and all(array.dtype.kind == "f" for array in weights.values()):
        hidden = r[2]
        fits = w[:2] == r[:2] == (directions, 4 * hidden)
        fits &= shapes.get("bias", (directions, 8 * hidden)) == (directions, 8 * hidden)
        if fits and _attribute(node, "hidden_size", hidden) == hidden:
            return directions, hidden
    raise ValueError(
        f"the LSTM node {node.name!r} has weights of types or shapes that do not fit: {shapes}"
    )

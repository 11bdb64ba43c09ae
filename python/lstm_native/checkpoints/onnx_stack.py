"""LSTM nodes that follow each other: the layers of one LSTM.

Owns what may lie between two layers: nodes that only rearrange the output of the one as the next
takes it. Must not know files, nor what is in a node.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from lstm_native.checkpoints import onnx_lstm, onnx_shapes
from lstm_native.checkpoints.contents import Array
from lstm_native.checkpoints.onnx_budget import Budget

_QUANTISED = ("DynamicQuantizeLSTM",)


def nodes(
    body: Any, constants: Mapping[str, Array], taken: dict[str, int], budget: Budget
) -> list[onnx_lstm.Node]:
    """The LSTMs of one graph, layers put together, under names that are not in `taken`.

    There each name has the number to go on with where it is asked for again.
    """
    everything = list(body.node)
    shapes = onnx_shapes.declared(body)
    read: dict[int, onnx_lstm.Node] = {}
    for index, node in enumerate(everything):
        if node.op_type in _QUANTISED:
            raise ValueError(f"the LSTM node {node.name!r} is quantised")
        if node.op_type == "LSTM":
            name = _name(_path(node), taken)
            read[index] = onnx_lstm.read(node, constants, name, budget)
            onnx_lstm.check_states(node, read[index].hidden_size, constants, shapes)
    makers = {output: i for i, node in enumerate(everything) for output in node.output if output}
    # Who asks for a shape does not read the value.
    readers = (node for node in everything if node.op_type != "Shape")
    uses = Counter(name for node in readers for name in node.input)
    # A graph's outputs are values with names, a function's just names.
    uses.update(getattr(output, "name", output) for output in body.output)
    stacks: dict[int, list[int]] = {}
    for index, node in read.items():
        below = _layer_below(everything, index, makers, uses, read, constants, shapes)
        stack = stacks.pop(below) if below in stacks else []
        if stack and read[stack[0]].kind != node.kind:
            stacks[below], stack = stack, []
        stacks[index] = [*stack, index]
    return [_merged([read[index] for index in stack]) for stack in stacks.values()]


def _path(node: Any) -> str:
    """What a node is called; torch's newer exporter has the path of the module in a note."""
    for note in getattr(node, "metadata_props", ()):
        if note.key == "pkg.torch.onnx.name_scopes":
            scopes = re.findall(r"'([^']*)'", note.value)
            return scopes[-2] if len(scopes) > 1 else ""
    return str(node.name)


def _name(given: str, taken: dict[str, int]) -> str:
    """What to call the LSTM of a node; torch's exporter has the path of the module in it."""
    parts = [part for part in given.split("/") if part]
    if parts and re.fullmatch(r"LSTM(_\d+)?", parts[-1]):
        parts.pop()
    path = ".".join(parts) or "lstm"
    name, number = path, taken.get(path, 0)
    while name in taken:
        number += 1
        name = f"{path}_{number}"
    taken[path] = number
    taken.setdefault(name, 0)
    return name


def _merged(layers: list[onnx_lstm.Node]) -> onnx_lstm.Node:
    first = layers[0]
    for number, layer in enumerate(layers[1:], 1):
        for name, array in layer.arrays.items():
            first.arrays[name.replace("_l0", f"_l{number}")] = array
        first.inputs += layer.inputs
        first.states += layer.states
        first.output = layer.output
    return first


def _layer_below(
    graph: list[Any],
    index: int,
    makers: Mapping[str, int],
    uses: Mapping[str, int],
    read: Mapping[int, onnx_lstm.Node],
    constants: Mapping[str, Array],
    shapes: Mapping[str, onnx_shapes.Shape],
) -> int:
    """The LSTM node whose whole output this one takes, and nobody else; -1 if there is none."""

    def maker(name: str) -> Any:
        return graph[makers[name]] if name in makers else None

    way: list[Any] = []
    name = graph[index].input[0] if graph[index].input else ""
    while uses.get(name) == 1 and name in makers and len(way) < 8:
        below = makers[name]
        node = graph[below]
        if below in read:
            arranged = _rearranged(way, read[below], maker, constants, shapes)
            wanted = "NTF" if read[index].batch_first else "TNF"
            return below if name == node.output[0] and arranged == wanted else -1
        if node.op_type not in ("Identity", "Dropout", "Squeeze", "Transpose", "Reshape"):
            return -1
        way.insert(0, node)
        name = node.input[0] if node.input else ""
    return -1


def _rearranged(
    way: list[Any],
    node: onnx_lstm.Node,
    maker: Callable[[str], Any],
    constants: Mapping[str, Array],
    shapes: Mapping[str, onnx_shapes.Shape],
) -> str:
    """The axes that a node's output has at the end of the way; F is D and H as one axis."""
    axes = "NTDH" if node.batch_first else "TDNH"
    for step in way:
        attributes = {attribute.name: attribute for attribute in step.attribute}
        given = constants.get(step.input[1]) if len(step.input) > 1 else None
        values = [] if given is None else [int(value) for value in given.reshape(-1)[:8]]
        if step.op_type == "Squeeze":
            where = values or list(attributes["axes"].ints if "axes" in attributes else ())
            at = axes.find("D")
            if node.directions != 1 or where not in ([at], [at - len(axes)]):
                return ""
            axes = axes.replace("D", "").replace("H", "F")
        elif step.op_type == "Transpose":
            order = list(attributes["perm"].ints) if "perm" in attributes else []
            if sorted(order) != list(range(len(axes))):
                return ""
            axes = "".join(axes[i] for i in order)
        elif step.op_type == "Reshape":
            features = node.directions * node.hidden_size
            kept = onnx_shapes.keeps_two_axes(step, features, maker, constants, shapes)
            if axes[2:] != "DH" or not kept:
                return ""
            axes = axes[:2] + "F"
    return axes

"""What an ONNX graph tells of the shapes of its values.

Owns declared shapes, and whether a Reshape leaves the first two axes as they are: exporters write
the new shape down, or have the graph compute it. Must not know what an LSTM is.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from lstm_native.checkpoints.contents import Array

Shape: TypeAlias = tuple[int, ...]  # 0: of any length


def declared(body: Any) -> dict[str, Shape]:
    """The shapes that a graph or function states, by the name of the value."""
    # The inputs and outputs of a function are just names.
    values = [v for v in (*body.value_info, *body.input, *body.output) if not isinstance(v, str)]
    return {
        value.name: tuple(axis.dim_value for axis in value.type.tensor_type.shape.dim)
        for value in values
        if value.type.tensor_type.HasField("shape")
    }


def keeps_two_axes(
    reshape: Any,
    features: int,
    maker: Callable[[str], Any],
    constants: Mapping[str, Array],
    shapes: Mapping[str, Shape],
) -> bool:
    """Whether a Reshape to three axes joins all but the first two, into so many features.

    Two of the three lengths tell: the third is what is left.
    """
    data, shape = [*reshape.input, "", ""][:2]
    if shape not in constants:
        concat = maker(shape)
        parts = list(concat.input) if concat is not None and concat.op_type == "Concat" else []
        return len(parts) == 3 and all(
            _length_of(parts[axis], maker, constants) == (data, axis) for axis in (0, 1)
        )
    given = [int(length) for length in constants[shape].reshape(-1)[:4]]
    if len(given) != 3:
        return False
    have = [*shapes.get(data, ()), 0, 0]
    kept = [given[axis] == 0 or given[axis] == have[axis] > 0 for axis in (0, 1)]
    return sum(kept) + (given[2] == features) >= 2


def _length_of(
    name: str, maker: Callable[[str], Any], constants: Mapping[str, Array]
) -> tuple[str, int] | None:
    """The value and the axis whose length `name` is: a Shape of one axis, or a Slice of a whole."""
    node = maker(name)
    cut: list[int] = []
    if node is not None and node.op_type == "Slice":
        for given in node.input[1:]:
            value = constants.get(given)
            if value is None or value.size != 1:
                return None
            cut.append(int(value.reshape(())))
        node = maker(node.input[0]) if cut[2:] in ([], [0], [0, 1]) else None
    if node is None or node.op_type != "Shape":
        return None
    bounds = {attribute.name: attribute.i for attribute in node.attribute}
    if not cut:
        cut = [bounds.get("start", 0), bounds.get("end", 0)]
    elif bounds.get("start", 0) != 0 or "end" in bounds:
        return None
    begin, end = cut[:2] if len(cut) > 1 else (0, 0)
    return ([*node.input, ""][0], begin) if end == begin + 1 else None

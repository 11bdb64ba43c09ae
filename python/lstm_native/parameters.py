"""The ``state_dict`` rule, once: names, shapes, order, initial values.

Owns the mapping between a network's sizes and its flat parameter buffer, in both directions.
Must not know the compiled core, the classes, or any file format.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]
Shape: TypeAlias = tuple[int, ...]
Storage: TypeAlias = Literal["bfloat16", "int8"]  # what packed weights are rounded to
Precision: TypeAlias = Literal["highest", "high", "medium"]  # of products, torch's names
# The same as the core has it, and what it makes of a precision.
Packing: TypeAlias = Literal[
    "bfloat16", "int8", "bfloat16 pairs", "one part", "two parts", "three parts"
]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

# What files tell of a network beside its parameters, by name.
NOTES = ("batch_first", "dropout", "lstm_native.quantized", "lstm_native.precision")

_NAME = re.compile(r"(?:weight_(?:ih|hh|hr)|bias_(?:ih|hh))(?:_l\d+(?:_reverse)?)?")


def note(option: str) -> str:
    """The name that files have for an option of a network: of its own, unless torch has it too."""
    return option if option in NOTES else f"lstm_native.{option}"


class UniformSource(Protocol):
    """What :func:`initialise` draws from."""

    def uniform(self, out: FloatArray, low: float, high: float) -> None:
        """Fill `out` with uniform draws from [low, high), in memory order."""


@dataclass(frozen=True)
class Config:
    """The sizes of a network, as in the arguments of :class:`lstm_native.LSTM`.

    `bias` and `bidirectional` count by their truth value and are kept as given.
    """

    input_size: int
    hidden_size: int
    num_layers: int = 1
    bias: bool = True
    bidirectional: bool = False
    proj_size: int = 0

    @cached_property
    def num_directions(self) -> int:
        """D: 2 when bidirectional, else 1."""
        return 2 if self.bidirectional else 1

    @cached_property
    def output_size(self) -> int:
        """P: features of h and of one direction's output, ``proj_size`` or ``hidden_size``."""
        return self.proj_size or self.hidden_size

    @cached_property
    def frame_size(self) -> int:
        """D*P: features of the output."""
        return self.num_directions * self.output_size

    @cached_property
    def state_rows(self) -> int:
        """L*D: the first axis of a state."""
        return self.num_layers * self.num_directions

    @property
    def parameter_count(self) -> int:
        """Number of scalars in all parameters; any size of int, nothing is allocated for it."""
        layers = [_layer_shapes(self, self.input_size)]
        layers += [_layer_shapes(self, self.frame_size)]
        first, later = (sum(math.prod(shape) for shape in layer.values()) for layer in layers)
        return self.num_directions * (first + (self.num_layers - 1) * later)


def _layer_shapes(config: Config, inputs: int) -> dict[str, Shape]:
    gates = 4 * config.hidden_size
    result: dict[str, Shape] = {
        "weight_ih": (gates, inputs),
        "weight_hh": (gates, config.output_size),
    }
    if config.bias:
        result |= {"bias_ih": (gates,), "bias_hh": (gates,)}
    if config.proj_size:
        result["weight_hr"] = (config.proj_size, config.hidden_size)
    return result


def shapes(config: Config, *, cell: bool = False) -> dict[str, Shape]:
    """Name and shape of every parameter, in ``state_dict`` order.

    Layer by layer, in each the forward and then the reverse direction: ``weight_ih_l0`` (4*H, I),
    ``weight_hh_l0`` (4*H, P), ``bias_ih_l0`` (4*H,), ``bias_hh_l0`` (4*H,), ``weight_hr_l0``
    (P, H); gates in the order i, f, g, o. A cell's names have no ``_l0``.

    Source: torch.nn.LSTM, torch.nn.LSTMCell.
    """
    result: dict[str, Shape] = {}
    for layer in range(config.num_layers):
        inputs = config.frame_size if layer else config.input_size
        for direction in range(config.num_directions):
            suffix = "" if cell else f"_l{layer}" + "_reverse" * direction
            for name, shape in _layer_shapes(config, inputs).items():
                result[name + suffix] = shape
    return result


def is_name(name: object) -> bool:
    """Whether `name` is what some LSTM or LSTMCell calls a parameter."""
    # Most names of attributes end here: the pattern asks for memory, and nothing may fail while a
    # network is put back in order.
    if not isinstance(name, str) or name.startswith("_"):
        return False
    return _NAME.fullmatch(name) is not None


def views(flat: FloatArray, config: Config, *, cell: bool = False) -> dict[str, FloatArray]:
    """Each parameter as a view into the 1-D buffer `flat`, by name, in order."""
    result, start = {}, 0
    for name, shape in shapes(config, cell=cell).items():
        stop = start + math.prod(shape)
        result[name] = flat[start:stop].reshape(shape)
        start = stop
    return result


def initialise(flat: FloatArray, hidden_size: int, source: UniformSource) -> None:
    """Fill `flat` with draws from U(-1/sqrt(H), 1/sqrt(H)), bit for bit torch's.

    torch draws each parameter on its own, serially and row by row, in ``state_dict`` order; that
    is one pass over the flat buffer.
    """
    bound = 1.0 / math.sqrt(hidden_size) if hidden_size else 0.0
    source.uniform(flat, -bound, bound)


def config_from_state_dict(
    state: Mapping[str, Any], prefix: str = "", *, cell: bool = False
) -> Config:
    """Read every size of a network off the names and shapes of its parameters.

    Keys outside `prefix`, and keys under it that no LSTM has, are ignored.

    Raises
    ------
    ValueError
        No LSTM under `prefix` (the message lists where there is one), a parameter is missing, or
        shapes contradict each other.
    """
    suffix = "" if cell else "_l0"
    if f"{prefix}weight_ih{suffix}" not in state:
        raise ValueError(_not_found(state, prefix, cell))

    def shape_of(stem: str) -> Shape:
        name = f"{prefix}{stem}{suffix}"
        if name not in state:
            raise ValueError(
                f"the arrays under prefix {prefix!r} are not one LSTM: missing {name!r}"
            )
        shape: Shape = tuple(np.shape(state[name]))
        if len(shape) != 2:
            raise ValueError(f"{name!r}: expected a 2-D array, got shape {shape}")
        return shape

    num_layers = 1
    while not cell and f"{prefix}weight_ih_l{num_layers}" in state:
        num_layers += 1
    projected = not cell and f"{prefix}weight_hr_l0" in state
    config = Config(
        input_size=shape_of("weight_ih")[1],
        hidden_size=shape_of("weight_hr" if projected else "weight_hh")[1],
        num_layers=num_layers,
        bias=f"{prefix}bias_ih{suffix}" in state or f"{prefix}bias_hh{suffix}" in state,
        bidirectional=not cell and f"{prefix}weight_ih_l0_reverse" in state,
        proj_size=shape_of("weight_hr")[0] if projected else 0,
    )
    faults = _contradictions(state, prefix, config, cell)
    if faults:
        raise ValueError(f"the arrays under prefix {prefix!r} are not one LSTM: {faults}")
    return config


def _contradictions(state: Mapping[str, Any], prefix: str, config: Config, cell: bool) -> str:
    expected = shapes(config, cell=cell)
    faults = []
    for name, shape in expected.items():
        if prefix + name not in state:
            faults.append(f"missing {prefix + name!r}")
        elif (got := tuple(np.shape(state[prefix + name]))) != shape:
            faults.append(f"{prefix + name!r}: expected shape {shape}, got {got}")
    rows, units = np.shape(state[prefix + next(iter(expected))])[0], config.hidden_size
    for gates, kind in ((1, "an RNN"), (3, "a GRU")):
        if rows == gates * units > 0:
            faults.append(f"{rows} rows for {units} units: is this {kind}?")
    for key in state:
        name = key[len(prefix) :] if isinstance(key, str) and key.startswith(prefix) else ""
        if is_name(name) and ("_l" in name) is not cell and name not in expected:
            faults.append(f"{key!r} belongs to no layer found")
    return "; ".join(faults)


def _not_found(state: Mapping[str, Any], prefix: str, cell: bool) -> str:
    def prefixes(first: str) -> str:
        found = [k[: -len(first)] for k in state if isinstance(k, str) and k.endswith(first)]
        return ", ".join(repr(p) for p in found if not p or p.endswith("."))

    kind, first = ("LSTMCell", "weight_ih") if cell else ("LSTM", "weight_ih_l0")
    other, other_first = ("LSTM", "weight_ih_l0") if cell else ("LSTMCell", "weight_ih")
    text = f"no {kind} under prefix {prefix!r}: there is no {prefix + first!r}"
    if found := prefixes(first):
        text += f"; prefixes with one: {found}"
    if found := prefixes(other_first):
        text += f"; for {other}.from_state_dict there is: {found}"
    return text

"""What a backward pass is called with: the tape, incoming gradients, the accumulator.

Owns their checks. Must not know inputs or how anything is computed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lstm_native._checks.arrays import as_ndarray, readable
from lstm_native.parameters import FloatArray, Shape


def gradient(value: object, shape: Shape, dtype: np.dtype[Any], name: str) -> FloatArray | None:
    """A gradient with the shape and dtype of what it belongs to, or None."""
    if value is None:
        return None
    array = as_ndarray(value, name)
    if array.dtype.newbyteorder("=") != dtype:
        raise ValueError(f"{name} dtype ({array.dtype}) does not match weight dtype ({dtype})")
    if array.shape != shape:
        raise RuntimeError(f"Expected {name} size {shape}, got {list(array.shape)}")
    return readable(array, dtype)


def state_gradient(
    value: object, shapes: tuple[Shape, Shape], dtype: np.dtype[Any]
) -> tuple[FloatArray | None, FloatArray | None]:
    """The gradients of the final h and c, each of which may be None."""
    if value is None:
        return None, None
    if not isinstance(value, tuple | list) or len(value) != 2:
        kind = type(value).__name__
        raise TypeError(f"grad_state should be a tuple (grad_h_n, grad_c_n), got {kind}")
    return (
        gradient(value[0], shapes[0], dtype, "grad_state[0]"),
        gradient(value[1], shapes[1], dtype, "grad_state[1]"),
    )


def inner(
    layers: object, cells: object, shapes: Sequence[Shape | None], dtype: np.dtype[Any]
) -> tuple[FloatArray | None, FloatArray | None]:
    """The gradients of every layer's output and of c, which the call should have returned."""
    if layers is None and cells is None:
        return None, None
    return (
        _of_inner(layers, shapes[0], dtype, "layers"),
        _of_inner(cells, shapes[1], dtype, "cells"),
    )


def _of_inner(
    value: object, shape: Shape | None, dtype: np.dtype[Any], name: str
) -> FloatArray | None:
    if shape is not None:
        return gradient(value, shape, dtype, f"grad_{name}")
    if value is not None:
        raise ValueError(f"grad_{name}: the tape was recorded without return_{name}=True")
    return None


def recorded_by(tape: object, network: object, expected: type, owner: str) -> None:
    """Refuse what is no tape, another network's tape, and a tape already used."""
    if not isinstance(tape, expected):
        raise TypeError(f"tape should be a Tape from {owner}.record(), got {type(tape).__name__}")
    if getattr(tape, "_network", None) is not network:  # a Tape by __new__ alone is nobody's
        raise ValueError(f"this tape was recorded by another network than this {owner}")
    if tape.consumed:  # type: ignore[attr-defined]
        raise RuntimeError(
            "Trying to backward through a tape a second time: its saved values are gone. Call "
            "record() again for another backward pass"
        )


def accumulator(into: object, parameters: FloatArray) -> None:
    """Refuse a buffer that gradients of the flat `parameters` cannot be added to in place."""
    if not isinstance(into, np.ndarray):
        raise TypeError(f"into should be an ndarray, got {type(into).__name__}")
    if into.dtype != parameters.dtype:
        raise ValueError(
            f"into dtype ({into.dtype}) does not match weight dtype ({parameters.dtype})"
        )
    if into.shape != parameters.shape:
        raise ValueError(f"into: expected shape {parameters.shape}, got {into.shape}")
    if not (into.flags.c_contiguous and into.flags.aligned and into.flags.writeable):
        raise ValueError("into should be contiguous, aligned and writable")
    if np.may_share_memory(into, parameters):
        raise ValueError("into overlaps the parameters themselves")

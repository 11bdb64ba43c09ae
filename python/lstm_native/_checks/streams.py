"""What a stream is made of and fed with: its network, frames, where results go, rows and states.

Owns their checks. Must not know how a step is taken.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_native._checks.arguments import integer
from lstm_native._checks.arrays import as_ndarray, integers, same_dtype
from lstm_native.parameters import Config, FloatArray, Shape


def source(config: Config, training: bool) -> None:
    """Refuse a network that cannot be stepped through, or is not ready to serve."""
    if config.bidirectional:
        raise ValueError(
            "a bidirectional LSTM cannot be streamed: its reverse direction begins at the end of "
            "the sequence"
        )
    if training:
        raise RuntimeError(
            "a stream serves the weights of its network as they are: call eval() first"
        )


def batch_size(value: object) -> int:
    """A positive number of rows."""
    size = integer(value, "batch_size")
    if size < 1:
        raise ValueError(f"batch_size should be at least 1, got: {size}")
    return size


def frame(value: object, shape: Shape, dtype: np.dtype[Any]) -> FloatArray:
    """A copy the core can read of a frame of `shape` (N, I), or (I,) where N is 1."""
    array = as_ndarray(value, "frame")
    same_dtype(array, dtype, "LSTM", "frame")
    if array.shape != shape and (shape[0] != 1 or array.shape != shape[1:]):
        also = f" or {shape[1:]}" if shape[0] == 1 else ""
        raise ValueError(f"frame should have shape {shape}{also}, got {array.shape}")
    copy = np.empty(array.shape, dtype)  # of this very dtype, where np.array may keep an equal one
    copy[...] = array
    return copy


def out(value: object, shape: Shape, dtype: np.dtype[Any]) -> FloatArray:
    """An array that a result of `shape` can be stored in."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"out should be an ndarray, got {type(value).__name__}")
    if value.dtype != dtype:
        raise ValueError(f"out dtype ({value.dtype}) does not match weight dtype ({dtype})")
    if value.shape != shape:
        raise ValueError(f"out should have shape {shape}, got {value.shape}")
    if not value.flags.writeable:
        raise ValueError("out should be writable")
    return value


def rows(value: object, batch: int) -> slice | NDArray[Any]:
    """An index of some rows: from None, an int, ints, a slice, or a mask of bools."""
    if value is None:
        return slice(None)
    if isinstance(value, slice):
        return value
    array = np.asarray(value)
    if array.dtype == np.bool_:
        if array.shape != (batch,):
            raise ValueError(f"rows should be a mask of shape ({batch},), got {array.shape}")
        return array
    found = integers(np.atleast_1d(array), "rows")
    outside = found[(found < -batch) | (found >= batch)]
    if outside.size:
        raise IndexError(f"rows should be from {-batch} to {batch - 1}, got {outside[0]}")
    return found


def state(value: object, shapes: tuple[Shape, Shape], dtype: np.dtype[Any]) -> list[FloatArray]:
    """The states h and c of `shapes`."""
    if not isinstance(value, tuple | list):
        raise TypeError(f"state should be a tuple (h, c) of ndarrays, got {type(value).__name__}")
    if len(value) != 2:
        raise TypeError(f"state should be a tuple (h, c) of ndarrays, got {len(value)} values")
    arrays = []
    for index, (given, shape) in enumerate(zip(value, shapes, strict=True)):
        name = f"state[{index}]"
        array = as_ndarray(given, name)
        same_dtype(array, dtype, "LSTM", name)
        if array.shape != shape:
            raise ValueError(f"{name} should have shape {shape}, got {array.shape}")
        arrays.append(array)
    return arrays

"""Scalars: the arguments of constructors, modes, seeds and thread counts.

Owns their types and ranges. Must not know arrays.
"""

import math
import numbers
import operator
import sys
import warnings
from typing import Any, TypeVar, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from lstm_native._checks.arrays import FLOATS
from lstm_native.parameters import Config, Storage

T = TypeVar("T")

MOST_THREADS = 256  # the core's limit
INT8_TERMS = 133_144  # of a sum of products of bytes that fits 32 bits
STATE_SIZE = 5056  # of torch's CPU generator, and ours


def integer(value: object, name: str) -> int:
    """An int from anything that is one, NumPy's included; TypeError otherwise."""
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"{name} should be of type int, got: {kind}") from None


def boolean(value: object, name: str) -> bool:
    """A bool from Python's or NumPy's; TypeError otherwise."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} should be of type bool, got: {type(value).__name__}")
    return bool(value)


def inner_results(layers: object, cells: object) -> tuple[bool, bool]:
    """Whether every layer's output, and whether c of every step, is to be returned."""
    return boolean(layers, "return_layers"), boolean(cells, "return_cells")


def float_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """float32 (also for None, as in torch) or float64; TypeError otherwise."""
    result = np.dtype(np.float32 if dtype is None else dtype)
    if result not in FLOATS:
        raise TypeError(f"dtype should be float32 or float64, got: {result}")
    return FLOATS[FLOATS.index(result)]  # NumPy's own object, which plain arrays are known by


def storage(value: object, config: Config, dtype: np.dtype[Any]) -> Storage | None:
    """What weights are rounded to, or None; ValueError otherwise, or where it cannot be."""
    if value is None:
        return None
    if not isinstance(value, str) or value not in get_args(Storage):
        raise ValueError(f"weights should be 'bfloat16', 'int8' or None, got: {value!r}")
    if dtype != np.float32:
        raise ValueError(f"weights of a network of {dtype} cannot be rounded to {value}")
    largest = max(config.input_size, config.frame_size, config.hidden_size)
    if value == "int8" and largest > INT8_TERMS:
        raise ValueError(
            f"weights of at most {INT8_TERMS} features and units can be rounded to int8, "
            f"got: {largest}"
        )
    return cast(Storage, value)


def precision(value: object) -> Any:
    """One of torch's names of a precision; ValueError otherwise."""
    if not isinstance(value, str) or value not in ("highest", "high", "medium"):
        raise ValueError(f"precision should be 'highest', 'high' or 'medium', got: {value!r}")
    return value


def dropout(value: object) -> float:
    """A probability; ValueError otherwise, TypeError where ``float()`` has no answer."""
    try:
        result = float(value)  # type: ignore[arg-type]
    except OverflowError:  # an int beyond every float
        result = math.inf
    number = isinstance(value, numbers.Number) and not isinstance(value, bool)
    if not number or not 0 <= result <= 1:
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an "
            "element being zeroed"
        )
    return result


def lstm_sizes(
    input_size: object,
    hidden_size: object,
    num_layers: object,
    bias: bool,
    bidirectional: object,
    proj_size: object,
) -> Config:
    """The sizes of an LSTM, each in its range."""
    inputs = integer(input_size, "input_size")
    if inputs <= 0:
        raise ValueError("input_size must be greater than zero")
    hidden = integer(hidden_size, "hidden_size")
    if hidden <= 0:
        raise ValueError("hidden_size must be greater than zero")
    layers = integer(num_layers, "num_layers")
    if layers <= 0:
        raise ValueError("num_layers must be greater than zero")
    projection = integer(proj_size, "proj_size")
    if projection < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if projection >= hidden:
        raise ValueError("proj_size has to be smaller than hidden_size")
    bool(bidirectional)  # whatever has a truth value; repr shows what was given, as torch's does
    return Config(inputs, hidden, layers, bias, bidirectional, projection)  # type: ignore[arg-type]


def cell_sizes(input_size: object, hidden_size: object, bias: object) -> Config:
    """The sizes of a cell; zero is a size here, as in torch."""
    inputs = integer(input_size, "input_size")
    hidden = integer(hidden_size, "hidden_size")
    if inputs < 0 or hidden < 0:
        name, got = ("input_size", inputs) if inputs < 0 else ("hidden_size", hidden)
        raise RuntimeError(
            f"Trying to create an ndarray with negative dimension: {name} must not be less than "
            f"zero, got {got}"
        )
    bool(bias)  # as in lstm_sizes
    return Config(inputs, hidden, bias=bias)  # type: ignore[arg-type]


def warn_idle_dropout(
    given: object, probability: float, num_layers: object, *, stacklevel: int = 3
) -> None:
    """Warn the caller's caller that dropout between layers needs two of them."""
    if probability > 0 and num_layers == 1:
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout "
            f"expects num_layers greater than 1, but got dropout={given} and "
            f"num_layers={num_layers}",
            stacklevel=stacklevel,
        )


def allocatable(config: Config, dtype: np.dtype[Any]) -> int:
    """The number of parameters, if an array can hold so many; ValueError otherwise."""
    count = config.parameter_count
    if count * dtype.itemsize > np.iinfo(np.intp).max:
        raise ValueError(f"an LSTM of these sizes has {count} parameters, more than can be stored")
    return count


def checkpoint(value: object) -> int | None:
    """A number of steps between checkpoints, or None."""
    if value is None:
        return None
    steps = integer(value, "checkpoint")
    if steps < 1:
        raise ValueError(f"checkpoint should be a positive number of steps, got: {steps}")
    return min(steps, sys.maxsize)


def mode(value: object) -> bool:
    """The argument of ``train``."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError("training mode is expected to be boolean")
    return bool(value)


def seed(value: object) -> int:
    """A seed as torch takes it, wrapped to 0..2**64-1."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        kind = type(value).__name__
        raise TypeError(f"manual_seed expected an int, but got {kind}") from None
    if not -(2**63) <= number < 2**64:
        raise ValueError(
            f"Overflow when unpacking long long: a seed lies in -2**63..2**64-1, got {number}"
        )
    return number % 2**64


def generator_state(value: bytes | ArrayLike) -> bytes:
    """The bytes of a generator's state."""
    array = value if isinstance(value, bytes) else np.asarray(value)
    if not isinstance(array, bytes) and (array.dtype != np.uint8 or array.ndim != 1):
        raise TypeError(
            f"RNG state should be bytes or a 1-D uint8 array, got {array.ndim}-D {array.dtype}"
        )
    if len(array) != STATE_SIZE:
        raise RuntimeError(
            f"Expected a generator state of size {STATE_SIZE} but found the input RNG state size "
            f"to be {len(array)}"
        )
    return bytes(array)


def threads(value: object) -> int:
    """A number of threads: positive, or -1 for all."""
    count = integer(value, "num_threads")
    if count != -1 and not 1 <= count <= MOST_THREADS:
        raise ValueError(f"num_threads should be -1 (all) or in 1..{MOST_THREADS}, got {count}")
    return count


def instance(value: object, kind: type[T], name: str) -> T | None:
    """An instance of `kind`, or None."""
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} should be a {kind.__name__}, got: {type(value).__name__}")
    return value

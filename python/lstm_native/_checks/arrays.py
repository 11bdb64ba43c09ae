"""Arrays of any origin, their dtype and memory layout.

Owns what counts as an array and when one is copied. Must not know what an array is for.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lstm_native.parameters import FloatArray

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


class SupportsArray(Protocol):
    """What has ``__array__``: NumPy's arrays and those of most other libraries."""

    def __array__(self) -> NDArray[Any]:
        """Give an ndarray."""


def as_ndarray(value: object, name: str) -> NDArray[Any]:
    """An ndarray over `value`, without a copy where its protocol allows.

    Takes ndarrays, ``__array__``, the buffer protocol and ``__dlpack__`` on CPU; lists and scalars
    are refused, since their dtype would be a guess.
    """
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ValueError(
            f"{name} is a masked array with masked entries: fill them first, .filled()"
        )
    try:
        if isinstance(value, np.ndarray) or hasattr(value, "__array__"):
            return np.asarray(value)
        if hasattr(value, "__dlpack__"):
            return np.from_dlpack(value)
        if (buffer := _buffer(value)) is not None:
            return np.asarray(buffer)
    # What torch and NumPy say does not name the argument.
    except (RuntimeError, TypeError, BufferError) as error:
        raise TypeError(f"{name} cannot be read as an ndarray: {error}") from error
    raise TypeError(f"{name} should be an ndarray, got {type(value).__name__}")


def _buffer(value: Any) -> memoryview | None:
    try:
        return memoryview(value)
    except TypeError:
        return None


def readable(array: NDArray[Any], dtype: np.dtype[Any]) -> FloatArray:
    """The array itself if the core can read it in place, else a plain copy."""
    flags = array.flags
    if flags.aligned and array.dtype.isnative:
        if flags.c_contiguous:
            return array
        strides, size = array.strides, dtype.itemsize
        if strides[-1] == size and not any(stride % size for stride in strides):
            return array
    return np.array(array, dtype, order="C")


def same_dtype(array: NDArray[Any], dtype: np.dtype[Any], owner: str, name: str) -> None:
    """Refuse an array whose dtype is not the network's; the byte order may differ."""
    got = array.dtype
    if got is dtype:
        return
    got = got.newbyteorder("=")
    if got == dtype:
        return
    text = f"{'RNN' if owner == 'LSTM' else owner} {name} dtype ({got}) does not match "
    text += f"weight dtype ({dtype}). Convert {name}: x.astype(np.{dtype})"
    if got in FLOATS:
        text += f", or convert the model: {owner}(..., dtype=np.{got})"
    raise (RuntimeError if owner == "LSTMCell" else ValueError)(text)


def integers(value: ArrayLike, name: str) -> NDArray[np.int64]:
    """A copy of 1-D integers: nobody can change it between its checks and its use."""
    array = np.asarray(value)
    if array.ndim == 1 and array.dtype == np.int64:
        return array.astype(np.int64)
    if array.ndim == 1 and array.size == 0:
        return np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise TypeError(f"{name} should be 1-D integers, got {array.ndim}-D {array.dtype}")
    if array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name} should fit int64, got {array.max()}")
    return np.array(array, np.int64)

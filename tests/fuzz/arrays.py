"""Arrays, and all that may be odd about one.

Owns the alterations of an array: some keep its values (order of bytes, strides, alignment,
subclass, protocol), some do not. Must not know what is called.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from fuzz.choices import Choices
from fuzz.strangers import LIARS, dlpack, giving, interface

Array = np.ndarray[Any, Any]
Alteration = Callable[[Choices, Array], Any]

_POOL = np.random.default_rng(0).standard_normal(1 << 15)
_VALUES = (np.nan, np.inf, -np.inf, -0.0, 1e-45, 1e38, -1e38)
_EXTENTS = (2**31, 2**40, 2**60, 2**62)
_DTYPES = (
    "f4", "f8", "f2", "g", "i1", "u1", "i4", "i8", "u8", "?", "c8", "c16", "O", "S4", "U4", "V8",
    "M8[s]", "m8[s]", [("x", "f4")], [("x", "f4"), ("y", "O")], np.dtypes.StringDType(), ">f4",
)  # fmt: skip


def normal(choices: Choices, shape: tuple[int, ...], dtype: Any) -> Array:
    """Give an array of values as data has them."""
    start = 16 * choices.below(64)
    return _POOL[start : start + math.prod(shape)].reshape(shape).astype(dtype)


class Named(np.ndarray[Any, Any]):
    """A subclass that adds nothing."""


# --- the same values ---


def unaligned(choices: Choices, a: Array) -> Any:
    odd = np.ndarray(a.shape, a.dtype, bytearray(a.nbytes + 1), 1)
    odd[...] = a
    return odd


def flipped(choices: Choices, a: Array) -> Any:
    axis = choices.below(a.ndim)
    return np.flip(np.flip(a, axis).copy(), axis)


def spread(choices: Choices, a: Array) -> Any:
    axis = choices.below(a.ndim)
    every_other = [slice(None)] * a.ndim
    every_other[axis] = slice(None, None, 2)
    return np.repeat(a, 2, axis)[tuple(every_other)]


def moved(choices: Choices, a: Array) -> Any:
    axis = choices.below(a.ndim)
    return np.moveaxis(np.moveaxis(a, axis, -1).copy(), -1, axis)


def read_only(choices: Choices, a: Array) -> Any:
    fixed = a.copy()
    fixed.flags.writeable = False
    return fixed


def far_strides(choices: Choices, a: Array) -> Any:
    strides = [2**62 if n < 2 else s for n, s in zip(a.shape, a.strides, strict=True)]
    return as_strided(a, a.shape, strides)


ALIKE: tuple[Alteration, ...] = (
    lambda c, a: a.copy(),
    lambda c, a: a.astype(a.dtype.newbyteorder()),
    unaligned,
    flipped,
    spread,
    moved,
    read_only,
    far_strides,
    lambda c, a: np.asfortranarray(a),
    lambda c, a: a.view(Named),
    lambda c, a: np.ma.masked_array(a),
    lambda c, a: memoryview(a),
    lambda c, a: np.frombuffer(bytes(a), a.dtype).reshape(a.shape),
    lambda c, a: giving(a),
    lambda c, a: dlpack(a),
)


# --- other values, shapes, dtypes ---


def other_values(choices: Choices, a: Array) -> Any:
    a = a.copy()
    a[tuple(choices.below(n) for n in a.shape)] = choices.pick(_VALUES)
    return a


def resized(choices: Choices, a: Array) -> Any:
    axis = choices.below(a.ndim)
    extent = choices.pick((0, 1, 2, a.shape[axis] - 1, a.shape[axis] + 1, 2 * a.shape[axis]))
    return np.take(a, range(extent), axis, mode="wrap") if a.shape[axis] else a


def swapped(choices: Choices, a: Array) -> Any:
    return a.swapaxes(choices.below(a.ndim), choices.below(a.ndim))


def absurd(choices: Choices, a: Array) -> Any:
    axis, shape = choices.below(a.ndim), list(a.shape)
    shape[axis] = choices.pick(_EXTENTS)
    return np.broadcast_to(np.take(a, [0], axis), shape)


def absurd_and_empty(choices: Choices, a: Array) -> Any:
    shape = list(a.shape)
    shape[choices.below(a.ndim)] = choices.pick(_EXTENTS)
    shape[choices.below(a.ndim)] = 0
    return np.empty(shape, a.dtype)


def one_memory(choices: Choices, a: Array) -> Any:
    strides = list(a.strides)
    strides[choices.below(a.ndim)] = 0
    return as_strided(a, a.shape, strides)


OTHERWISE: tuple[Alteration, ...] = (
    lambda c, a: a.astype(c.pick(_DTYPES)),
    lambda c, a: a.astype(c.pick(_DTYPES)),
    lambda c, a: a.view(c.pick(_DTYPES)),
    resized,
    resized,
    swapped,
    absurd,
    absurd_and_empty,
    one_memory,
    other_values,
    lambda c, a: a[None],
    lambda c, a: a[..., None],
    lambda c, a: a[0],
    lambda c, a: a[..., 0],
    lambda c, a: a.ravel(),
    lambda c, a: a.reshape((1,) * 40 + a.shape),
    lambda c, a: np.zeros((), a.dtype),
    lambda c, a: np.zeros((0,) * a.ndim, a.dtype),
    lambda c, a: np.ma.masked_array(a, np.arange(a.size).reshape(a.shape) % 2),
    lambda c, a: np.asmatrix(a),
    lambda c, a: a.tolist(),
    lambda c, a: a + c.pick((1, -1, 2**62)),
    lambda c, a: interface(a),
    lambda c, a: c.pick(LIARS)(a),
)


LARGEST = 2**20  # extent


def altered_array(choices: Choices, array: Array) -> Any:
    """Give the array, odd in one way; raises where it cannot be odd in the way chosen."""
    if max(array.shape, default=0) > LARGEST:
        raise ValueError("made absurd before: alterations copy, or count to its extent")
    return choices.pick(choices.pick((ALIKE, OTHERWISE)))(choices, array)

"""What the functions around ``PackedSequence`` are given.

Owns every check and error text of ragged batches, torch's where torch has one. Must not know how
frames are moved.

Shapes: T steps, N sequences, * any trailing dimensions.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lstm_native._checks.arrays import as_ndarray

Array: TypeAlias = NDArray[Any]
Indices: TypeAlias = NDArray[np.int64]
Order: TypeAlias = Indices | None


def pair(value: object) -> tuple[ArrayLike, ArrayLike]:
    """Give what stands for data and batch sizes together."""
    if not (isinstance(value, list | tuple) and len(value) == 2):
        raise AssertionError("Expected data to be a list or tuple of length 2")
    return value[0], value[1]


def packed(value: object, kind: type) -> None:
    """Check that a batch is packed."""
    if not isinstance(value, kind):
        raise TypeError(f"sequence should be a {kind.__name__}, got: {type(value).__name__}")


def permutation(values: ArrayLike) -> Indices:
    """Give what is to be a permutation; `inverse` finds out whether it is."""
    if np.ndim(values) != 1:
        raise IndexError(f"Expected permutation to be 1-D, but got {np.ndim(values)}-D")
    return indices(values, "permutation")


def inverse(indices: Indices) -> Indices:
    """Give the inverse of what must be a permutation."""
    size = indices.size
    outside = indices[(indices < 0) | (indices >= size)]
    if outside.size:
        raise RuntimeError(f"index {outside[0]} is out of bounds for dimension 0 with size {size}")
    counts = np.bincount(indices, minlength=size)
    if (counts > 1).any():
        raise ValueError(f"index {counts.argmax()} appears more than once in permutation")
    result = np.empty(size, np.int64)
    result[indices] = np.arange(size)
    return result


def padding(value: float, dtype: np.dtype[Any]) -> Any:
    """Give a padding value in the dtype of the frames."""
    if not isinstance(value, Real | np.bool_):
        raise TypeError(f"padding_value should be a real number, got: {type(value).__name__}")
    try:
        with np.errstate(over="raise"):
            return dtype.type(int(value) if dtype.kind in "iu" else value)
    except (ArithmeticError, ValueError):
        raise RuntimeError(f"value cannot be converted to type {dtype} without overflow") from None


def padding_side(value: str) -> None:
    """Check where padding is to stand."""
    if value not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {value}.")


def total_length(value: int, longest: int) -> int:
    """Give the length to pad to as an int."""
    T = operator.index(value)
    if longest > T:
        raise ValueError(
            "Expected total_length to be at least the length of the longest sequence in input, "
            f"but got total_length={T} and max sequence length being {longest}"
        )
    return T


def batch_major(batch: ArrayLike, name: str, batch_first: bool) -> Array:
    """Give a padded batch as (N, T, ...)."""
    array = as_ndarray(batch, name)
    if array.ndim < 2:
        raise IndexError(f"Expected {name} to have at least 2 dimensions, but got {array.ndim}")
    return array if batch_first else array.swapaxes(0, 1)


def sequences(values: Iterable[ArrayLike]) -> list[Array]:
    """Give what is to be one batch as arrays."""
    if not isinstance(values, Iterable):
        expected = "pad_sequence: Expected iterable for input sequences"
        raise RuntimeError(f"{expected}, but got arg of type: {type(values)}")
    arrays = [as_ndarray(value, f"sequences[{i}]") for i, value in enumerate(values)]
    if not arrays:
        raise RuntimeError("received an empty list of sequences")
    if not all(array.ndim for array in arrays):
        raise IndexError("Expected sequences of shape (length, *), but got one without dimensions")
    return arrays


def lengths(values: ArrayLike) -> Indices:
    """Give lengths as int64, fractions cut off."""
    array = np.asarray(values)
    if array.dtype.kind == "f" and not (np.abs(array) < 2.0**63).all():
        raise RuntimeError("value cannot be converted to type int64 without overflow")
    return indices(array.astype(np.int64) if array.dtype.kind in "bf" else array, "lengths")


def indices(values: ArrayLike, name: str) -> Indices:
    """Give a 1-D array of integers as int64."""
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise RuntimeError(
            f"'{name}' argument should be a 1D int64 ndarray, "
            f"but got {array.ndim}D {array.dtype} ndarray"
        )
    return array.astype(np.int64, copy=False)


def unpadded_lengths(values: ArrayLike, batch: Array) -> Indices:
    """Give the lengths of the sequences of a batch (N, T, *), 0 to T."""
    sizes = indices(values, "lengths")
    N, T = batch.shape[:2]
    if sizes.size != N or ((sizes < 0) | (sizes > T)).any():
        raise ValueError(f"Expected {N} lengths, each in 0..{T}, but got {sizes}")
    return sizes


def lengths_fit(array: Array, sizes: Indices, enforce_sorted: bool) -> None:
    """Check a batch (N, T, *) and its lengths in torch's order."""
    N, T = array.shape[:2]
    if array.size == 0:
        raise RuntimeError("Cannot pack empty ndarrays.")
    if sizes.size != N:
        raise (RuntimeError if enforce_sorted else ValueError)(
            f"Expected `len(lengths)` to be equal to batch_size, but got {sizes.size} "
            f"(batch_size={N})"
        )
    if sizes[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    if (sizes[1:] > sizes[:-1]).any():
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You "
            "can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )
    if sizes[0] > T:
        raise ValueError(f"Expected every length to be at most {T}, but got {sizes}")


def fields(data: Array, batch_sizes: Indices, order: Order, unsorted: Order) -> None:
    """Check that the fields of a `PackedSequence` describe one batch."""
    if batch_sizes.size == 0:
        raise RuntimeError("batch_sizes can not be empty")
    if batch_sizes[-1] <= 0 or (batch_sizes[1:] > batch_sizes[:-1]).any():
        raise ValueError(f"batch_sizes should be positive and never grow, but got {batch_sizes}")
    if data.ndim == 0 or sum(batch_sizes.tolist()) != len(data):
        raise ValueError(
            "Expected data to have sum(batch_sizes) rows, but got shape "
            f"{data.shape} and batch_sizes {batch_sizes}"
        )
    if order is None or unsorted is None:
        return
    if order.size != batch_sizes[0] or not np.array_equal(inverse(order), unsorted):
        raise ValueError(
            "Expected sorted_indices and unsorted_indices to be inverse permutations of "
            f"{batch_sizes[0]} sequences, but got {order} and {unsorted}"
        )


def trailing(first: tuple[int, ...], shape: tuple[int, ...], index: int) -> None:
    """Check that frames of `shape` broadcast to frames of the `first` sequence."""
    detail = f"sequences[0] has shape {first}, sequences[{index}] has shape {shape}"
    if len(shape) != len(first):
        raise RuntimeError(f"Expected sequences with one number of dimensions: {detail}")
    for dimension in reversed(range(1, len(first))):
        if shape[dimension] not in (1, first[dimension]):
            raise RuntimeError(
                f"The size of ndarray a ({first[dimension]}) must match the size of ndarray b "
                f"({shape[dimension]}) at non-singleton dimension {dimension}: {detail}"
            )

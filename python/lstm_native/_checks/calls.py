"""What a network is called with: input, initial state, lengths, packed sequences.

Owns the order of these checks, torch's: ranks, dtype, features, sizes of the state. Must not know
gradients or parameters.
"""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lstm_native._checks.arrays import as_ndarray, integers, readable, same_dtype
from lstm_native.parameters import Config, FloatArray, Shape

Pair: TypeAlias = tuple[FloatArray, FloatArray]

_STATES = {"LSTM": "lstm", "LSTMCell": "lstm_cell"}


def _pair(hx: object, owner: str) -> Pair:
    if not isinstance(hx, tuple | list):
        kind = type(hx).__name__
        raise TypeError(f"{owner}: hx should be a tuple (h_0, c_0) of ndarrays, got {kind}")
    if len(hx) != 2:
        raise RuntimeError(f"{_STATES[owner]} expects two hidden states")
    return as_ndarray(hx[0], "hx[0]"), as_ndarray(hx[1], "hx[1]")


def sequence(
    x: object, hx: object, config: Config, dtype: np.dtype[Any], batch_first: bool
) -> tuple[FloatArray, Pair | None]:
    """Input and state of an LSTM called with a plain array; torch's order of checks."""
    array = as_ndarray(x, "input")
    if array.ndim not in (2, 3):
        raise ValueError(f"LSTM: Expected input to be 2D or 3D, got {array.ndim}D instead")
    batched = array.ndim == 3
    state = None
    if hx is not None:
        state = _pair(hx, "LSTM")
        _same_rank(state, array.ndim, "batched 3-D" if batched else "unbatched 2-D")
    same_dtype(array, dtype, "LSTM", "input")
    _features(array, config)
    time_axis = 1 if batched and batch_first else 0
    if state is not None:
        batch = (array.shape[1 - time_axis],) if batched else ()
        _state_shapes(state, config, dtype, batch, batch_first)
    if array.shape[time_axis] == 0:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    return readable(array, dtype), state


class Ragged(NamedTuple):
    """The index arrays of a checked PackedSequence."""

    batch_sizes: NDArray[np.int64]
    order: NDArray[np.int64] | None


def packed(
    fields: tuple[Any, ...], hx: object, config: Config, dtype: np.dtype[Any]
) -> tuple[FloatArray, Pair | None, Ragged]:
    """Data, state and index arrays of an LSTM called with a PackedSequence.

    torch checks none of this (pytorch#195803).
    """
    data, sizes, sorted_indices, unsorted_indices = fields
    array = as_ndarray(data, "input.data")
    if array.ndim != 2:
        raise ValueError(f"LSTM: Expected packed input data to be 2D, got {array.ndim}D instead")
    state = None
    if hx is not None:
        state = _pair(hx, "LSTM")
        _same_rank(state, 3, "packed")
    same_dtype(array, dtype, "LSTM", "input")
    _features(array, config)
    batch_sizes = integers(sizes, "batch_sizes")
    if batch_sizes.size == 0:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    # In Python's integers: a forged batch_sizes must not pass by wrapping round.
    counts = batch_sizes.tolist()
    if counts[-1] <= 0 or counts != sorted(counts, reverse=True):
        raise ValueError("batch_sizes of a PackedSequence should be positive and never grow")
    total = sum(counts)
    if total != len(array):
        raise ValueError(
            f"PackedSequence: the sum of batch_sizes is {total}, but data has {len(array)} rows"
        )
    order = _permutation(sorted_indices, unsorted_indices, counts[0])
    if state is not None:
        _state_shapes(state, config, dtype, (counts[0],), False)
    return readable(array, dtype), state, Ragged(batch_sizes, order)


def lengths(value: ArrayLike, x: FloatArray, batch_first: bool) -> NDArray[np.int64]:
    """The length of each row of a padded batch, in 0..T."""
    if x.ndim != 3:
        raise ValueError(f"lengths= needs a batched 3-D input, got {x.ndim}-D")
    result = integers(value, "lengths")
    batch, steps = x.shape[:2] if batch_first else x.shape[1::-1]
    if len(result) != batch:
        raise ValueError(
            "Expected `len(lengths)` to be equal to batch_size, but got "
            f"{len(result)} (batch_size={batch})"
        )
    outside = np.flatnonzero((result < 0) | (result > steps))
    if outside.size:
        row = int(outside[0])
        raise ValueError(
            f"lengths should be between 0 and the sequence length {steps}, but lengths[{row}] is "
            f"{result[row]}"
        )
    return result


def same_packing(value: tuple[Any, ...], packing: tuple[Any, ...], name: str) -> None:
    """Refuse a PackedSequence whose frames lie otherwise than the input's.

    `packing` is what follows the data in the input.
    """
    fields = "batch_sizes", "sorted_indices"
    for field, left, right in zip(fields, value[1:3], packing[:2], strict=True):
        if (left is None) is not (right is None) or not np.array_equal(left, right):
            raise ValueError(f"{name}: {field} differ from those of the input")


def resets(value: object, frames: Shape) -> NDArray[np.bool_]:
    """Where rows begin anew: a bool for every frame of the input."""
    array = np.asarray(value)
    if array.dtype != np.bool_:
        raise TypeError(f"resets should be of dtype bool, got {array.dtype}")
    if array.shape != frames:
        raise ValueError(f"resets: expected shape {frames}, got {array.shape}")
    return np.ascontiguousarray(array)


def no_lengths(value: object) -> None:
    """Refuse ``lengths=`` beside a PackedSequence."""
    if value is not None:
        raise ValueError("a PackedSequence has its own lengths: lengths= is for padded input")


def cell_input(
    x: object, hx: object, config: Config, dtype: np.dtype[Any]
) -> tuple[FloatArray, Pair | None]:
    """Input and state of an LSTMCell; torch's order of checks, and those it lacks."""
    array = as_ndarray(x, "input")
    if array.ndim not in (1, 2):
        raise ValueError(f"LSTMCell: Expected input to be 1D or 2D, got {array.ndim}D instead")
    state = None
    if hx is not None:
        state = _pair(hx, "LSTMCell")
        for index, value in enumerate(state):
            if value.ndim not in (1, 2):
                raise ValueError(
                    f"LSTMCell: Expected hx[{index}] to be 1D or 2D, got {value.ndim}D instead"
                )
        # torch segfaults on some of these (pytorch#193823).
        _same_rank(state, array.ndim, "batched 2-D" if array.ndim == 2 else "unbatched 1-D")
    same_dtype(array, dtype, "LSTMCell", "input")
    if array.shape[-1] != config.input_size:
        raise RuntimeError(
            f"input has inconsistent input_size: got {array.shape[-1]} expected {config.input_size}"
        )
    for index, value in enumerate(state or ()):
        same_dtype(value, dtype, "LSTMCell", f"hx[{index}]")
        if value.shape[:-1] != array.shape[:-1]:
            raise RuntimeError(
                f"Input batch size {array.shape[0]} doesn't match hidden{index} batch size "
                f"{value.shape[0]}"
            )
        if value.shape[-1] != config.hidden_size:
            raise RuntimeError(
                f"hidden{index} has inconsistent hidden_size: got {value.shape[-1]}, expected "
                f"{config.hidden_size}"
            )
    return readable(array, dtype), state


def _same_rank(state: Pair, rank: int, kind: str) -> None:
    got = state[0].ndim, state[1].ndim
    if got != (rank, rank):
        raise RuntimeError(
            f"For {kind} input, hx and cx should also be {rank}-D but got "
            f"({got[0]}-D, {got[1]}-D) ndarrays"
        )


def _features(array: FloatArray, config: Config) -> None:
    if array.shape[-1] != config.input_size:
        raise RuntimeError(
            "input.size(-1) must be equal to input_size. Expected "
            f"{config.input_size}, got {array.shape[-1]}"
        )


def _state_shapes(
    state: Pair, config: Config, dtype: np.dtype[Any], batch: Shape, batch_first: bool
) -> None:
    rows = config.state_rows
    for index, features in enumerate((config.output_size, config.hidden_size)):
        same_dtype(state[index], dtype, "LSTM", f"hx[{index}]")
        expected, got = (rows, *batch, features), state[index].shape
        if got != expected:
            text = f"Expected hidden[{index}] size {expected}, got {list(got)}"
            if batch_first and batch and got == (*batch, rows, features):
                text += (
                    ": hx is never batch-first, also not with batch_first=True; "
                    f"pass hx[{index}].swapaxes(0, 1)"
                )
            raise RuntimeError(text)


def _permutation(
    sorted_indices: ArrayLike | None, unsorted_indices: ArrayLike | None, count: int
) -> NDArray[np.int64] | None:
    if sorted_indices is None:
        if unsorted_indices is not None:
            raise ValueError("PackedSequence: unsorted_indices without sorted_indices")
        return None
    order = integers(sorted_indices, "sorted_indices")
    inverse = order.argsort()
    if not _same(order.take(inverse), np.arange(count)):
        raise ValueError(f"PackedSequence: sorted_indices is no permutation of 0..{count - 1}")
    if unsorted_indices is None or not _same(
        integers(unsorted_indices, "unsorted_indices"), inverse
    ):
        raise ValueError("PackedSequence: unsorted_indices is not the inverse of sorted_indices")
    return order


def _same(a: NDArray[np.int64], b: NDArray[np.int64]) -> bool:
    # On short arrays several times faster than np.array_equal.
    return a.tobytes() == b.tobytes()

"""Ragged batches: ``PackedSequence`` and the ways into it and out of it.

Owns the layout of packed data (one row per frame, step after step, the longest sequence first) and
the functions of ``torch.nn.utils.rnn`` on NumPy arrays. Must not know what a network is, nor touch
the compiled core: all of it is index arithmetic, and no loop runs over time steps.

Shapes: T steps, N sequences, F frames (the sum of all lengths), * any trailing dimensions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from lstm_native._checks import packing as checks
from lstm_native._checks.arrays import as_ndarray
from lstm_native._checks.packing import Array, Indices, Order


class _Fields(NamedTuple):
    data: Array
    batch_sizes: Indices
    sorted_indices: Order
    unsorted_indices: Order


class PackedSequence(_Fields):
    """A batch of sequences of different lengths, without padding.

    Frames stand step by step, in each step the longest sequence first. Usually made by the `pack`
    functions; made by hand it is checked (torch checks nothing, and may later read past the data).
    Arrays already of the right kind are kept, not copied.

    Parameters
    ----------
    data : array_like, shape ``(F, *)``
        The frames, or a pair ``(data, batch_sizes)`` when ``batch_sizes`` is not given.
    batch_sizes : array_like of int, shape (T,)
        How many sequences are alive at each step: positive, never growing, F in sum.
    sorted_indices : array_like of int, shape (N,), optional
        Row r of every step belongs to the caller's sequence ``sorted_indices[r]``. None: to r.
    unsorted_indices : array_like of int, shape (N,), optional
        The inverse permutation. Either of the two is derived from the other.

    Raises
    ------
    ValueError, RuntimeError, AssertionError
        The four do not describe one batch; an index array is empty, not 1-D or not of integers;
        ``data`` alone was given and is not a pair.

    Examples
    --------
    >>> packed = pack_sequence([np.zeros((3, 4)), np.zeros((1, 4))])
    >>> packed.data.shape, packed.batch_sizes
    ((4, 4), array([2, 1, 1]))
    """

    __slots__ = ()

    def __new__(
        cls,
        data: ArrayLike | tuple[ArrayLike, ArrayLike],
        batch_sizes: ArrayLike | None = None,
        sorted_indices: ArrayLike | None = None,
        unsorted_indices: ArrayLike | None = None,
    ) -> Self:
        if batch_sizes is None:
            data, batch_sizes = checks.pair(data)
        order = None if sorted_indices is None else checks.indices(sorted_indices, "sorted_indices")
        if unsorted_indices is None:
            inverse = invert_permutation(order)
        else:
            inverse = checks.indices(unsorted_indices, "unsorted_indices")
            order = invert_permutation(inverse) if order is None else order
        frames, sizes = as_ndarray(data, "data"), checks.indices(batch_sizes, "batch_sizes")
        checks.fields(frames, sizes, order, inverse)
        return super().__new__(cls, frames, sizes, order, inverse)

    def astype(self, dtype: DTypeLike) -> Self:
        """Give the same batch with `data` of another dtype; ``self`` when nothing changes.

        Parameters
        ----------
        dtype : numpy dtype
            Any that NumPy can cast the frames to.
        """
        data = self.data.astype(dtype, copy=False)
        return self if data is self.data else self._replace(data=data)


def invert_permutation(permutation: ArrayLike | None) -> Order:
    """Give the permutation (N,) of int64 that undoes another one; None for None.

    Parameters
    ----------
    permutation : array_like of int, shape (N,), or None
        Every index of 0..N-1 once.

    Raises
    ------
    RuntimeError, IndexError, ValueError
        An index is out of range, stands twice (torch returns garbage), or is no integer; not 1-D.

    Examples
    --------
    >>> invert_permutation([2, 0, 1])
    array([1, 2, 0])
    """
    return None if permutation is None else checks.inverse(checks.permutation(permutation))


def pack_padded_sequence(
    input: ArrayLike, lengths: ArrayLike, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a padded batch of sequences: copy the frames that are not padding.

    Parameters
    ----------
    input : array_like, shape ``(T, N, *)``, or ``(N, T, *)`` with ``batch_first``
        The padded batch, of any dtype.
    lengths : array_like of int, shape (N,)
        The length of every sequence, 1 to T; fractions are cut off, as torch does.
    batch_first : bool
        Which of its two shapes `input` has.
    enforce_sorted : bool
        True demands that the lengths never grow; False sorts the sequences, those of equal length
        in the caller's order (torch's sort is not stable from N = 17 on).

    Raises
    ------
    RuntimeError, IndexError
        As torch: lengths unsorted, not positive, not 1-D, of the wrong count; input empty or 1-D.
    ValueError
        A length is larger than T, or the count of lengths is wrong and ``enforce_sorted`` False
        (torch makes a broken result, or drops sequences).

    Examples
    --------
    >>> padded = np.array([[1, 4], [2, 0], [3, 0]])  # two sequences, 1 2 3 and 4
    >>> pack_padded_sequence(padded, [3, 1]).data
    array([1, 4, 2, 3])
    """
    array = checks.batch_major(input, "input", batch_first)
    sizes = checks.lengths(lengths)
    # ~ turns the order round as - does, and has no overflow.
    order = None if enforce_sorted else checks.indices(np.argsort(~sizes, kind="stable"), "lengths")
    sizes = sizes if order is None else sizes[order]
    checks.lengths_fit(array, sizes, enforce_sorted)
    batch_sizes = _conjugate(sizes, int(sizes[0]))
    frames = array[_frames(batch_sizes, order)]
    return PackedSequence(np.ascontiguousarray(frames), batch_sizes, order)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Array, Indices]:
    """Pad a packed batch, in the caller's order: the inverse of `pack_padded_sequence`.

    Parameters
    ----------
    sequence : PackedSequence
        The packed batch; its arrays are checked again.
    batch_first, padding_value
        As in `pad_sequence`.
    total_length : int, optional
        T of the result; at least the longest length, which is the default.

    Returns
    -------
    padded : ndarray, shape ``(T, N, *)``, or ``(N, T, *)`` with ``batch_first``
    lengths : ndarray of int64, shape (N,)

    Raises
    ------
    ValueError, RuntimeError, TypeError
        ``total_length`` is too small; the four arrays do not describe one batch (any more);
        ``padding_value`` does not fit the dtype of the data; an argument has the wrong type.
    """
    checks.packed(sequence, PackedSequence)
    # The arrays may have changed since they were checked: check them again, batch_sizes too.
    data, batch_sizes, order, inverse = PackedSequence(sequence[:2], None, *sequence[2:])
    longest, N = batch_sizes.size, int(batch_sizes[0])
    T = longest if total_length is None else checks.total_length(total_length, longest)
    padded, rows = _filled(T, N, data, batch_first, padding_value)
    rows[_frames(batch_sizes, order)] = data
    lengths = _conjugate(batch_sizes, N)
    return padded, lengths if inverse is None else lengths[inverse]


def pad_sequence(
    sequences: Iterable[ArrayLike],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Array:
    """Stack sequences into one padded batch ``(T, N, *)``, where T is the longest length.

    Parameters
    ----------
    sequences : iterable of array_like, each of shape ``(length, *)``
        Any lengths, 0 among them. The first gives the dtype and the trailing dimensions; a
        trailing dimension of 1 in the others is broadcast.
    batch_first : bool
        Return ``(N, T, *)`` in place of ``(T, N, *)``.
    padding_value : number
        What stands beside the shorter sequences, cast to their dtype.
    padding_side : {"right", "left"}
        Where the padding stands: behind a sequence, or before it.

    Raises
    ------
    RuntimeError, IndexError, ValueError
        ``sequences`` is no iterable or is empty, their dimensions do not match or there are none,
        ``padding_side`` is unknown, ``padding_value`` does not fit the dtype, an entry is masked.

    Examples
    --------
    >>> pad_sequence([np.array([1, 2, 3]), np.array([4])], batch_first=True)
    array([[1, 2, 3],
           [4, 0, 0]])
    """
    arrays = checks.sequences(sequences)
    checks.padding_side(padding_side)
    for index, array in enumerate(arrays):
        checks.trailing(arrays[0].shape, array.shape, index)
    T = max(len(array) for array in arrays)
    padded, rows = _filled(T, len(arrays), arrays[0], batch_first, padding_value)
    for row, array in zip(rows, arrays, strict=True):
        start = T - len(array) if padding_side == "left" else 0
        row[start : start + len(array)] = array
    return padded


def unpad_sequence(
    padded_sequences: ArrayLike, lengths: ArrayLike, batch_first: bool = False
) -> list[Array]:
    """Copy the sequences ``(length, *)`` out of a padded batch: the inverse of `pad_sequence`.

    Parameters
    ----------
    padded_sequences : array_like, shape ``(T, N, *)``, or ``(N, T, *)`` with ``batch_first``
        It is not changed (torch transposes the caller's tensor).
    lengths : array_like of int, shape (N,)
        The length of every sequence, 0 to T.
    batch_first : bool
        Which of its two shapes the batch has.

    Raises
    ------
    ValueError, RuntimeError, IndexError
        The count of lengths differs from N, or a length is outside 0..T; the lengths are not 1-D
        or not integers; the batch is 1-D.
    """
    rows = checks.batch_major(padded_sequences, "padded_sequences", batch_first)
    sizes = checks.unpadded_lengths(lengths, rows)
    return [row[:size].copy() for row, size in zip(rows, sizes, strict=True)]


def pack_sequence(sequences: Iterable[ArrayLike], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences ``(length, *)``: `pad_sequence`, then `pack_padded_sequence`.

    Parameters
    ----------
    sequences : iterable of array_like, each of shape ``(length, *)``
        No length may be 0.
    enforce_sorted : bool
        True demands that the lengths never grow; False sorts the sequences.

    Raises
    ------
    RuntimeError, IndexError, ValueError, TypeError
        As the two.

    Examples
    --------
    >>> packed = pack_sequence([np.zeros((1, 4)), np.zeros((3, 4))], enforce_sorted=False)
    >>> packed.sorted_indices
    array([1, 0])
    """
    arrays = checks.sequences(sequences)
    lengths = [len(array) for array in arrays]
    return pack_padded_sequence(pad_sequence(arrays), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Array]:
    """Split a packed batch into its sequences ``(length, *)``: the inverse of `pack_sequence`.

    Parameters
    ----------
    packed_sequences : PackedSequence
        For instance the output of a network for packed input.

    Raises
    ------
    ValueError, RuntimeError, TypeError
        As `pad_packed_sequence`.

    Examples
    --------
    >>> unpack_sequence(pack_sequence([np.array([1, 2, 3]), np.array([4])]))
    [array([1, 2, 3]), array([4])]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)


def _frames(batch_sizes: Indices, order: Order) -> tuple[Indices, Indices]:
    """Give the caller's sequence and the step of each frame, both (F,)."""
    step = np.repeat(np.arange(batch_sizes.size), batch_sizes)
    row = np.arange(step.size) - np.repeat(np.cumsum(batch_sizes) - batch_sizes, batch_sizes)
    return row if order is None else order[row], step


def _conjugate(sizes: Indices, count: int) -> Indices:
    """Turn sorted lengths into batch sizes, or back: how many `sizes` are above 0, 1, 2, ..."""
    return np.searchsorted(~sizes, ~np.arange(count), side="left").astype(np.int64, copy=False)


def _filled(
    T: int, N: int, like: Array, batch_first: bool, padding_value: Any
) -> tuple[Array, Array]:
    """Give a batch of padding with the frames and the dtype of `like`, and its (N, T, *) view."""
    shape = ((N, T) if batch_first else (T, N)) + like.shape[1:]
    padded = np.full(shape, checks.padding(padding_value, like.dtype), like.dtype)
    return padded, padded if batch_first else padded.swapaxes(0, 1)

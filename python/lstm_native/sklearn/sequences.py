"""What may be given as X, and batches of it.

Owns the forms of X, their checks in scikit-learn's words, and the gathering of frames into a packed
batch. Must not know networks, targets or training.

Shapes: N sequences, T steps, I features, F frames (the sum of all lengths).
"""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.utils.validation import check_array, check_consistent_length, validate_data

from lstm_native._checks.arrays import as_ndarray
from lstm_native.packing import PackedSequence, _conjugate, _frames, invert_permutation
from lstm_native.sklearn.numeric import numbers

Indices = NDArray[np.int64]

FORMS = (
    "X should be a list of N arrays of shape (n_steps, n_features), or an array of shape "
    "(n_samples, n_steps, n_features)"
)


@dataclass(frozen=True)
class Sequences:
    """N sequences, whose frames stand one after another in one array.

    Attributes
    ----------
    frames : ndarray, shape (at least F, I)
        C-contiguous.
    starts, lengths : ndarray of int64, shape (N,)
        Where each sequence begins in `frames`, and how many it has.
    """

    frames: NDArray[Any]
    starts: Indices
    lengths: Indices

    def __len__(self) -> int:
        return len(self.lengths)

    def only(self, rows: Indices) -> "Sequences":
        """Give some of the sequences, without a copy of their frames."""
        return Sequences(self.frames, self.starts[rows], self.lengths[rows])

    def packed(self, rows: Indices) -> PackedSequence:
        """Gather the sequences `rows` into a batch, in one copy and without padding."""
        lengths = self.lengths[rows]
        order = np.argsort(-lengths, kind="stable")
        batch_sizes = _conjugate(lengths[order], int(lengths.max()))
        row, step = _frames(batch_sizes, order)
        data = self.frames.take(self.starts[rows][row] + step, axis=0)
        return PackedSequence._make((data, batch_sizes, order, invert_permutation(order)))

    def batches(self, most: int) -> Iterator[Indices]:
        """Divide all rows into batches of like lengths, of at most `most` frames or one row."""
        order = np.argsort(-self.lengths, kind="stable")
        ends = np.cumsum(self.lengths[order])
        start = 0
        while start < len(order):
            before = ends[start - 1] if start else 0
            stop = max(int(np.searchsorted(ends, before + most, side="right")), start + 1)
            yield order[start:stop]
            start = stop


def read(
    estimator: Any,
    X: Any,
    lengths: ArrayLike | None,
    *,
    dtype: Any,
    fitted: bool,
    finite: bool = True,
) -> Sequences:
    """Check X, and lay its frames side by side.

    Parameters
    ----------
    estimator : BaseEstimator
        Named in messages.
    X : list of array_like, or array_like
        (T_i, I) each, or (N, T, I).
    lengths : array_like of int, shape (N,), optional
        For an array X: how many of the T steps each sequence has, at least 1.
    dtype : dtype or None
        Of the frames; None keeps theirs.
    fitted : bool
        Whether X must have the ``n_features_in_`` of the estimator.
    finite : bool
        Whether NaN and infinity are refused.

    Raises
    ------
    ValueError, TypeError
        X is of no such form, has nothing in it, has what is not finite, or is sparse or masked; or
        what should be numbers are none.
    """
    frames, counts = _laid_out(estimator, X, lengths)
    options = {"dtype": dtype, "order": "C", "ensure_all_finite": finite}
    with nullcontext() if dtype is None else numbers(frames, "X"):
        if fitted:
            frames = validate_data(estimator, frames, reset=False, **options)
        else:
            frames = check_array(frames, estimator=estimator, input_name="X", **options)
    return Sequences(frames, np.cumsum(counts) - counts, counts)


def _laid_out(estimator: Any, X: Any, lengths: ArrayLike | None) -> tuple[NDArray[Any], Indices]:
    """Give all frames one after another, of any dtype yet, and the count of each sequence."""
    if issparse(X):
        check_array(X, accept_sparse=False, estimator=estimator, input_name="X")  # raises
    is_list = isinstance(X, list | tuple)
    array = None if is_list else as_ndarray(X, "X")
    if array is not None and not (array.ndim == 1 and array.dtype == object):
        return _of_an_array(array, lengths)
    if lengths is not None:
        raise ValueError(
            "lengths= is for an array X: the arrays of a list have lengths of their own"
        )
    return _of_a_list(X if array is None else array)


def _of_an_array(array: NDArray[Any], lengths: ArrayLike | None) -> tuple[NDArray[Any], Indices]:
    if array.ndim != 3:
        text = f"Expected 3D array, got {array.ndim}D array instead. {FORMS}. Reshape your data"
        if array.ndim == 2:
            text += (
                ": X[:, :, None] where a column of X is a step, X[:, None, :] where a row is a "
                "sequence of one step, [X] where X is one sequence"
            )
        raise ValueError(text)
    N, T, features = array.shape
    if N and not T:
        raise ValueError(
            f"Found array with 0 step(s) (shape={array.shape}) while at least 1 is needed"
        )
    if lengths is None:
        # What has no features has no size that tells N * T.
        return array.reshape(N * T, features), np.full(N, T)
    counts = _checked_lengths(lengths, array)
    return array[np.arange(T) < counts[:, None]], counts


def _checked_lengths(lengths: ArrayLike, array: NDArray[Any]) -> Indices:
    counts = np.asarray(lengths)
    if counts.ndim != 1 or (counts.size and counts.dtype.kind not in "iu"):
        raise ValueError(f"lengths should be 1-D integers, got {counts.ndim}-D {counts.dtype}")
    check_consistent_length(array, counts)
    outside = np.flatnonzero((counts < 1) | (counts > array.shape[1]))
    if outside.size:
        row = int(outside[0])
        raise ValueError(
            f"lengths should be between 1 and n_steps={array.shape[1]}, but lengths[{row}] is "
            f"{counts[row]}"
        )
    return counts.astype(np.int64)


def _of_a_list(given: Any) -> tuple[NDArray[Any], Indices]:
    if not len(given):
        raise ValueError(f"Found array with 0 sample(s) while a minimum of 1 is required. {FORMS}")
    arrays = [_one(value, row) for row, value in enumerate(given)]
    features = arrays[0].shape[1]
    for row, array in enumerate(arrays):
        if array.shape[1] != features:
            raise ValueError(
                f"All sequences should have the same features: X[0] has {features}, X[{row}] has "
                f"{array.shape[1]}"
            )
    return np.concatenate(arrays), np.array([len(array) for array in arrays])


def _one(value: Any, row: int) -> NDArray[Any]:
    if issparse(value):
        raise TypeError(f"Sparse data was passed as X[{row}], but dense data is required")
    name = f"X[{row}]"
    array = np.asarray(value) if isinstance(value, list | tuple) else as_ndarray(value, name)
    if array.ndim != 2:
        raise ValueError(f"{FORMS}, but {name} is {array.ndim}D")
    if not len(array):
        raise ValueError(f"{name} has 0 step(s) (shape={array.shape}), needs at least 1")
    return array

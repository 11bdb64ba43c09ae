"""What stands for a whole sequence: one row of features out of an LSTM's results.

Owns the poolings and their derivatives. Must not know how a network is called, nor heads.

Shapes: N sequences, F frames, D directions, P features of a direction, L layers.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lstm_native.packing import PackedSequence, _frames

Array: TypeAlias = NDArray[Any]
# What `LSTM.backward` takes: the gradients of the output, and of (h_n, c_n).
Seed: TypeAlias = tuple[Array | None, tuple[Array | None, Array | None] | None]
Pooled: TypeAlias = tuple[Array, Callable[[Array], Seed]]


def last(output: PackedSequence, h_n: Array, directions: int) -> Pooled:
    """Give the state after the last step; of both directions, each where it ends."""
    states = h_n[-directions:]

    def pull(grad: Array) -> Seed:
        grad_h = np.zeros_like(h_n)
        grad_h[-directions:] = np.stack(np.split(grad, directions, axis=1))
        return None, (grad_h, None)

    return np.concatenate(list(states), axis=1), pull


def mean(output: PackedSequence, h_n: Array, directions: int) -> Pooled:
    """Give the mean of the output over all steps."""
    # Step by step, in float64: a row's bits must not depend on the rows beside it.
    total = np.zeros((int(output.batch_sizes[0]), output.data.shape[1]))
    count = np.zeros(len(total), np.int64)
    for _, frames in _steps(output):
        total[: len(frames)] += frames
        count[: len(frames)] += 1
    result = (total / count[:, None]).astype(output.data.dtype)

    def pull(grad: Array) -> Seed:
        row, _ = _frames(output.batch_sizes, None)
        share = (grad[output.sorted_indices] / count[:, None]).astype(grad.dtype)
        return share.take(row, axis=0), None

    return result[output.unsorted_indices], pull


def maximum(output: PackedSequence, h_n: Array, directions: int) -> Pooled:
    """Give the largest value of each feature over all steps; its first, where it has several."""
    best = np.full((int(output.batch_sizes[0]), output.data.shape[1]), -np.inf, output.data.dtype)
    frame = np.zeros(best.shape, np.int64)
    for start, frames in _steps(output):
        N = len(frames)
        better = frames > best[:N]
        np.copyto(best[:N], frames, where=better)
        np.copyto(frame[:N], start + np.arange(N)[:, None], where=better)

    def pull(grad: Array) -> Seed:
        grad_output = np.zeros_like(output.data)
        grad_output[frame, np.arange(frame.shape[1])] = grad[output.sorted_indices]
        return grad_output, None

    return best[output.unsorted_indices], pull


POOLINGS = {"last": last, "mean": mean, "max": maximum}


def _steps(output: PackedSequence) -> Iterator[tuple[int, Array]]:
    """Walk over the steps: the first frame of each, and its frames, the longest sequence first."""
    start = 0
    for count in output.batch_sizes.tolist():
        yield start, output.data[start : start + count]
        start += count

"""What stands for a whole sequence: one row of features out of an LSTM's results.

Owns the poolings and their derivatives. Must not know how a network is called, nor heads.

Shapes: N sequences, F frames, D directions, P features of a direction, L layers.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lstm_native.packing import PackedSequence, _conjugate, _frames

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
    N = int(output.batch_sizes[0])
    count = _conjugate(output.batch_sizes, N)[:, None]  # of steps, the longest sequence first
    # Step by step, in float64: a row's bits must not depend on the rows beside it.
    total = np.zeros((N, output.data.shape[1]))
    for frames in _steps(output, output.data):
        total[: len(frames)] += frames
    result = (total / count).astype(output.data.dtype)

    def pull(grad: Array) -> Seed:
        row, _ = _frames(output.batch_sizes, None)
        share = (grad[output.sorted_indices] / count).astype(grad.dtype)
        return share.take(row, axis=0), None

    return result[output.unsorted_indices], pull


def maximum(output: PackedSequence, h_n: Array, directions: int) -> Pooled:
    """Give the largest value of each feature over all steps."""
    steps = _steps(output, output.data)
    best = next(steps).copy()
    for frames in steps:
        np.maximum(best[: len(frames)], frames, out=best[: len(frames)])

    def pull(grad: Array) -> Seed:
        # To the first step that has the largest value.
        grad_output = np.zeros_like(output.data)
        left = grad[output.sorted_indices]
        both = zip(_steps(output, output.data), _steps(output, grad_output), strict=True)
        for frames, grad_frames in both:
            N = len(frames)
            np.copyto(grad_frames, left[:N], where=frames == best[:N])
            left[:N][frames == best[:N]] = 0
        return grad_output, None

    return best[output.unsorted_indices], pull


POOLINGS = {"last": last, "mean": mean, "max": maximum}


def _steps(output: PackedSequence, data: Array) -> Iterator[Array]:
    """Walk over the steps of packed data: the frames of each, the longest sequence first."""
    start = 0
    for count in output.batch_sizes.tolist():
        yield data[start : start + count]
        start += count

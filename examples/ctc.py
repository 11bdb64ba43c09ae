"""Connectionist temporal classification: sequences of labels without saying where each one is.

Graves, Fernández, Gomez and Schmidhuber 2006. Of K classes the last is the blank. A path names one
class for every step; with repetitions merged and then blanks dropped it spells labels, and the
likelihood of labels is the sum over all paths that spell them.

Owns that likelihood, its gradient as an autograd primitive, and both ways of decoding. Must not
know what labels mean.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from autograd.extend import defvjp, primitive
from numpy.typing import NDArray

Array = NDArray[Any]
Labels = Sequence[Sequence[int]]


def log_softmax(scores: Array) -> Array:
    """Log-probabilities from scores, over the last axis, in float64."""
    shifted = scores.astype(np.float64) - scores.max(axis=-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


class _Trellis:
    """What paths go through: a blank, a label, a blank, a label, ..., a blank, for each row."""

    def __init__(self, scores: Array, lengths: Array, labels: Labels) -> None:
        steps, rows, classes = scores.shape
        self.lengths, self.rows = lengths, np.arange(rows)
        self.ends = 2 * np.array([len(row) for row in labels])  # the last place, a blank
        self.classes = np.full((rows, self.ends.max() + 1), classes - 1)
        for places, row in zip(self.classes, labels, strict=True):
            places[1 : 2 * len(row) : 2] = row
        # From one label straight to the next, but not between equal ones.
        self.skips = np.zeros(self.classes.shape, bool)
        self.skips[:, 3::2] = self.classes[:, 3::2] != self.classes[:, 1:-2:2]
        self.log_softmax = log_softmax(scores)
        self.emitted = np.take_along_axis(  # (T, N, places)
            self.log_softmax, np.broadcast_to(self.classes, (steps, *self.classes.shape)), axis=2
        )

    def forward(self) -> Array:
        """Log-probabilities (T, N, places) of all beginnings that are at a place at a step."""
        alpha = np.full_like(self.emitted, -np.inf)
        alpha[0, :, :2] = self.emitted[0, :, :2]
        for t in range(1, len(alpha)):
            before = alpha[t - 1]
            alpha[t, :, 0] = before[:, 0]
            alpha[t, :, 1:] = np.logaddexp(before[:, 1:], before[:, :-1])
            skipped = np.where(self.skips[:, 2:], before[:, :-2], -np.inf)
            alpha[t, :, 2:] = np.logaddexp(alpha[t, :, 2:], skipped)
            alpha[t] += self.emitted[t]
        return alpha

    def backward(self) -> Array:
        """Log-probabilities (T, N, places) of all that may follow a place at a step."""
        beta = np.full_like(self.emitted, -np.inf)
        for t in range(len(beta) - 1, -1, -1):
            last = self.rows[self.lengths == t + 1]
            beta[t, last, self.ends[last]] = 0
            beta[t, last, np.maximum(self.ends[last] - 1, 0)] = 0
            if t + 1 == len(beta):
                continue
            after = beta[t + 1] + self.emitted[t + 1]
            going = self.rows[self.lengths > t + 1]
            found = after.copy()
            found[:, :-1] = np.logaddexp(after[:, :-1], after[:, 1:])
            skipped = np.where(self.skips[:, 2:], after[:, 2:], -np.inf)
            found[:, :-2] = np.logaddexp(found[:, :-2], skipped)
            beta[t, going] = found[going]
        return beta

    def total(self, alpha: Array) -> Array:
        """Log-likelihoods (N,) of the labels."""
        at_end = alpha[self.lengths - 1, self.rows]
        ends = self.ends, np.maximum(self.ends - 1, 0)
        blank, label = (at_end[self.rows, end] for end in ends)
        # Without labels both are the same place.
        result: Array = np.where(self.ends > 0, np.logaddexp(blank, label), blank)
        return result


@primitive  # type: ignore[untyped-decorator]
def log_likelihood(scores: Array, lengths: Array, labels: Labels) -> Array:
    """Score each row's labels.

    Parameters
    ----------
    scores : ndarray, shape (T, N, K)
        Of every class at every step, before the softmax.
    lengths : ndarray of int, shape (N,)
        Steps of each row, 1..T, enough to spell its labels.
    labels : sequence of sequences of int
        Those of each row, each from 0 to K - 2.

    Returns
    -------
    ndarray, shape (N,)
        Their log-likelihoods; differentiable by the scores.
    """
    trellis = _Trellis(scores, lengths, labels)
    return trellis.total(trellis.forward())


def _gradient(_: Array, scores: Array, lengths: Array, labels: Labels) -> Any:
    trellis = _Trellis(scores, lengths, labels)
    alpha, beta = trellis.forward(), trellis.backward()
    through = np.exp(alpha + beta - trellis.total(alpha)[:, None])  # of all paths, by place
    expected = np.zeros(scores.shape)
    rows = trellis.rows[:, None]
    for t in range(len(scores)):
        np.add.at(expected[t], (rows, trellis.classes), through[t])
    expected -= np.exp(trellis.log_softmax)
    expected[np.arange(len(scores))[:, None] >= lengths] = 0
    return lambda given: (given[:, None] * expected).astype(scores.dtype)


defvjp(log_likelihood, _gradient, argnums=(0,))


def greedy(scores: Array) -> list[int]:
    """Spell the path of the best class at every step; scores (T, K) of one row."""
    best = scores.argmax(axis=-1)
    changed = np.concatenate(([True], best[1:] != best[:-1]))
    return [int(label) for label in best[changed] if label != scores.shape[-1] - 1]


def beam(scores: Array, width: int) -> list[int]:
    """Find likely labels of one row, scores (T, K), summing over the paths that spell them.

    A prefix beam search: of all beginnings the `width` likeliest go on.
    """
    blank = scores.shape[-1] - 1
    # The likelihood of a beginning's paths that end in a blank, and of those that do not.
    kept: dict[tuple[int, ...], tuple[float, float]] = {(): (1.0, 0.0)}
    for step in np.exp(log_softmax(scores)).tolist():
        grown: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])
        for prefix, (ended, open_) in kept.items():
            both = ended + open_
            grown[prefix][0] += both * step[blank]
            if prefix:
                grown[prefix][1] += open_ * step[prefix[-1]]
            for label in range(blank):
                # A repetition begins a new label only after a blank.
                before = ended if prefix and prefix[-1] == label else both
                grown[(*prefix, label)][1] += before * step[label]
        best = sorted(grown.items(), key=lambda item: -sum(item[1]))[:width]
        scale = math.fsum(one for _, pair in best for one in pair)
        kept = {prefix: (a / scale, b / scale) for prefix, (a, b) in best}
    return list(max(kept.items(), key=lambda item: sum(item[1]))[0])

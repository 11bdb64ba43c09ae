"""A linear-chain conditional random field over ragged batches, in autograd.numpy.

Owns the likelihood of a sequence of tags and the search for the best one. Must not know what the
tags mean or where emissions come from.

In the shapes below S is steps, N the batch and K the number of tags. Emissions (S, N, K) score each
tag at each step, transitions (K, K) a tag (row) followed by another (column), start and end (K,)
the first and the last tag. Row n has ``lengths[n] >= 1`` steps; what stands behind them is not
read. The score of a sequence of tags is the sum of all these; its probability is the exponential
of that, over the sum for all sequences of the same length.
"""

from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np
from numpy.typing import NDArray


class Chain(NamedTuple):
    """The parameters beside the emissions: (K, K), (K,) and (K,), or autograd's boxes of them."""

    transitions: Any
    start: Any
    end: Any


def log_likelihood(
    emissions: Any, chain: Chain, tags: NDArray[np.int64], lengths: NDArray[np.int64]
) -> Any:
    """Compute the log probability of each row's tags.

    Parameters
    ----------
    emissions : array, shape (S, N, K)
        May be autograd's box.
    chain : Chain
        The other scores.
    tags : ndarray of int, shape (S, N)
        The right tags; any valid ones behind a row's end.
    lengths : ndarray of int, shape (N,)
        Steps of each row.

    Returns
    -------
    array, shape (N,)
        At most 0.
    """
    return score(emissions, chain, tags, lengths) - log_partition(emissions, chain, lengths)


def score(emissions: Any, chain: Chain, tags: NDArray[np.int64], lengths: NDArray[np.int64]) -> Any:
    """Add up the scores of each row's tags: (N,)."""
    live = alive(len(tags), lengths)
    # One-hot products, not indices: their gradients are products too, and add nothing twice.
    chosen = (np.eye(emissions.shape[2])[tags] * live[..., None]).astype(emissions.dtype)
    last = tags[lengths - 1, np.arange(len(lengths))]
    pairs = anp.einsum("snj,jk,snk->n", chosen[:-1], chain.transitions, chosen[1:])
    ends = chain.start[tags[0]] + chain.end[last]
    return anp.sum(emissions * chosen, axis=(0, 2)) + pairs + ends


def log_partition(emissions: Any, chain: Chain, lengths: NDArray[np.int64]) -> Any:
    """Sum over all sequences of tags by the forward algorithm: the log of the sum, (N,)."""
    live = alive(len(emissions), lengths)
    forward = chain.start + emissions[0]  # (N, K): all sequences that end in k so far
    for step in range(1, len(emissions)):
        longer = log_sum_exp(forward[:, :, None] + chain.transitions, axis=1) + emissions[step]
        forward = anp.where(live[step][:, None], longer, forward)
    return log_sum_exp(forward + chain.end, axis=1)


def viterbi(
    emissions: NDArray[Any], chain: Chain, lengths: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """Find each row's tags of the highest score, of its own length."""
    live = alive(len(emissions), lengths)
    stay = np.broadcast_to(np.arange(emissions.shape[2]), emissions.shape[1:])
    best = chain.start + emissions[0]
    origins = []
    for step in range(1, len(emissions)):
        paths = best[:, :, None] + chain.transitions
        longer = paths.max(axis=1) + emissions[step]
        best = np.where(live[step][:, None], longer, best)
        origins.append(np.where(live[step][:, None], paths.argmax(axis=1), stay))
    tag = (best + chain.end).argmax(axis=1)
    found = [tag]
    for origin in reversed(origins):
        tag = origin[np.arange(len(tag)), tag]
        found.append(tag)
    tags = np.stack(found[::-1])
    return [tags[:length, row] for row, length in enumerate(lengths)]


def alive(steps: int, lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which steps are inside each row: (S, N)."""
    return np.arange(steps)[:, None] < lengths


def log_sum_exp(values: Any, axis: int) -> Any:
    """Compute log(sum(exp(values))) without overflow."""
    largest = anp.max(values, axis=axis, keepdims=True)
    return anp.log(anp.sum(anp.exp(values - largest), axis=axis)) + anp.squeeze(largest, axis)

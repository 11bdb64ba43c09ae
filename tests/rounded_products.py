"""Products of rounded factors in NumPy, and one step of an LSTM made of them.

Owns what "int8", "medium" and "high" mean. Must not know who is tested.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_native import LSTM
from reference import bfloat16

F32 = np.float32
Product = Callable[[NDArray[F32], NDArray[F32]], NDArray[np.float64]]


def bytes_of(rows: NDArray[F32]) -> tuple[NDArray[np.int64], NDArray[F32]]:
    """Rows as integers of 8 bits, and what they are to be multiplied with."""
    most = np.abs(rows).max(axis=1, initial=0).astype(F32)
    small = most < F32(1e-36)
    most = np.where(small, F32(1), most)
    integers = np.rint(rows * (F32(127) / most)[:, None]).astype(np.int64)
    return np.where(small[:, None], 0, integers), np.where(small, F32(0), most / F32(127))


def of_bytes(rows: NDArray[F32], matrix: NDArray[F32]) -> NDArray[np.float64]:
    (a, a_scale), (b, b_scale) = bytes_of(rows), bytes_of(matrix)
    return (a @ b.T) * np.multiply.outer(a_scale, b_scale).astype(np.float64)


def parts_of(values: NDArray[F32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The nearest bfloat16, and that nearest to what is left."""
    first = bfloat16(np.ascontiguousarray(values))
    return first.astype(np.float64), bfloat16(values - first).astype(np.float64)


def of_bfloat16(rows: NDArray[F32], matrix: NDArray[F32]) -> NDArray[np.float64]:
    return parts_of(rows)[0] @ parts_of(matrix)[0].T


def of_two_parts(rows: NDArray[F32], matrix: NDArray[F32]) -> NDArray[np.float64]:
    """All products of parts but that of the two second ones."""
    (a, rest_of_a), (b, rest_of_b) = parts_of(rows), parts_of(matrix)
    return a @ (b + rest_of_b).T + rest_of_a @ b.T


def before(states: NDArray[F32], first: NDArray[F32], *, reverse: bool) -> NDArray[F32]:
    """The states that steps began with: those of the steps before, (T, N, features)."""
    if reverse:
        return np.concatenate((states[1:], first[None]))
    return np.concatenate((first[None], states[:-1]))


def steps(
    lstm: LSTM, x: NDArray[F32], state: Any, product: Product
) -> list[tuple[NDArray[F32], NDArray[F32]]]:
    """Every step of every layer and direction again, each from what the network had before it.

    So nothing adds up, and no rounding of one step turns that of another. Gives pairs (the
    network's, what it should be): c, and what comes out, of each layer and direction.
    """
    T, N, _ = x.shape
    H, P, D = lstm.hidden_size, lstm.proj_size or lstm.hidden_size, 1 + lstm.bidirectional
    _, _, layers, cells = lstm(x, state, return_layers=True, return_cells=True)
    pairs = []
    for index, (weights, h_0, c_0) in enumerate(zip(lstm.all_weights, *state, strict=True)):
        layer, direction = divmod(index, D)
        w_ih, w_hh, b_ih, b_hh, *w_hr = weights
        h = layers[layer][..., direction * P : (direction + 1) * P]
        c = cells[layer][..., direction * H : (direction + 1) * H]
        given = x if layer == 0 else layers[layer - 1]
        from_h, from_c = (before(*both, reverse=direction == 1) for both in ((h, h_0), (c, c_0)))
        z = (b_ih + b_hh).astype(np.float64) + product(given.reshape(T * N, -1), w_ih)
        z += product(from_h.reshape(T * N, -1), w_hh)
        i, f, o = (1 / (1 + np.exp(-z[:, k * H : (k + 1) * H])) for k in (0, 1, 3))
        new_c = f * from_c.reshape(T * N, H) + i * np.tanh(z[:, 2 * H : 3 * H])
        new_h = o * np.tanh(new_c)
        if w_hr:
            new_h = product(new_h.astype(F32), w_hr[0])
        pairs += [(c, new_c.reshape(c.shape)), (h, new_h.reshape(h.shape))]
    return pairs

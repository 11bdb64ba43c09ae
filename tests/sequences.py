"""Sequences to learn from, and estimators that learn quickly.

Owns what the tests of lstm_native.sklearn have in common.
"""

from typing import Any

import numpy as np

# Short and without a warning: a falling rate ends when it is meant to.
QUICK: dict[str, Any] = {
    "hidden_size": 8, "max_iter": 10, "learning_rate": "linear", "learning_rate_init": 0.02,
    "random_state": 0,
}  # fmt: skip


def ragged(count: int = 60, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Sequences that drift up or down, and which."""
    rng = np.random.default_rng(seed)
    up = rng.integers(0, 2, count)
    X = [
        rng.normal(sign, 1, (n, 3)).astype(np.float32)
        for sign, n in zip(2 * up - 1, rng.integers(3, 12, count), strict=True)
    ]
    return X, np.array(["down", "up"])[up]


def padded(X: list[np.ndarray], fill: float = np.nan) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.array([len(x) for x in X])
    result = np.full((len(X), lengths.max(), X[0].shape[1]), fill, np.float32)
    for row, x in zip(result, X, strict=True):
        row[: len(x)] = x
    return result, lengths


def objects(X: list[np.ndarray]) -> np.ndarray:
    result = np.empty(len(X), object)
    result[:] = X
    return result


def bits(estimator: Any) -> bytes:
    arrays = (estimator.lstm_.flat_parameters, estimator.coef_, estimator.intercept_)
    return b"".join(array.tobytes() for array in arrays)

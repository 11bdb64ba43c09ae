"""A linear layer on top of an LSTM: from features to scores, and back.

Owns its equations, the softmax loss of its scores, and their derivatives; must not know LSTMs, nor
what scores and features stand for.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

# Features that are summed at a time: einsum may cut longer rows where its buffer ends, and where
# that is depends on the rows before.
PIECE = 8192


class HeadGradients(NamedTuple):
    """Derivatives of the loss by the head's input and parameters, each of its namesake's shape."""

    features: NDArray[Any]
    weight: NDArray[Any]
    bias: NDArray[Any]


class Head:
    """C scores from F features.

    Parameters
    ----------
    weight : ndarray, shape (C, F)
        One row of weights for each score.
    bias : ndarray, shape (C,)
        One offset for each score.
    """

    def __init__(self, weight: NDArray[Any], bias: NDArray[Any]) -> None:
        self.weight = weight
        self.bias = bias

    def __repr__(self) -> str:
        scores, features = self.weight.shape
        return f"Head({features}, {scores})"

    @classmethod
    def random(
        cls,
        features: int,
        scores: int,
        generator: np.random.Generator | np.random.RandomState,
        dtype: Any = np.float32,
    ) -> Self:
        """Draw weights and biases from U(-1/sqrt(F), 1/sqrt(F)), as torch's ``nn.Linear`` does."""
        bound = features**-0.5
        weight = generator.uniform(-bound, bound, (scores, features)).astype(dtype)
        bias = generator.uniform(-bound, bound, scores).astype(dtype)
        return cls(weight, bias)

    def scores(self, features: NDArray[Any]) -> NDArray[Any]:
        """Apply the layer; a row's bits do not depend on the other rows.

        Parameters
        ----------
        features : ndarray, shape (N, F) or (F,)
            Of N rows, or of one.

        Returns
        -------
        ndarray, shape (N, C) or (C,)
        """
        # einsum rather than `@`: it does not call BLAS, whose bits depend on the number of rows and
        # may depend on its threads.
        features = np.ascontiguousarray(features)
        count, width = self.weight.shape
        scores = np.zeros((*features.shape[:-1], count), np.result_type(features, self.weight))
        for start in range(0, width, PIECE):
            piece = slice(start, start + PIECE)
            scores += np.einsum("...f,cf->...c", features[..., piece], self.weight[:, piece])
        scores += self.bias
        return scores

    def backward(self, features: NDArray[Any], grad_scores: NDArray[Any]) -> HeadGradients:
        """Differentiate :meth:`scores` of `features` (N, F), given the gradient of its result."""
        return HeadGradients(
            features=np.einsum("nc,cf->nf", grad_scores, self.weight),
            weight=np.einsum("nc,nf->cf", grad_scores, features),
            bias=grad_scores.sum(axis=0),
        )

    def state_dict(self, *, prefix: str = "") -> dict[str, NDArray[Any]]:
        """Name the parameters, as torch's ``nn.Linear`` would."""
        return {f"{prefix}weight": self.weight, f"{prefix}bias": self.bias}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, NDArray[Any]], prefix: str = "") -> Self:
        """Take ``weight`` and ``bias`` from a state dict, each under `prefix`."""
        return cls(state[f"{prefix}weight"], state[f"{prefix}bias"])


def softmax(scores: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Probabilities of N rows of scores (N, C), and their logarithms."""
    logarithms = scores - scores.max(axis=1, keepdims=True)
    probabilities = np.exp(logarithms)
    total = probabilities.sum(axis=1, keepdims=True)
    probabilities /= total
    logarithms -= np.log(total)
    return probabilities, logarithms


def cross_entropy(
    scores: NDArray[Any], labels: NDArray[np.int64], weights: NDArray[Any] | None = None
) -> tuple[float, NDArray[Any]]:
    """Compute the mean of -log(probability of the right class) over N rows, and its gradient.

    Parameters
    ----------
    scores : ndarray, shape (N, C)
    labels : ndarray of int64, shape (N,)
        The right classes.
    weights : ndarray, shape (N,), optional
        What each row counts; the mean is over N all the same.

    Returns
    -------
    loss : float
    grad_scores : ndarray, shape (N, C)
    """
    probabilities, logarithms = softmax(scores)
    rows = np.arange(len(labels))
    losses = -logarithms[rows, labels]
    # d loss / d scores = (probabilities - one_hot(labels)) / N
    grad_scores = probabilities
    grad_scores[rows, labels] -= 1
    if weights is not None:
        losses *= weights
        grad_scores *= weights[:, None]
    grad_scores /= len(labels)
    return float(losses.mean()), grad_scores

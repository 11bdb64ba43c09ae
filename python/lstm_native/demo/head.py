"""A linear layer with softmax: from features to one of ten digits.

Owns the head's equations and their derivatives; knows nothing of LSTMs or images.
"""

from collections.abc import Mapping
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray


class HeadGradients(NamedTuple):
    """Derivatives of the loss by the head's input and parameters, each of its namesake's shape."""

    features: NDArray[np.float32]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]


class Head:
    """Ten scores from F features.

    Parameters
    ----------
    weight : ndarray of float32, shape (10, F)
        One row of weights for each class.
    bias : ndarray of float32, shape (10,)
        One offset for each class.
    """

    def __init__(self, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        self.weight = weight
        self.bias = bias

    def __repr__(self) -> str:
        classes, features = self.weight.shape
        return f"Head({features}, {classes})"

    @classmethod
    def random(cls, features: int, classes: int, generator: np.random.Generator) -> Self:
        """Draw weights and biases from U(-1/sqrt(F), 1/sqrt(F)), as torch's ``nn.Linear`` does."""
        bound = features**-0.5
        weight = generator.uniform(-bound, bound, (classes, features)).astype(np.float32)
        bias = generator.uniform(-bound, bound, classes).astype(np.float32)
        return cls(weight, bias)

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score every class.

        Parameters
        ----------
        features : ndarray of float32, shape (N, F) or (F,)
            What the LSTM made of N images, or of one.

        Returns
        -------
        ndarray of float32, shape (N, 10) or (10,)
            The largest score names the digit.
        """
        # einsum rather than `@`: it does not call BLAS, whose bits may depend on its threads, and
        # the demo promises the same figures every time.
        scores: NDArray[np.float32] = np.einsum("...f,cf->...c", features, self.weight)
        return scores + self.bias

    def loss(
        self, features: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> tuple[float, HeadGradients]:
        """Compute the mean cross-entropy of N images and its gradients.

        Parameters
        ----------
        features : ndarray of float32, shape (N, F)
            What the LSTM made of the images.
        labels : ndarray of int64, shape (N,)
            The digits they show.

        Returns
        -------
        loss : float
            Mean of -log(probability of the right digit).
        gradients : HeadGradients
            Its derivatives.
        """
        scores = self.scores(features)
        scores -= scores.max(axis=1, keepdims=True)
        probabilities = np.exp(scores)
        total = probabilities.sum(axis=1, keepdims=True)
        probabilities /= total

        rows = np.arange(len(labels))
        loss = float(np.mean(np.log(total[:, 0]) - scores[rows, labels]))

        # d loss / d scores = (probabilities - one_hot(labels)) / N
        grad_scores = probabilities
        grad_scores[rows, labels] -= 1
        grad_scores /= len(labels)
        return loss, HeadGradients(
            features=np.einsum("nc,cf->nf", grad_scores, self.weight),
            weight=np.einsum("nc,nf->cf", grad_scores, features),
            bias=grad_scores.sum(axis=0),
        )

    def state_dict(self, *, prefix: str = "") -> dict[str, NDArray[np.float32]]:
        """Name the parameters, as torch's ``nn.Linear`` would."""
        return {f"{prefix}weight": self.weight, f"{prefix}bias": self.bias}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, NDArray[np.float32]], prefix: str = "") -> Self:
        """Take ``weight`` and ``bias`` from a state dict, each under `prefix`."""
        return cls(state[f"{prefix}weight"], state[f"{prefix}bias"])

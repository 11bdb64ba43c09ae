"""Adam and AdamW.

Owns their one update rule and their hyperparameters. Must not know how arrays are walked over or
checked.
"""

import math

import numpy as np

from lstm_native.optim.arrays import Array, Arrays
from lstm_native.optim.optimizer import Optimizer, number


class Adam(Optimizer):
    """Adam, as ``torch.optim.Adam``.

    Parameters
    ----------
    parameters : ndarray or iterable of ndarray
        float32 or float64, changed in place by every `step`.
    lr : float
        Learning rate.
    betas : pair of float
        Decay of the running means of g and of g * g.
    eps : float
        Added to the square root of the latter.
    weight_decay : float
        Added to the gradient: weight_decay * p.
    amsgrad : bool
        Divide by the largest mean of g * g so far.
    maximize : bool
        Climb in place of descending.

    Raises
    ------
    ValueError, TypeError
        A hyperparameter is out of its range (torch's messages), or an array cannot be a parameter.

    Examples
    --------
    >>> w = np.array([1.0, 2.0])
    >>> adam = Adam(w, lr=0.1)
    >>> adam.step(np.array([3.0, -4.0]))  # the first step has the size of lr
    >>> np.round(w, 6)
    array([0.9, 2.1])
    """

    _names = ("lr", "betas", "eps", "weight_decay", "amsgrad", "maximize")
    _decoupled = False

    def __init__(
        self,
        parameters: Arrays,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        self.lr = lr
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        self.amsgrad = amsgrad
        self.maximize = maximize
        super().__init__(parameters)

    def _check_hyperparameters(self) -> None:
        self.lr = number(self.lr, "learning rate")
        self.eps = number(self.eps, "epsilon value")
        if not isinstance(self.betas, tuple | list) or len(self.betas) != 2:
            raise TypeError(f"betas should be a pair of numbers, got: {self.betas}")
        first, second = self.betas
        self.betas = (
            number(first, "beta parameter at index 0", below=1),
            number(second, "beta parameter at index 1", below=1),
        )
        self.weight_decay = number(self.weight_decay, "weight_decay value")
        self.amsgrad, self.maximize = bool(self.amsgrad), bool(self.maximize)

    def _slots(self) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", *(("max_exp_avg_sq",) if self.amsgrad else ()))

    def _update(self, step: int, p: Array, g: Array, scratch: Array, *state: Array) -> None:
        own, term = scratch
        mean, square, *largest = state
        first, second = self.betas
        if self.maximize:
            g = np.negative(g, out=own)
        if self.weight_decay and self._decoupled:
            p *= 1 - self.lr * self.weight_decay
        elif self.weight_decay:
            g = np.add(g, np.multiply(p, self.weight_decay, out=term), out=own)

        np.subtract(g, mean, out=term)
        mean += np.multiply(term, 1 - first, out=term)
        square *= second
        np.multiply(g, g, out=term)
        square += np.multiply(term, 1 - second, out=term)
        if largest:
            square = np.maximum(largest[0], square, out=largest[0])

        np.sqrt(square, out=term)
        term /= math.sqrt(1 - second**step)
        term += self.eps
        np.divide(mean, term, out=term)
        p -= np.multiply(term, self.lr / (1 - first**step), out=term)


class AdamW(Adam):
    """Adam with the decay of weights apart from the gradient, as ``torch.optim.AdamW``.

    Each step multiplies the parameters by 1 - lr * weight_decay.

    Parameters
    ----------
    parameters, lr, betas, eps
        As in `Adam`.
    weight_decay : float
        How much of the parameters a step takes away, per unit of lr.
    amsgrad, maximize
        As in `Adam`.

    Examples
    --------
    >>> w = np.array([1.0, 2.0])
    >>> AdamW(w, lr=0.1, weight_decay=0.5).step(np.zeros(2))
    >>> w
    array([0.95, 1.9 ])
    """

    _decoupled = True

    def __init__(
        self,
        parameters: Arrays,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)

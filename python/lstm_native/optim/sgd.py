"""Stochastic gradient descent.

Owns its update rule and hyperparameters. Must not know how arrays are walked over or checked.
"""

import math

import numpy as np

from lstm_native.optim.arrays import Array, Arrays
from lstm_native.optim.optimizer import Optimizer, number


class SGD(Optimizer):
    """Stochastic gradient descent, as ``torch.optim.SGD``.

    Parameters
    ----------
    parameters : ndarray or iterable of ndarray
        float32 or float64, changed in place by every `step`.
    lr : float
        Learning rate.
    momentum, dampening : float
        b <- momentum * b + (1 - dampening) * g, starting at the first gradient; b replaces g.
    weight_decay : float
        Added to the gradient: weight_decay * p.
    nesterov : bool
        Step along g + momentum * b.
    maximize : bool
        Climb in place of descending.

    Raises
    ------
    ValueError, TypeError
        A hyperparameter is out of its range (torch's messages), or an array cannot be a parameter.

    Examples
    --------
    >>> w = np.array([1.0, 2.0])
    >>> SGD(w, lr=0.1).step(np.array([1.0, -1.0]))
    >>> w
    array([0.9, 2.1])
    """

    _names = ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize")

    def __init__(
        self,
        parameters: Arrays,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        self.lr = lr
        self.momentum = momentum
        self.dampening = dampening
        self.weight_decay = weight_decay
        self.nesterov = nesterov
        self.maximize = maximize
        super().__init__(parameters)

    def _check_hyperparameters(self) -> None:
        self.lr = number(self.lr, "learning rate")
        self.momentum = number(self.momentum, "momentum value")
        self.dampening = number(self.dampening, "dampening value", least=-math.inf)
        self.weight_decay = number(self.weight_decay, "weight_decay value")
        self.nesterov, self.maximize = bool(self.nesterov), bool(self.maximize)
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    def _slots(self) -> tuple[str, ...]:
        return ("momentum_buffer",) if self.momentum else ()

    def _update(self, step: int, p: Array, g: Array, scratch: Array, *state: Array) -> None:
        own, term = scratch
        if self.maximize:
            g = np.negative(g, out=own)
        if self.weight_decay:
            g = np.add(g, np.multiply(p, self.weight_decay, out=term), out=own)
        if self.momentum:
            (b,) = state
            if step == 1:
                b[...] = g
            else:
                b *= self.momentum
                b += np.multiply(g, 1 - self.dampening, out=term)
            g = np.add(g, np.multiply(b, self.momentum, out=term), out=own) if self.nesterov else b
        p -= np.multiply(g, self.lr, out=term)

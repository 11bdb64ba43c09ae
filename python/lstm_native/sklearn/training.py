"""The training loop of the estimators.

Owns the order of examples and steps, the learning rate, when to stop and which weights stay. Must
not know what is learned: the loss and the score on held-out examples are given.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from lstm_native import optim
from lstm_native._progress import progress
from lstm_native.sklearn.model import Model
from lstm_native.sklearn.sequences import Sequences
from lstm_native.sklearn.settings import Settings

Array: TypeAlias = NDArray[Any]


class Examples(NamedTuple):
    """What is learned from.

    Attributes
    ----------
    sequences : Sequences
        N of them.
    targets : ndarray, shape (N,) or (N, C)
        As the loss takes them.
    weights : ndarray, shape (N,), or None
        What each counts; None is 1 each.
    """

    sequences: Sequences
    targets: Array
    weights: Array | None


class Outcome(NamedTuple):
    """How a training went.

    Attributes
    ----------
    state : dict
        Of the optimizer.
    losses, scores : list of float
        Of each epoch; scores are empty where nothing was held out.
    best_score : float or None
        Of the weights that stay, on what was held out.
    remark : Warning or None
        What is to be told once all is in place.
    """

    state: dict[str, Array]
    losses: list[float]
    scores: list[float]
    best_score: float | None
    remark: Warning | None


def train(
    model: Model,
    examples: Examples,
    rows: NDArray[np.int64],
    loss: Callable[..., tuple[float, Array]],
    settings: Settings,
    random: np.random.RandomState,
    *,
    epochs: int,
    state: dict[str, Array] | None,
    validate: Callable[[], float] | None,
) -> Outcome:
    """Train a model in place; it is left in evaluation mode.

    Parameters
    ----------
    model : Model
    examples : Examples
    rows : ndarray of int64
        Which of the examples to learn from.
    loss : callable
        ``loss(scores, targets, weights)`` gives the mean of a batch and its gradient.
    settings : Settings
    random : RandomState
        Where the order of the rows is drawn from.
    epochs : int
        How often to go over all rows, at most.
    state : dict or None
        Of the optimizer, from an earlier call: the model goes on, and its weights count among those
        that may stay.
    validate : callable or None
        Gives the model's score on what it does not learn from: the larger, the better. The weights
        of the best epoch stay.

    Returns
    -------
    Outcome

    Raises
    ------
    ValueError
        The loss or the weights are not finite any more.
    """
    optimizer = _optimizer(model.arrays(), settings, state)
    watch = _Watch(settings.tol, settings.n_iter_no_change)
    course: list[tuple[float, float]] = []  # loss and merit of an epoch, together
    best: tuple[float, list[Array]] | None = None
    remark: Warning | None = None
    try:
        model.lstm.train()
        if validate is not None and state is not None:
            with model.serving():
                watch.best = validate()
            best = watch.best, [array.copy() for array in model.arrays()]
        with progress(epochs, shown=settings.verbose) as report:
            for epoch in range(epochs):
                if settings.learning_rate == "linear":
                    optimizer.lr = settings.learning_rate_init * (1 - epoch / epochs)
                order = random.permutation(rows) if settings.shuffle else rows
                value = _epoch(model, optimizer, examples, order, loss, settings)
                check_finite(value, *model.arrays())
                figures, merit = {"loss": value}, -value
                if validate is not None:
                    with model.serving():
                        merit = figures["score"] = validate()
                    if merit >= watch.best or best is None:
                        best = merit, [array.copy() for array in model.arrays()]
                course.append((value, merit))
                report(**figures)
                if watch.over(merit):
                    break
            else:
                # Only where they might have stopped before.
                if epochs > settings.n_iter_no_change + 1 and settings.learning_rate == "constant":
                    remark = ConvergenceWarning(
                        f"Stochastic Optimizer: Maximum iterations ({epochs}) reached and the "
                        "optimization hasn't converged yet."
                    )
    except KeyboardInterrupt:
        remark = UserWarning("Training interrupted by user.")
    if best is None:
        check_finite(*model.arrays())  # Ctrl-C may have come before an epoch's end
    else:
        for array, kept in zip(model.arrays(), best[1], strict=True):
            array[...] = kept
    model.lstm.eval()
    return Outcome(
        optimizer.state_dict(),
        [value for value, _ in course],
        [merit for _, merit in course] if validate is not None else [],
        None if best is None else best[0],
        remark,
    )


def check_finite(*values: Array | float) -> None:
    """Refuse what a training that ran away computes."""
    if not all(np.isfinite(each).all() for each in values):
        raise ValueError(
            "Solver produced non-finite parameter weights. The input data may contain large "
            "values and need to be preprocessed."
        )


def _epoch(
    model: Model,
    optimizer: optim.Optimizer,
    examples: Examples,
    order: NDArray[np.int64],
    loss: Callable[..., tuple[float, Array]],
    settings: Settings,
) -> float:
    """Go once over the rows in this order; gives their mean loss."""
    sequences, targets, weights = examples
    total = 0.0
    for start in range(0, len(order), settings.batch_size):
        rows = order[start : start + settings.batch_size]
        own = partial(
            loss, targets=targets[rows], weights=None if weights is None else weights[rows]
        )
        value, gradients = model.gradients(sequences.packed(rows), own)
        if settings.max_grad_norm < np.inf:
            optim.clip_grad_norm_(gradients, settings.max_grad_norm)
        optimizer.step(gradients)
        total += value * len(rows)
    return total / len(order)


def _optimizer(
    arrays: list[Array], settings: Settings, state: dict[str, Array] | None
) -> optim.Optimizer:
    options = {"lr": settings.learning_rate_init, "weight_decay": settings.weight_decay}
    kind: Any = {"adam": optim.Adam, "adamw": optim.AdamW, "sgd": optim.SGD}[settings.solver]
    if settings.solver == "sgd":
        options["momentum"] = settings.momentum
    result: optim.Optimizer = kind(arrays, **options)
    # With another kind of state, an optimizer begins anew; Adam and AdamW share theirs.
    if state is not None and set(state) == set(result.state_dict()):
        result.load_state_dict(state)
        for name, value in options.items():
            setattr(result, name, value)
    return result


class _Watch:
    """Whether an epoch has been better than all before, by `tol`, for long enough."""

    def __init__(self, tol: float, patience: float) -> None:
        self.best = -np.inf
        self._tol = tol
        self._patience = patience
        self._idle = 0

    def over(self, merit: float) -> bool:
        """Take note of an epoch, the larger the better; whether it is time to stop."""
        self._idle = 0 if merit > self.best + self._tol else self._idle + 1
        self.best = max(self.best, merit)
        return self._idle > self._patience

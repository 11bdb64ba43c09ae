"""What the estimators share: parameters, fitting, and scores of sequences.

Owns the order in which things are checked, made and kept as attributes. Must not know what scores
mean: classes and values are their own modules' matter.
"""

import copy
import warnings
from abc import ABC, abstractmethod
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_consistent_length, check_is_fitted

from lstm_native import LSTM
from lstm_native._checks import arguments
from lstm_native._head import Head
from lstm_native.parameters import Config
from lstm_native.sklearn.model import Model
from lstm_native.sklearn.numeric import numbers
from lstm_native.sklearn.sequences import read
from lstm_native.sklearn.settings import Settings, checked
from lstm_native.sklearn.training import Examples, Outcome, check_finite, train

Array = NDArray[Any]


class LSTMEstimator(BaseEstimator, ABC):  # type: ignore[misc]
    """The base of LSTMClassifier and LSTMRegressor."""

    lstm_: LSTM
    coef_: Array
    intercept_: Array
    n_features_in_: int
    n_outputs_: int
    best_loss_: float
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    _pooling: str
    _optimizer_state: dict[str, Array]
    # Where the order of sequences is drawn from, and how it stood before some were held out.
    _random: np.random.RandomState
    _division: np.random.RandomState

    def __init__(
        self,
        hidden_size: int = 64,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        proj_size: int = 0,
        dropout: float = 0.0,
        pooling: str = "last",
        solver: str = "adam",
        learning_rate_init: float = 0.005,
        learning_rate: str = "constant",
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        max_grad_norm: float | None = 1.0,
        batch_size: int = 32,
        max_iter: int = 200,
        shuffle: bool = True,
        tol: float = 1e-4,
        n_iter_no_change: float | None = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        verbose: bool = False,
        random_state: Any = None,
        dtype: Any = "float32",
    ) -> None:
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self.dropout = dropout
        self.pooling = pooling
        self.solver = solver
        self.learning_rate_init = learning_rate_init
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.max_grad_norm = max_grad_norm
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state
        self.dtype = dtype

    # --- what an estimator adds ---

    @abstractmethod
    def _targets(
        self, y: Any, settings: Settings, known: dict[str, Any], *, goes_on: bool
    ) -> Array:
        """Check y: what the loss takes. `known` are attributes to set once all is done."""

    @abstractmethod
    def _outputs(self, targets: Array, known: dict[str, Any]) -> int:
        """Count the scores of the head."""

    @abstractmethod
    def _loss(self, scores: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        """Compute the mean loss of a batch and its gradient by the scores."""

    @abstractmethod
    def _merit(self, scores: Array, targets: Array, weights: Array | None) -> float:
        """Say how good scores are, as ``score`` does."""

    def _balanced(self, targets: Array, known: dict[str, Any]) -> Array | None:
        """Give what each example counts beside its sample weight; None is 1 each."""
        return None

    # --- fitting ---

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        lengths: ArrayLike | None,
        *,
        incremental: bool,
        known: dict[str, Any] | None = None,
    ) -> Self:
        settings = checked(self)
        arguments.warn_idle_dropout(
            self.dropout, settings.dropout, settings.num_layers, stacklevel=4
        )
        if incremental and settings.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        goes_on = hasattr(self, "lstm_") and (incremental or settings.warm_start)
        known = {} if known is None else known
        if goes_on:
            self._same_network(settings)
        data = read(self, X, lengths, dtype=settings.dtype, fitted=goes_on)
        # Counts first: what is of another size need not be looked through.
        for given in (y, sample_weight):
            if given is not None:
                check_consistent_length(data, given)
        targets = self._targets(y, settings, known, goes_on=goes_on)
        counted = self._weights(sample_weight)
        check_consistent_length(data, targets, counted)  # what came of them: a length may lie
        random, division = self._generators(goes_on)
        # The same sequences as before are held out, else the score would be of what was learned.
        rows, held_out = self._divided(targets, settings, division if goes_on else random)
        weights = self._weighed(counted, self._balanced(targets, known), rows, settings)
        if not goes_on:
            known |= {"n_features_in_": data.frames.shape[1], "_division": division}
            known |= {"n_outputs_": self._outputs(targets, known)}
        # A network apart, so that an error leaves the estimator as it was.
        model = self._copied(settings) if goes_on else self._new_model(settings, known, random)
        model.lstm.dropout = settings.dropout

        def validate() -> float:
            importance = None if counted is None else counted[held_out]
            scores = model.scores(data.only(held_out))
            check_finite(scores)
            return self._merit(scores, targets[held_out], importance)

        outcome = train(
            model, Examples(data, targets, weights), rows, self._loss, settings, random,
            epochs=1 if incremental else settings.max_iter,
            state=self._optimizer_state if goes_on else None,
            validate=validate if len(held_out) else None,
        )  # fmt: skip
        known |= {"_pooling": model.pooling, "_random": random, "lstm_": model.lstm}
        known |= {"coef_": model.head.weight, "intercept_": model.head.bias}
        self._conclude(outcome, known, settings, goes_on)
        if outcome.remark is not None:
            warnings.warn(outcome.remark, stacklevel=3)
        return self

    def _generators(self, goes_on: bool) -> tuple[np.random.RandomState, np.random.RandomState]:
        """Give where all is drawn from, and a copy of what the held-out sequences come from."""
        if goes_on:
            return copy.deepcopy(self._random), copy.deepcopy(self._division)
        random = check_random_state(self.random_state)
        if not isinstance(self.random_state, Integral):
            # It is the caller's or the process's, who go on drawing from it: one of its own.
            random = np.random.RandomState(random.randint(2**32, dtype=np.int64))
        return random, copy.deepcopy(random)

    def _new_model(
        self, settings: Settings, known: dict[str, Any], random: np.random.RandomState
    ) -> Model:
        config = Config(
            known["n_features_in_"], settings.hidden_size, settings.num_layers, True,
            settings.bidirectional, settings.proj_size,
        )  # fmt: skip
        arguments.allocatable(config, settings.dtype)
        return Model.random(config, known["n_outputs_"], settings.pooling, settings.dtype, random)

    def _copied(self, settings: Settings) -> Model:
        head = Head(np.array(self.coef_), np.array(self.intercept_))
        return Model(copy.deepcopy(self.lstm_), head, settings.pooling)

    def _conclude(
        self, outcome: Outcome, known: dict[str, Any], settings: Settings, goes_on: bool
    ) -> None:
        """Set all attributes at once, with those that say how the fit went."""
        # New lists: those from before may be somebody's.
        losses = [*(self.loss_curve_ if goes_on else []), *outcome.losses]
        scores = [*((self.validation_scores_ if goes_on else None) or []), *outcome.scores]
        best = self.best_loss_ if goes_on else np.inf
        known |= {
            "_optimizer_state": outcome.state,
            "n_iter_": len(losses),
            "loss_curve_": losses,
            "loss_": losses[-1] if losses else np.inf,
            "best_loss_": min([best, *outcome.losses]),
            "validation_scores_": scores if settings.early_stopping else None,
            "best_validation_score_": outcome.best_score,
        }
        self.__dict__.update(known)

    def _same_network(self, settings: Settings) -> None:
        for name in ("hidden_size", "num_layers", "bidirectional", "proj_size", "dtype"):
            now, then = getattr(settings, name), getattr(self.lstm_, name)
            if now != then:
                raise ValueError(
                    f"{name} is {now}, but the network that fitting would go on with has {then}: "
                    "set it back, or fit anew with warm_start=False"
                )

    def _weights(self, sample_weight: ArrayLike | None) -> Array | None:
        if sample_weight is None:
            return None
        with numbers(sample_weight, "sample_weight"):
            weights: Array = check_array(
                sample_weight, dtype=np.float64, ensure_2d=False, input_name="sample_weight",
                estimator=self,
            )  # fmt: skip
        if weights.ndim != 1:
            raise ValueError(f"Sample weights must be a 1D array, got a {weights.ndim}D one")
        if weights.min() < 0:
            raise ValueError("Negative values in data passed to `sample_weight`")
        return weights

    def _weighed(
        self,
        counted: Array | None,
        balanced: Array | None,
        rows: NDArray[np.int64],
        settings: Settings,
    ) -> Array | None:
        """Join sample weights and class weights; their mean over `rows` is 1."""
        if counted is not None and len(rows) < len(counted):
            held_out = np.delete(counted, rows)
            if not held_out.any():
                raise ValueError(
                    "The sample weights for validation set are all zero, consider using a "
                    "different random state."
                )
        kinds = {"Sample weights": counted, "Class weights": balanced}
        factors = {kind: weights for kind, weights in kinds.items() if weights is not None}
        if not factors:
            return None
        (count,) = {len(weights) for weights in factors.values()}
        joined: Array = np.ones(len(rows))
        for kind, weights in factors.items():
            # By the largest first: only ratios count, and neither sum nor product overflows.
            largest = weights[rows].max()
            joined *= weights[rows] / (largest if largest > 0 else 1)
            if not joined.any():
                raise ValueError(f"{kind} must contain at least one non-zero number.")
        result = np.zeros(count, settings.dtype)  # what is held out has none
        result[rows] = joined * (len(rows) / joined.sum())
        return result

    def _divided(
        self, targets: Array, settings: Settings, random: np.random.RandomState
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give the examples to learn from, and those to stop by."""
        rows = np.arange(len(targets))
        if not settings.early_stopping:
            return rows, rows[:0]
        learned, held_out = train_test_split(
            rows,
            test_size=settings.validation_fraction,
            random_state=random,
            stratify=targets if targets.dtype.kind == "i" else None,
        )
        if len(held_out) < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of "
                "your dataset."
            )
        return learned, held_out

    # --- scores ---

    def _scores(self, X: Any, lengths: ArrayLike | None) -> tuple[Array, dict[str, Any]]:
        """Score sequences; with the attributes of the moment whose network did so."""
        check_is_fitted(self)
        # As they are set, all at once: another thread may be about to end a fit.
        fitted = self.__dict__.copy()
        lstm, head = fitted["lstm_"], Head(fitted["coef_"], fitted["intercept_"])
        data = read(self, X, lengths, dtype=lstm.dtype, fitted=True)
        if lstm.training:  # somebody has taken it out to train: others may be using it
            lstm = copy.deepcopy(lstm).eval()
        return Model(lstm, head, fitted["_pooling"]).scores(data), fitted

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags

"""What the estimators share: parameters, fitting, and scores of sequences.

Owns the order in which things are checked, made and kept as attributes. Must not know what scores
mean: classes and values are their own modules' matter.
"""

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_consistent_length, check_is_fitted

from lstm_native import LSTM
from lstm_native._checks import arguments
from lstm_native._head import Head
from lstm_native.parameters import Config
from lstm_native.sklearn.model import Model
from lstm_native.sklearn.sequences import read
from lstm_native.sklearn.settings import Settings, checked
from lstm_native.sklearn.training import Examples, History, train

Array = NDArray[Any]


class LSTMEstimator(BaseEstimator, ABC):  # type: ignore[misc]
    """The base of LSTMClassifier and LSTMRegressor."""

    lstm_: LSTM
    coef_: Array
    intercept_: Array
    n_features_in_: int
    n_outputs_: int
    _pooling: str
    _history: History
    _optimizer_state: dict[str, Array] | None

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
    def _targets(self, y: Any, settings: Settings, known: dict[str, Any]) -> Array:
        """Check y: what the loss takes. `known` are attributes to set once all is checked."""

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
        arguments.warn_idle_dropout(self.dropout, settings.dropout, settings.num_layers)
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
        targets = self._targets(y, settings, known)
        counted = self._weights(sample_weight, targets)
        random = check_random_state(self.random_state)
        rows, held_out = self._divided(targets, settings, random)
        weights = self._weighed(counted, self._balanced(targets, known), rows, settings)
        if goes_on:
            # Copies: the arrays may be a file's, and read-only.
            head = Head(self.coef_.copy(), self.intercept_.copy())
            model = Model(self.lstm_, head, settings.pooling)
        else:
            known |= {"n_features_in_": data.frames.shape[1], "_history": History()}
            known |= {"n_outputs_": self._outputs(targets, known), "_optimizer_state": None}
            model = self._new_model(settings, known, random)
        model.lstm.dropout = settings.dropout
        for name, value in known.items():
            setattr(self, name, value)
        self._pooling = model.pooling
        self.lstm_, self.coef_, self.intercept_ = model.lstm, model.head.weight, model.head.bias

        def validate() -> float:
            importance = None if counted is None else counted[held_out]
            return self._merit(model.scores(data.only(held_out)), targets[held_out], importance)

        self._optimizer_state = train(
            model, Examples(data, targets, weights), rows, self._loss, settings, random,
            self._history,
            epochs=1 if incremental else settings.max_iter,
            state=self._optimizer_state if goes_on else None,
            validate=validate if len(held_out) else None,
        )  # fmt: skip
        self._conclude(settings)
        return self

    def _new_model(
        self, settings: Settings, known: dict[str, Any], random: np.random.RandomState
    ) -> Model:
        config = Config(
            known["n_features_in_"], settings.hidden_size, settings.num_layers, True,
            settings.bidirectional, settings.proj_size,
        )  # fmt: skip
        arguments.allocatable(config, settings.dtype)
        return Model.random(config, known["n_outputs_"], settings.pooling, settings.dtype, random)

    def _conclude(self, settings: Settings) -> None:
        """Set the attributes that say how the fit went."""
        losses, scores = self._history.losses, self._history.scores
        self.n_iter_ = len(losses)
        self.loss_curve_ = list(losses)
        self.loss_ = losses[-1] if losses else np.inf
        self.best_loss_ = min(losses, default=np.inf)
        self.validation_scores_ = list(scores) if settings.early_stopping else None
        self.best_validation_score_ = max(scores, default=None) if settings.early_stopping else None
        model = (self.lstm_.flat_parameters, self.coef_, self.intercept_)
        if not all(np.isfinite(array).all() for array in model):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large "
                "values and need to be preprocessed."
            )

    def _same_network(self, settings: Settings) -> None:
        for name in ("hidden_size", "num_layers", "bidirectional", "proj_size", "dtype"):
            now, then = getattr(settings, name), getattr(self.lstm_, name)
            if now != then:
                raise ValueError(
                    f"{name} is {now}, but the network that fitting would go on with has {then}: "
                    "set it back, or fit anew with warm_start=False"
                )

    def _weights(self, sample_weight: ArrayLike | None, targets: Array) -> Array | None:
        if sample_weight is None:
            return None
        weights: Array = _check_sample_weight(
            sample_weight, targets, dtype=np.float64, ensure_non_negative=True
        )
        return weights

    def _weighed(
        self,
        counted: Array | None,
        balanced: Array | None,
        rows: NDArray[np.int64],
        settings: Settings,
    ) -> Array | None:
        """Join sample weights and class weights; their mean over `rows` is 1."""
        factors = [each for each in (counted, balanced) if each is not None]
        if not factors:
            return None
        weights: Array = np.prod(factors, axis=0)
        total = weights[rows].sum()
        if not 0 < total < np.inf:
            raise ValueError(
                "Sample weights must contain at least one non-zero number, and have a finite sum."
            )
        if counted is not None and len(rows) < len(counted):
            held_out = np.delete(counted, rows)
            if not held_out.any():
                raise ValueError(
                    "The sample weights for validation set are all zero, consider using a "
                    "different random state."
                )
        weights *= len(rows) / total
        return weights.astype(settings.dtype)

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

    def _scores(self, X: Any, lengths: ArrayLike | None) -> Array:
        check_is_fitted(self)
        data = read(self, X, lengths, dtype=self.lstm_.dtype, fitted=True)
        return Model(self.lstm_, Head(self.coef_, self.intercept_), self._pooling).scores(data)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags

"""``LSTMRegressor``: one value, or several, per sequence.

Owns values and the squared error. Must not know how a network is trained.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import check_array, validate_data

from lstm_native.sklearn.base import Array, LSTMEstimator
from lstm_native.sklearn.numeric import numbers
from lstm_native.sklearn.settings import Settings


class LSTMRegressor(RegressorMixin, LSTMEstimator):  # type: ignore[misc]
    """An LSTM that tells a value of a sequence, or several.

    The output of an :class:`lstm_native.LSTM`, pooled over the steps, goes through a linear layer;
    both are trained together on half the squared error. Values far from 0 or of a size far from 1
    take long to learn: ``sklearn.compose.TransformedTargetRegressor`` scales them.

    Parameters
    ----------
    hidden_size, num_layers, bidirectional, proj_size, dropout, pooling
        The network, as in :class:`LSTMClassifier`.
    solver, learning_rate_init, learning_rate, momentum, weight_decay, max_grad_norm
        The optimizer, as there.
    batch_size, max_iter, shuffle, tol, n_iter_no_change, early_stopping, validation_fraction
        The course of training, as there.
    warm_start, verbose, random_state, dtype
        As there.

    Attributes
    ----------
    lstm_ : LSTM
        The trained network, in evaluation mode: to call, stream, `save`.
    coef_, intercept_ : ndarray, shapes (C, F) and (C,)
        The linear layer, for C values from F features.
    n_features_in_ : int
        I.
    n_outputs_ : int
        C.
    n_iter_, loss_, best_loss_, loss_curve_
        Epochs gone through, the mean loss of the last, of the best, and of each.
    validation_scores_, best_validation_score_
        With `early_stopping`, R^2 on held-out sequences after each epoch, and of the weights
        that stayed; else None.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_native.sklearn import LSTMRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(rng.normal(), 1, (n, 2)) for n in rng.integers(5, 20, 100)]
    >>> y = [x.mean() for x in X]
    >>> regressor = LSTMRegressor(8, max_iter=30, learning_rate="linear", random_state=0)
    >>> regressor.fit(X, y).score(X, y) > 0.8
    True
    """

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> Self:
        """Learn from sequences and their values.

        Ctrl-C ends it with a warning, and leaves what was learned so far; the step it came in may
        have reached some of the weights only. An error leaves the estimator as it was.

        Parameters
        ----------
        X : list of array_like, shape (T_i, I) each; or array_like, shape (N, T, I)
            Finite numbers; each sequence has at least one step.
        y : array_like, shape (N,) or (N, C)
            A value, or C of them, for each.
        sample_weight : array_like, shape (N,), optional
            What each sequence counts, not negative.
        lengths : array_like of int, shape (N,), optional
            For an array X that is padded: how many steps of each row to read.

        Returns
        -------
        LSTMRegressor
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            A parameter out of its range; X, y, `sample_weight` or `lengths` of a wrong form, of
            different counts, or not finite; or the loss or the weights run away to infinity.
        """
        return self._fit(X, y, sample_weight, lengths, incremental=False)

    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> Self:
        """Go once over some sequences, on top of what was learned before.

        Parameters
        ----------
        X, y, sample_weight, lengths
            As in :meth:`fit`.

        Returns
        -------
        LSTMRegressor
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            As :meth:`fit`.
        """
        return self._fit(X, y, sample_weight, lengths, incremental=True)

    def predict(self, X: Any, lengths: ArrayLike | None = None) -> Array:
        """Tell the values of each sequence; a sequence's bits do not depend on the others in X.

        Parameters
        ----------
        X, lengths
            As in :meth:`fit`.

        Returns
        -------
        ndarray, shape (N,) or (N, C), as y was
            Of `dtype`.

        Raises
        ------
        ValueError, TypeError
            As :meth:`fit`; X has another number of features; nothing was fitted (NotFittedError).
        """
        scores, fitted = self._scores(X, lengths)
        return scores[:, 0] if fitted["_one_value"] else scores

    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> float:
        """Give R^2, the mean over all values of a sequence.

        Parameters
        ----------
        X, y, sample_weight, lengths
            As in :meth:`fit`.

        Returns
        -------
        float
            1 where everything is right, 0 where the mean would do as well.

        Raises
        ------
        ValueError, TypeError
            As :meth:`predict`.
        """
        return float(r2_score(y, self.predict(X, lengths), sample_weight=sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _targets(
        self, y: Any, settings: Settings, known: dict[str, Any], *, goes_on: bool
    ) -> Array:
        with numbers(y, "y"):
            y = validate_data(self, X="no_validation", y=y, multi_output=True, y_numeric=True)
            values: Array = check_array(
                y, dtype=settings.dtype, ensure_2d=False, input_name="y", estimator=self
            )
        known["_one_value"] = values.ndim == 1
        values = values.reshape(len(values), -1)
        if goes_on and values.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y has {values.shape[1]} value(s) per sequence, but had {self.n_outputs_} in the "
                "previous call"
            )
        return values

    def _outputs(self, targets: Array, known: dict[str, Any]) -> int:
        return int(targets.shape[1])

    def _loss(self, scores: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        missed = scores - targets
        slope = missed / missed.size
        if weights is not None:
            slope *= weights[:, None]
        return float(0.5 * np.sum(missed * slope)), slope

    def _merit(self, scores: Array, targets: Array, weights: Array | None) -> float:
        return float(r2_score(targets, scores, sample_weight=weights))

"""``LSTMClassifier``: one label per sequence.

Owns labels, class weights and probabilities. Must not know how a network is trained.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import validate_data

from lstm_native._head import cross_entropy, softmax
from lstm_native.sklearn.base import Array, LSTMEstimator
from lstm_native.sklearn.settings import Settings


class LSTMClassifier(ClassifierMixin, LSTMEstimator):  # type: ignore[misc]
    """An LSTM that names the class of a sequence.

    The output of an :class:`lstm_native.LSTM`, pooled over the steps, goes through a linear layer
    to a score for each class; both are trained together on the cross-entropy. X is a list of N
    arrays of shape (T_i, I), or an array (N, T, I), with ``lengths=`` where it is padded.

    Parameters
    ----------
    hidden_size, num_layers : int
        H, the units of a layer and direction, and how many layers there are.
    bidirectional : bool
        Whether a second set of weights reads each sequence from its end.
    proj_size : int
        Size of a projection of h, smaller than H; 0 for none.
    dropout : float
        In training each element of every layer's output but the last's is zeroed with this
        probability.
    pooling : {"last", "mean", "max"}
        What stands for a sequence: h after the last step (of both directions, each where it ends),
        or the mean or the maximum of h over all steps.
    solver : {"adam", "adamw", "sgd"}
        The optimizer, of :mod:`lstm_native.optim`.
    learning_rate_init : float
        The learning rate.
    learning_rate : {"constant", "linear"}
        Whether it stays, or falls in a straight line over `max_iter` epochs.
    momentum : float
        Of ``solver="sgd"``.
    weight_decay : float
        As in torch: for "adamw" apart from the gradient, else added to it.
    max_grad_norm : float or None
        What the norm of a batch's gradient is clipped to; None clips nothing.
    batch_size : int
        Sequences per step.
    max_iter : int
        Epochs at most.
    shuffle : bool
        Whether sequences come in a new order in each epoch.
    tol : float
        What an epoch must be better by, in loss or validation score, to count as better.
    n_iter_no_change : int or None
        Training stops after more than so many epochs in a row that are not better; None never.
    early_stopping : bool
        Whether to hold out some sequences, stop by the score on them, and keep the weights of the
        best epoch.
    validation_fraction : float
        The share that is held out, of each class alike.
    warm_start : bool
        Whether a second `fit` goes on with the network of the first.
    verbose : bool
        Whether to show progress: a bar in a terminal with tqdm, else lines, on standard error.
    random_state : int, RandomState or None
        Decides initial weights, held-out sequences, the order of sequences and dropout. The same
        int gives the same bits, for any number of threads. A fit that goes on goes on in it.
    dtype : {"float32", "float64"}
        Of network, computation and results; X is converted.
    class_weight : dict, "balanced" or None
        What each class counts; "balanced" in inverse proportion to how often it comes.

    Attributes
    ----------
    classes_ : ndarray, shape (C,)
        The labels, sorted.
    lstm_ : LSTM
        The trained network, in evaluation mode: to call, stream, `save`.
    coef_, intercept_ : ndarray, shapes (C, F) and (C,)
        The linear layer; F is H or `proj_size`, twice that where bidirectional.
    n_features_in_ : int
        I.
    n_outputs_ : int
        C.
    n_iter_, loss_, best_loss_, loss_curve_
        Epochs gone through, the mean loss of the last, of the best, and of each.
    validation_scores_, best_validation_score_
        With `early_stopping`, the accuracy on held-out sequences after each epoch, and of the
        weights that stayed; else None.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_native.sklearn import LSTMClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(rng.choice([-1, 1]), 1, (n, 2)) for n in rng.integers(5, 20, 60)]
    >>> y = ["up" if x.mean() > 0 else "down" for x in X]
    >>> classifier = LSTMClassifier(8, max_iter=20, learning_rate="linear", random_state=0)
    >>> classifier.fit(X, y).score(X, y) > 0.95
    True
    """

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
        class_weight: Any = None,
    ) -> None:
        super().__init__(
            hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            proj_size=proj_size,
            dropout=dropout,
            pooling=pooling,
            solver=solver,
            learning_rate_init=learning_rate_init,
            learning_rate=learning_rate,
            momentum=momentum,
            weight_decay=weight_decay,
            max_grad_norm=max_grad_norm,
            batch_size=batch_size,
            max_iter=max_iter,
            shuffle=shuffle,
            tol=tol,
            n_iter_no_change=n_iter_no_change,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            warm_start=warm_start,
            verbose=verbose,
            random_state=random_state,
            dtype=dtype,
        )
        self.class_weight = class_weight

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> Self:
        """Learn from sequences and their labels.

        Ctrl-C ends it with a warning, and leaves what was learned so far; the step it came in may
        have reached some of the weights only. An error leaves the estimator as it was.

        Parameters
        ----------
        X : list of array_like, shape (T_i, I) each; or array_like, shape (N, T, I)
            Finite numbers; each sequence has at least one step.
        y : array_like, shape (N,)
            A label for each: numbers, strings or bools.
        sample_weight : array_like, shape (N,), optional
            What each sequence counts, not negative.
        lengths : array_like of int, shape (N,), optional
            For an array X that is padded: how many steps of each row to read.

        Returns
        -------
        LSTMClassifier
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
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> Self:
        """Go once over some sequences, on top of what was learned before.

        Parameters
        ----------
        X, y
            As in :meth:`fit`.
        classes : array_like, shape (C,), optional
            All labels there will ever be; needed in the first call.
        sample_weight, lengths
            As in :meth:`fit`.

        Returns
        -------
        LSTMClassifier
            The estimator itself.

        Raises
        ------
        ValueError, TypeError
            As :meth:`fit`; or `classes` are missing in the first call, or differ in a later one.
        """
        if classes is None and not hasattr(self, "classes_"):
            raise ValueError("classes must be passed on the first call to partial_fit.")
        every = self.classes_ if classes is None else unique_labels(classes)
        if hasattr(self, "classes_") and not np.array_equal(every, self.classes_):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: "
                f"{self.classes_!r}"
            )
        known = {"classes_": every}
        return self._fit(X, y, sample_weight, lengths, incremental=True, known=known)

    def predict(self, X: Any, lengths: ArrayLike | None = None) -> NDArray[Any]:
        """Name the class of each sequence.

        Parameters
        ----------
        X, lengths
            As in :meth:`fit`.

        Returns
        -------
        ndarray, shape (N,)
            Of `classes_`.

        Raises
        ------
        ValueError, TypeError
            As :meth:`fit`; X has another number of features; nothing was fitted (NotFittedError).
        """
        scores, fitted = self._scores(X, lengths)
        labels: NDArray[Any] = fitted["classes_"][scores.argmax(axis=1)]
        return labels

    def predict_proba(self, X: Any, lengths: ArrayLike | None = None) -> Array:
        """Give the probability of each class.

        A sequence's bits do not depend on the others in X.

        Parameters
        ----------
        X, lengths
            As in :meth:`fit`.

        Returns
        -------
        ndarray, shape (N, C)
            In the order of `classes_`, of `dtype`.

        Raises
        ------
        ValueError, TypeError
            As :meth:`predict`.
        """
        return softmax(self._scores(X, lengths)[0])[0]

    def predict_log_proba(self, X: Any, lengths: ArrayLike | None = None) -> Array:
        """Give the logarithms of :meth:`predict_proba`, exact also where it rounds to 0.

        Parameters
        ----------
        X, lengths
            As in :meth:`fit`.

        Returns
        -------
        ndarray, shape (N, C)
            In the order of `classes_`, of `dtype`.

        Raises
        ------
        ValueError, TypeError
            As :meth:`predict`.
        """
        return softmax(self._scores(X, lengths)[0])[1]

    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        lengths: ArrayLike | None = None,
    ) -> float:
        """Give the share of sequences whose class is right.

        Parameters
        ----------
        X, y, sample_weight, lengths
            As in :meth:`fit`.

        Returns
        -------
        float
            From 0 to 1.

        Raises
        ------
        ValueError, TypeError
            As :meth:`predict`.
        """
        return float(accuracy_score(y, self.predict(X, lengths), sample_weight=sample_weight))

    def _targets(
        self, y: Any, settings: Settings, known: dict[str, Any], *, goes_on: bool
    ) -> Array:
        shape = np.asarray(y).shape
        if len(shape) == 2 and shape[1] > 1:
            raise ValueError(
                f"y should be a 1d array of a label per sequence, got an array of shape {shape}. "
                "For several labels per sequence there is sklearn.multioutput.MultiOutputClassifier"
            )
        y = validate_data(self, X="no_validation", y=y)
        check_classification_targets(y)
        found, labels = np.unique(y, return_inverse=True)
        if "classes_" not in known:
            if goes_on and not np.array_equal(found, self.classes_):
                raise ValueError(
                    "warm_start can only be used where `self.classes_` has the same classes as in "
                    f"the previous call to fit. Previously: {self.classes_}; now: {found}"
                )
            known["classes_"] = found
        classes = known["classes_"]
        unknown = np.setdiff1d(found, classes)
        if unknown.size:
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has {classes}. 'y' has "
                f"{unknown}."
            )
        return np.searchsorted(classes, found)[labels]

    def _outputs(self, targets: Array, known: dict[str, Any]) -> int:
        return len(known["classes_"])

    def _balanced(self, targets: Array, known: dict[str, Any]) -> Array | None:
        if self.class_weight is None:
            return None
        weights: Array
        try:
            weights = compute_sample_weight(self.class_weight, known["classes_"][targets])
        except OverflowError:  # an int beyond every float
            weights = np.array([np.inf])
        if not (np.isfinite(weights).all() and weights.min() >= 0):
            raise ValueError(
                f"Class weights must be finite and not negative, got class_weight="
                f"{self.class_weight!r}"
            )
        return weights

    def _loss(self, scores: Array, targets: Array, weights: Array | None) -> tuple[float, Array]:
        return cross_entropy(scores, targets, weights)

    def _merit(self, scores: Array, targets: Array, weights: Array | None) -> float:
        return float(accuracy_score(targets, scores.argmax(axis=1), sample_weight=weights))

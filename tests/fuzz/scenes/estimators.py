"""The estimators of ``lstm_native.sklearn``, where scikit-learn is installed.

Owns right calls of them. Must not know how arguments are altered.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fuzz.arrays import normal
from fuzz.calls import Call, documented
from fuzz.choices import Choices
from fuzz.scenes import Scene

try:
    from sklearn.preprocessing import StandardScaler

    from lstm_native import sklearn as estimators

    SCENES = 1  # how often this one comes
except ImportError:
    SCENES = 0

# What may be altered without making a fit endless.
OPTIONS: dict[str, Any] = {
    "hidden_size": 3, "proj_size": 0, "dropout": 0.0, "pooling": "mean", "solver": "sgd",
    "learning_rate_init": 0.01, "momentum": 0.5, "weight_decay": 0.1, "max_grad_norm": 1.0,
    "batch_size": 2, "tol": 1e-4, "n_iter_no_change": 3, "shuffle": True, "random_state": 0,
    "dtype": "float64",
}  # fmt: skip


class EstimatorScene(Scene):
    """A fitted estimator, and sequences as a list or a padded array."""

    calls: ClassVar[tuple[str, ...]] = (
        "fit", "fit", "construct", "partial_fit", "predict", "predict", "score", "per_frame",
        "transform",
    )  # fmt: skip

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices)
        N, T = 2 + choices.below(4), 1 + choices.below(4)
        self.lengths = np.array([1 + choices.below(T) for _ in range(N)])
        self.padded = normal(choices, (N, T, 2), choices.pick(("f4", "f8")))
        self.values = normal(choices, (N,), "f8")
        self.labels = np.arange(N) % 2
        self.classifies = choices.chance(2)
        kind = estimators.LSTMClassifier if self.classifies else estimators.LSTMRegressor
        self.new = kind(3, max_iter=1, learning_rate="linear", random_state=0)
        self.fitted = kind(**self.new.get_params()).fit(self.padded, self.y())
        self.scaled = estimators.PerFrame(StandardScaler()).fit(self.padded)

    def y(self) -> Any:
        return self.labels if self.classifies else self.values

    def state(self) -> Any:
        fitted = self.fitted
        arrays = fitted.lstm_.flat_parameters, fitted.coef_, fitted.intercept_, self.padded
        return [array.tobytes() for array in arrays], sorted(vars(fitted))

    def given(self) -> dict[str, Any]:
        if self.choices.chance(2):
            rows = zip(self.padded, self.lengths, strict=True)
            return {"X": [x[:n] for x, n in rows]}
        return {"X": self.padded, "lengths": self.lengths}

    def learned(self) -> dict[str, Any]:
        return self.given() | {"y": self.y(), "sample_weight": np.ones(len(self.padded))}

    def call(self, owner: Any, name: str, arguments: dict[str, Any], **more: Any) -> Call:
        method = getattr(owner, name)
        # What scikit-learn asks for its length may lie.
        raises = (*documented(getattr(type(owner), name)), OverflowError)
        return Call(method, arguments, raises, **more)

    def fit(self) -> Call:
        return self.call(self.new, "fit", self.learned())

    def construct(self) -> Call:
        kind = type(self.new)
        X, y = self.padded, self.y()

        def construct_and_fit(**options: Any) -> None:
            kind(max_iter=1, learning_rate="linear", **options).fit(X, y)

        return Call(construct_and_fit, dict(OPTIONS), documented(kind.fit))

    def partial_fit(self) -> Call:
        arguments = self.learned() | ({"classes": [0, 1]} if self.classifies else {})
        return self.call(self.new, "partial_fit", arguments)

    def predict(self) -> Call:
        return self.call(self.fitted, "predict", self.given(), repeatable=True)

    def score(self) -> Call:
        call = self.call(self.fitted, "score", self.learned())
        call.raises += documented(type(self.fitted).predict)
        return call

    def per_frame(self) -> Call:
        return self.call(estimators.PerFrame(StandardScaler()), "fit", self.given())

    def transform(self) -> Call:
        return self.call(self.scaled, "transform", self.given())

"""scikit-learn's own checks of estimators, all of them, on lstm_native.sklearn.

They make tables, and skip whatever takes none: of an estimator of sequences they check nothing. So
here each row of a table is handed in as a sequence of one step, by subclasses that do only that.
What is left out stands in a table with its reason, and must fail.
"""

import warnings
from functools import partial
from typing import Any
from unittest import SkipTest

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")

from sklearn.base import clone
from sklearn.exceptions import SkipTestWarning
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from lstm_native.sklearn import LSTMClassifier, LSTMRegressor, PerFrame


def steps(X: Any) -> Any:
    """Make each row of a table a sequence of one step; leave what is no table as it is."""
    if hasattr(X, "toarray"):
        return X
    array = np.asarray(X)
    return array[:, None, :] if array.ndim == 2 else X


class OnTables:
    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


class Predictor(OnTables):
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        return super().fit(steps(X), y, sample_weight)

    def predict(self, X: Any, lengths: Any = None) -> Any:
        return super().predict(steps(X), lengths)


class Classifier(Predictor, LSTMClassifier):
    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Any:
        return super().partial_fit(steps(X), y, classes)

    def predict_proba(self, X: Any) -> Any:
        return super().predict_proba(steps(X))

    def predict_log_proba(self, X: Any) -> Any:
        return super().predict_log_proba(steps(X))


class Regressor(Predictor, LSTMRegressor):
    def partial_fit(self, X: Any, y: Any) -> Any:
        return super().partial_fit(steps(X), y)


class Transformer(OnTables, PerFrame):
    def fit(self, X: Any, y: Any = None, lengths: Any = None) -> Any:
        return super().fit(steps(X), y, lengths)

    def transform(self, X: Any, lengths: Any = None) -> Any:
        return super().transform(steps(X), lengths)[:, 0]


# What the check of sample weights fits is one batch: only there does a weight of 2 count as two
# sequences, since other batches are other steps.
SMALL = {"hidden_size": 16, "max_iter": 20, "batch_size": 64}
ESTIMATORS = {
    "classifier": Classifier(**SMALL),
    "regressor": Regressor(**SMALL),
    "per frame": Transformer(StandardScaler()),
}
# Each with its reason, and what it says then. Both pass with dtype="float64".
LEFT_OUT = {
    ("classifier", "check_sample_weight_equivalence_on_dense_data"): (
        "a batch summed in another order differs in the last bits of float32, which is more than "
        "the check's tolerance",
        "Not equal to tolerance",
    ),
    ("regressor", "check_regressor_multioutput"): (
        "it asks for predictions in float64: what computes in float32 answers in float32",
        "are expected to be floating-point precision. Got float32",
    ),
}
SKIPPED = {
    "check_array_api_input": "runs only where the environment has SCIPY_ARRAY_API=1",
}


def checks() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", SkipTestWarning)
        return [
            pytest.param(name, estimator, check, id=f"{name}-{index}-{named(check)}")
            for name, double in ESTIMATORS.items()
            for index, (estimator, check) in enumerate(
                estimator_checks_generator(double, legacy=True, mark=None)
            )
        ]


def named(check: Any) -> str:
    return str((check.func if isinstance(check, partial) else check).__name__)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "estimator", "check"), checks())
def test_check(name: str, estimator: Any, check: Any) -> None:
    failed: Exception | None = None
    try:
        check(estimator)
    except SkipTest:
        if named(check) not in SKIPPED:
            raise
        pytest.skip(SKIPPED[named(check)])
    except Exception as error:
        failed = error
    reason, message = LEFT_OUT.get((name, named(check)), ("", ""))
    if not reason:
        if failed is not None:
            raise failed
    else:
        assert failed is not None, f"passes, and should not be left out because {reason}"
        assert message in str(failed)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "left_out"), LEFT_OUT)
def test_what_is_left_out_passes_in_float64(name: str, left_out: str) -> None:
    every = [param.values for param in checks()]
    (check,) = (check for owner, _, check in every if (owner, named(check)) == (name, left_out))
    check(clone(ESTIMATORS[name]).set_params(dtype="float64"))


def test_they_are_many() -> None:
    """None is skipped because of a tag."""
    assert len(checks()) > 160

"""What the estimators of lstm_native.sklearn take, and what they refuse.

scikit-learn's own checks are in test_sklearn_checks.py.
"""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")

from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.multioutput import MultiOutputClassifier
from sklearn.preprocessing import StandardScaler

from fuzz.strangers import Sequence3
from lstm_native.sklearn import LSTMClassifier, LSTMRegressor
from sequences import QUICK, bits, objects, padded, ragged

HUGE = 10**400  # no float is as large
MASKED = np.ma.masked_array(np.ones((5, 3)), np.eye(5, 3))

# --- what X may be ---


def test_the_forms_of_x_are_one() -> None:
    X, y = ragged()
    array, lengths = padded(X)
    expected = LSTMClassifier(**QUICK).fit(X, y)
    assert expected.score(X, y) > 0.9
    probabilities = expected.predict_proba(X)
    for form in (tuple(X), objects(X), [x.tolist() for x in X], [x.astype("f8") for x in X]):
        assert bits(LSTMClassifier(**QUICK).fit(form, y)) == bits(expected)
        assert np.array_equal(expected.predict_proba(form), probabilities)
    # What pads an array is never read: here it is NaN.
    assert bits(LSTMClassifier(**QUICK).fit(array, y, lengths=lengths)) == bits(expected)
    assert np.array_equal(expected.predict_proba(array, lengths=lengths), probabilities)
    assert np.array_equal(expected.predict(array, lengths), expected.predict(X))
    logarithms = expected.predict_log_proba(array, lengths=lengths)
    assert np.array_equal(logarithms, expected.predict_log_proba(X))
    assert expected.score(array, y, lengths=lengths) == expected.score(X, y)


@pytest.mark.parametrize(
    ("X", "error", "text"),
    [
        (np.zeros((4, 3)), ValueError, r"Expected 3D array, got 2D.*X\[:, :, None\].*\[X\] where"),
        (np.zeros(4), ValueError, "Expected 3D array, got 1D"),
        (np.zeros((4, 0, 3)), ValueError, r"0 step\(s\) \(shape=\(4, 0, 3\)\)"),
        (np.zeros((0, 5, 3)), ValueError, r"0 sample\(s\)"),
        (np.zeros((4, 5, 0)), ValueError, r"0 feature\(s\)"),
        (np.full((4, 5, 3), np.inf), ValueError, "infinity"),
        (np.full((4, 5, 3), 1e39), ValueError, "too large for dtype"),
        (np.zeros((4, 5, 3), complex), ValueError, "Complex data not supported"),
        (np.full((4, 5, 3), "1.5"), ValueError, "X should be numeric, got <U3"),
        (np.full((4, 5, 3), b"1"), ValueError, r"X should be numeric, got \|S1"),
        ([np.ones((5, 3))] * 3 + [np.full((5, 3), "2")], ValueError, "X should be numeric"),
        (np.zeros((4, 5, 3), "M8[s]"), ValueError, r"numeric, got datetime64\[s\]"),
        (np.zeros((4, 5, 3), "m8[s]"), ValueError, "numeric, got timedelta64"),
        (np.full((4, 5, 3), "1.5", object), ValueError, "X should be numeric, got a str: '1.5'"),
        ([[[1.0, b"2"]]] * 4, ValueError, r"X should be numeric, got \|S"),
        ([objects([np.datetime64(1, "s")] * 3)[None]] * 4, ValueError, "numeric, got a datetime"),
        (np.full((4, 5, 3), HUGE), ValueError, "X has a value too large for any float"),
        ([np.ones((5, 3))] * 3 + [[[HUGE, 0, 0]]], ValueError, "X has a value too large"),
        (MASKED[None].repeat(4, 0), ValueError, r"X is a masked array.*\.filled\(\)"),
        ([np.ones((5, 3))] * 3 + [MASKED], ValueError, r"X\[3\] is a masked array"),
        (iter("abcd"), TypeError, "X should be an ndarray, got str_"),
        ([], ValueError, r"0 sample\(s\)"),
        ([np.zeros((2, 3))] * 3 + [np.zeros((0, 3))], ValueError, r"X\[3\] has 0 step\(s\)"),
        ([np.zeros((2, 3))] * 3 + [np.zeros((2, 4))], ValueError, r"X\[0\] has 3, X\[3\] has 4"),
        ([np.zeros((2, 3))] * 3 + [np.zeros(3)], ValueError, r"X\[3\] is 1D"),
        ([np.zeros((2, 3))] * 3 + [np.full((2, 3), np.nan)], ValueError, "contains NaN"),
        ([np.zeros((2, 3))] * 3, ValueError, "inconsistent numbers of samples"),
    ],
)
def test_what_x_may_not_be(X: Any, error: type[Exception], text: str) -> None:
    fitted = LSTMClassifier(**QUICK).fit(*ragged())
    before = bits(fitted), fitted.n_features_in_
    with pytest.raises(error, match=text):
        fitted.fit(X, [0, 1, 0, 1])
    assert (bits(fitted), fitted.n_features_in_) == before
    if "inconsistent" not in text:
        with pytest.raises(error, match=text):
            fitted.predict(X)


@pytest.mark.parametrize(
    ("lengths", "text"),
    [
        ([1, 2, 3], "inconsistent numbers of samples"),
        ([1, 2, 3, 0], r"between 1 and n_steps=5, but lengths\[3\] is 0"),
        ([1, 2, 3, 6], r"lengths\[3\] is 6"),
        ([1.0, 2.0, 3.0, 4.0], "1-D integers, got 1-D float64"),
        ([[1], [2], [3], [4]], "1-D integers, got 2-D"),
    ],
)
def test_what_lengths_may_not_be(lengths: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        LSTMClassifier().fit(np.zeros((4, 5, 3)), [0, 1, 0, 1], lengths=lengths)
    with pytest.raises(ValueError, match="lengths= is for an array X"):
        LSTMClassifier().fit([np.zeros((5, 3))] * 4, [0, 1, 0, 1], lengths=[1, 2, 3, 4])


def test_features_must_be_those_of_the_fit() -> None:
    fitted = LSTMClassifier(**QUICK).fit(*ragged())
    text = "X has 2 features, but LSTMClassifier is expecting 3 features as input"
    with pytest.raises(ValueError, match=text):
        fitted.predict(np.zeros((4, 5, 2)))
    for method in ("predict", "predict_proba", "predict_log_proba"):
        with pytest.raises(NotFittedError):
            getattr(LSTMClassifier(), method)(np.zeros((4, 5, 2)))


PARAMETERS: list[tuple[str, list[Any]]] = [
    ("hidden_size", [0, -1, 1.5, "8", None, True]),
    ("num_layers", [0, 1.0]),
    ("proj_size", [-1, 8, 9]),
    ("dropout", [-0.1, 1.1, "a", float("nan")]),
    ("pooling", ["first", None, 3]),
    ("solver", ["lbfgs", None]),
    ("learning_rate", ["adaptive", 0.1]),
    ("learning_rate_init", [-1, float("inf"), "a", 10**400]),
    ("momentum", [-1, 2]),
    ("weight_decay", [-1]),
    ("max_grad_norm", [0, -1, "a", float("nan")]),
    ("batch_size", [0, 2.5]),
    ("max_iter", [0]),
    ("tol", ["a", float("nan")]),
    ("n_iter_no_change", [0, 0.5, 1.5, True, "a"]),
    ("validation_fraction", [0, 1, 2]),
    *((name, ["yes", None]) for name in ("bidirectional", "shuffle", "early_stopping")),
    *((name, ["yes", None]) for name in ("warm_start", "verbose")),
]


def test_parameters_out_of_range() -> None:
    X, y = ragged(10)
    for name, values in PARAMETERS:
        for value in values:
            estimator = LSTMClassifier(**QUICK | {"early_stopping": True, name: value})
            with pytest.raises(ValueError, match=f"The {name!r} parameter of LSTMClassifier must"):
                estimator.fit(X, y)
    with pytest.raises(TypeError, match="float32 or float64"):
        LSTMClassifier(dtype="float16").fit(X, y)
    # None is left out.
    apart = {"random_state", "dtype", "class_weight"}
    assert {name for name, _ in PARAMETERS} == set(LSTMClassifier().get_params()) - apart


# --- targets ---


def test_labels_that_are_refused() -> None:
    X, _ = ragged(4)
    with pytest.raises(ValueError, match=r"shape \(4, 2\).*MultiOutputClassifier"):
        LSTMClassifier().fit(X, np.eye(4, 2))
    with pytest.raises(ValueError, match="Unknown label type"):
        LSTMClassifier().fit(X, [0.5, 0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="requires y to be passed"):
        LSTMClassifier().fit(X, None)
    with pytest.raises(ValueError, match="too large for dtype"):
        LSTMRegressor().fit(X, [1e39, 0, 0, 0])


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (["1.5"] * 4, "should be numeric, got <U3"),
        (np.array(["1.5"] * 4, object), "should be numeric, got a str: '1.5'"),
        (np.zeros(4, "M8[D]"), r"should be numeric, got datetime64\[D\]"),
        (objects([np.timedelta64(1, "s")] * 4), "should be numeric, got a timedelta64"),
        ([HUGE, 1, 2, 3], "has a value too large for any float"),
    ],
)
def test_values_and_weights_are_numbers(given: Any, text: str) -> None:
    X, _ = ragged(4)
    for estimator in (LSTMRegressor(), LSTMClassifier()):
        with pytest.raises(ValueError, match=f"sample_weight {text}"):
            estimator.fit(X, [1, 0, 1, 0], sample_weight=given)
    with pytest.raises(ValueError, match=f"y {text}"):
        LSTMRegressor().fit(X, given)
    with pytest.raises(ValueError, match=f"y {text}"):
        LSTMRegressor().partial_fit(X, np.stack([given, given], axis=1))


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ([0.0] * 4, "Sample weights must contain at least one non-zero number"),
        ([1, 1, 1, -1], "Negative values in data passed to `sample_weight`"),
        ([1], r"inconsistent numbers of samples: \[4, 1\]"),
        ([[1], [1], [1], [1]], "Sample weights must be a 1D array, got a 2D one"),
        ([1, 1, 1, np.nan], "sample_weight contains NaN"),
    ],
)
def test_weights_that_are_refused(weights: Any, text: str) -> None:
    X, _ = ragged(4)
    with pytest.raises(ValueError, match=text):
        LSTMRegressor().fit(X, [1, 2, 3, 4], sample_weight=weights)


def test_lengths_that_lie() -> None:
    X, _ = ragged(5)
    for given in ({"y": [1, 2, 3, 4, 5], "sample_weight": Sequence3()}, {"y": Sequence3()}):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            LSTMRegressor(**QUICK).fit(X, **given)


def test_numbers_may_be_objects() -> None:
    X, _ = ragged(4)
    y, weights = [Fraction(1, 2), Decimal(3), True, np.float16(2)], [1, 2, 3, 4]
    plain = LSTMRegressor(**QUICK).fit(X, np.array(y, float), np.array(weights, float))
    made = [x.astype(object) for x in X]
    same = LSTMRegressor(**QUICK).fit(made, np.array(y, object), np.array(weights, object))
    assert bits(same) == bits(plain)


def test_several_labels_go_through_scikit_learn() -> None:
    X, y = ragged()
    both = np.stack([y == "up", [len(x) > 7 for x in X]], axis=1).astype(int)
    found = MultiOutputClassifier(LSTMClassifier(**QUICK)).fit(X, both).predict(X)
    assert found.shape == both.shape
    assert (found == both).mean() > 0.8


def test_several_values() -> None:
    X, _ = ragged(200)
    y = np.array([[x.mean(), x[:, 0].max()] for x in X])
    regressor = LSTMRegressor(**QUICK | {"max_iter": 30}).fit(X, y)
    assert regressor.predict(X).shape == y.shape
    assert regressor.coef_.shape == (2, 8)
    assert regressor.score(X, y) > 0.7
    alone = LSTMRegressor(**QUICK).fit(X, y[:, 0])
    assert alone.predict(X).shape == (200,)
    assert LSTMRegressor(**QUICK).fit(X, y[:, :1]).predict(X).shape == (200, 1)


def test_far_values_are_learned_through_scikit_learn() -> None:
    X, _ = ragged(200)
    y = np.array([1000 + 500 * x.mean() for x in X])
    inner = LSTMRegressor(**QUICK | {"max_iter": 20})
    assert (
        TransformedTargetRegressor(inner, transformer=StandardScaler()).fit(X, y).score(X, y) > 0.8
    )


def test_weights_count() -> None:
    """A class that weighs nothing is not learned, and one that weighs much is preferred."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 4, 2)), np.arange(60) % 3
    for options in (
        {"sample_weight": (y != 1).astype(float)},
        {"class_weight": {0: 1, 1: 1e-9, 2: 1}},
    ):
        weights = options.pop("sample_weight", None)
        fitted = LSTMClassifier(**QUICK, **options).fit(X, y, sample_weight=weights)
        assert fitted.predict_proba(X)[:, 1].max() < 0.2
    rare = np.r_[np.zeros(54, int), np.ones(6, int)]
    share = LSTMClassifier(**QUICK).fit(X, rare).predict_proba(X)[:, 1].mean()
    balanced = LSTMClassifier(**QUICK, class_weight="balanced").fit(X, rare)
    assert share < 0.2 < 0.35 < balanced.predict_proba(X)[:, 1].mean()
    # Only the ratios of weights count, of whatever size they are.
    once = LSTMClassifier(**QUICK, dtype="float64").fit(X, y, sample_weight=1 + y)
    for size in (1000, 1e-310, 1e307):
        again = LSTMClassifier(**QUICK, dtype="float64").fit(X, y, sample_weight=size * (1 + y))
        np.testing.assert_allclose(once.coef_, again.coef_, rtol=1e-9)


def test_weights_count_in_a_score(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = ragged()
    fitted = LSTMClassifier(**QUICK | {"max_iter": 1}).fit(X, y)
    right = fitted.predict(X) == y
    assert 0 < right.mean() < 1
    assert fitted.score(X, y, sample_weight=right) == 1
    assert fitted.score(X, y, sample_weight=~right) == 0
    values = np.array([x.mean() for x in X])
    regressor = LSTMRegressor(**QUICK).fit(X, values)
    near = np.abs(regressor.predict(X) - values) < 0.1
    assert regressor.score(X, values) != regressor.score(X, values, sample_weight=near)
    # So they do in early stopping.
    assert fitted._merit(np.eye(2), np.array([0, 0]), np.array([3.0, 1.0])) == 0.75
    targets, scores = np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [1.0], [5.0]])
    assert regressor._merit(scores, targets, np.array([1.0, 1.0, 0.0])) == 1
    given: list[np.ndarray] = []
    monkeypatch.setattr(LSTMClassifier, "_merit", lambda *args: given.append(args[3]) or 0.5)
    early = LSTMClassifier(**QUICK | {"max_iter": 1, "early_stopping": True})
    early.fit(X, y, sample_weight=100 + np.arange(60))
    assert len(set(given[0])) == 6
    assert min(given[0]) >= 100


@pytest.mark.parametrize(
    "class_weight", [{"up": -1, "down": 3}, {"up": np.nan, "down": 1}, {"up": HUGE, "down": 1}]
)
def test_class_weights_that_are_refused(class_weight: Any) -> None:
    X, y = ragged(10)
    with pytest.raises(ValueError, match="Class weights must be finite and not negative"):
        LSTMClassifier(**QUICK, class_weight=class_weight).fit(X, y)
    with pytest.raises(ValueError, match="Class weights must contain at least one non-zero"):
        LSTMClassifier(**QUICK, class_weight={"up": 0, "down": 0}).fit(X, y)

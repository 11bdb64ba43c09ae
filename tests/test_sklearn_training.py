"""What the estimators of lstm_native.sklearn compute, and what fitting promises."""

import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")

from sklearn.utils import check_random_state

import lstm_native
from lstm_native import LSTM, pack_sequence, unpack_sequence
from lstm_native._head import Head
from lstm_native.sklearn import LSTMClassifier, LSTMRegressor
from lstm_native.sklearn.model import Model
from lstm_native.sklearn.pooling import POOLINGS
from lstm_native.sklearn.sequences import read
from sequences import QUICK, bits, ragged

# --- the model ---


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradients_are_the_derivatives(
    pooling: str, bidirectional: bool, rng: np.random.Generator
) -> None:
    data = read(
        LSTMRegressor(), [rng.normal(size=(n, 2)) for n in (3, 1, 5)], None,
        dtype=np.float64, fitted=False,
    )  # fmt: skip
    lstm = LSTM(2, 3, num_layers=2, bidirectional=bidirectional, dtype=np.float64)
    weight = rng.normal(size=(2, 6 if bidirectional else 3))
    model = Model(lstm, Head(weight, rng.normal(size=2)), pooling)
    rows, wanted = np.array([0, 1, 2]), rng.normal(size=(3, 2))

    def loss() -> tuple[float, list[np.ndarray]]:
        return model.gradients(data.packed(rows), lambda s: (float((s * wanted).sum()), wanted))

    _, gradients = loss()
    for array, gradient in zip(model.arrays(), gradients, strict=True):
        flat, found = array.reshape(-1), gradient.reshape(-1)
        for index in rng.choice(flat.size, min(flat.size, 25), replace=False):
            kept = flat[index]
            flat[index] = kept + 1e-6
            above, _ = loss()
            flat[index] = kept - 1e-6
            below, _ = loss()
            flat[index] = kept
            assert found[index] == pytest.approx((above - below) / 2e-6, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scores", [1, 3])
@pytest.mark.parametrize("features", [7, 9000])
def test_scores_of_a_row_do_not_depend_on_the_others(
    features: int, scores: int, dtype: str, rng: np.random.Generator
) -> None:
    """Nor on how rows lie in memory; also where einsum works through a buffer."""
    head = Head.random(features, scores, rng, dtype)
    rows = rng.normal(size=(5, features)).astype(dtype)
    whole = head.scores(rows)
    assert whole.dtype == dtype
    np.testing.assert_allclose(whole, rows @ head.weight.T + head.bias, rtol=1e-4, atol=1e-5)
    assert np.array_equal(head.scores(np.asfortranarray(rows)), whole)
    for row, expected in zip(rows, whole, strict=True):
        assert np.array_equal(head.scores(row), expected)
        assert np.array_equal(head.scores(row[None]), expected[None])


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_says_what_it_is(pooling: str) -> None:
    X, y = ragged()
    fitted = LSTMClassifier(**QUICK, pooling=pooling, bidirectional=True).fit(X, y)
    expected = []
    for x in X:
        output, (h_n, _) = fitted.lstm_(x)
        pooled = {
            "last": np.r_[h_n[0], h_n[1]], "mean": output.mean(axis=0), "max": output.max(axis=0),
        }  # fmt: skip
        expected.append(fitted.coef_ @ pooled[pooling] + fitted.intercept_)
    scores = np.array(expected)
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(fitted.predict_proba(X), shares, rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(fitted.predict_log_proba(X), np.log(shares), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("hidden", [1, 7, 64])
def test_a_row_alone_has_the_bits_of_any_batch(
    pooling: str, dtype: str, hidden: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = ragged(40)
    options = QUICK | {"max_iter": 1, "hidden_size": hidden, "pooling": pooling, "dtype": dtype}
    for fitted in (
        LSTMClassifier(**options).fit(X, y),
        LSTMClassifier(**options).fit(X, np.arange(40) % 10),
        LSTMRegressor(**options).fit(X, [len(x) for x in X]),
    ):
        predict = getattr(fitted, "predict_proba", fitted.predict)
        whole = predict(X)
        assert whole.dtype == dtype
        assert np.array_equal(np.concatenate([predict([x]) for x in X]), whole)
        assert np.array_equal(predict(X[::-1]), whole[::-1])
        with monkeypatch.context() as patch:
            patch.setattr("lstm_native.sklearn.model.MOST_BYTES", 2000)
            assert np.array_equal(predict(X), whole)


def test_the_gradient_of_a_largest_value_goes_to_the_first() -> None:
    x = np.array([[1.0, 0.0], [1.0, 2.0], [0.0, 2.0]])
    packed = pack_sequence([x[:1], x], enforce_sorted=False)
    pooled, pull = POOLINGS["max"](packed, np.zeros((1, 2, 2)), 1)
    assert pooled.tolist() == [[1, 0], [1, 2]]
    gradient, _ = pull(np.array([[3.0, 4.0], [5.0, 6.0]]))
    short, long = unpack_sequence(packed._replace(data=gradient))
    assert short.tolist() == [[3, 4]]
    assert long.tolist() == [[5, 0], [0, 6], [0, 0]]


def test_batches_of_predictions_are_bounded() -> None:
    lengths = [1, 50, 3, 1000, 4, 50]
    data = read(
        LSTMRegressor(), [np.zeros((n, 1)) for n in lengths], None, dtype="float32", fitted=False
    )
    batches = [rows.tolist() for rows in data.batches(100)]
    assert batches == [[3], [1, 5], [4, 2, 0]]


# --- fitting ---


def test_same_seed_same_bits_whatever_the_threads() -> None:
    X, y = ragged(200)
    options = QUICK | {"hidden_size": 64, "max_iter": 2, "num_layers": 2, "dropout": 0.3}
    found = []
    for threads in (1, 2, 2):
        lstm_native.set_num_threads(threads)
        found.append(bits(LSTMClassifier(**options).fit(X, y)))
    assert found[0] == found[1] == found[2]
    assert bits(LSTMClassifier(**options | {"random_state": 1}).fit(X, y)) != found[0]


def test_a_generator_is_shared_with_nobody() -> None:
    X, y = ragged(10)
    caller = np.random.RandomState(0)
    one, other = (LSTMClassifier(**QUICK | {"random_state": caller}).fit(X, y) for _ in range(2))
    assert bits(one) != bits(other)
    again = np.random.RandomState(0)
    assert bits(LSTMClassifier(**QUICK | {"random_state": again}).fit(X, y)) == bits(one)
    many = {"batch_size": 2}  # so that their order counts
    twin = pickle.loads(pickle.dumps(one)).set_params(**many).partial_fit(X, y)
    caller.random(7)
    assert bits(one.set_params(**many).partial_fit(X, y)) == bits(twin)
    # Of the process: one seed, one course, and each fit goes its own way.
    found = []
    process = check_random_state(None)
    kept = process.get_state()
    for seed in (3, 3, 4):
        process.seed(seed)
        fits = [LSTMClassifier(**QUICK | {"random_state": None}).fit(X, y) for _ in range(2)]
        orders = [fitted._random.permutation(100).tolist() for fitted in fits]
        assert orders[0] != orders[1]
        found.append([*map(bits, fits), orders])
    process.set_state(kept)
    assert found[0] == found[1] != found[2]


def test_initial_weights_are_torch_s_of_a_seed() -> None:
    X, y = ragged(10)
    untrained = QUICK | {"learning_rate_init": 0, "max_iter": 1, "num_layers": 2}
    for seed in (0, 1):
        fitted = LSTMClassifier(**untrained | {"random_state": seed}).fit(X, y)
        lstm_native.manual_seed(int(np.random.RandomState(seed).randint(2**31)))
        expected = LSTM(3, 8, num_layers=2)
        assert np.array_equal(fitted.lstm_.flat_parameters, expected.flat_parameters)
    assert np.abs(fitted.coef_).max() <= 8**-0.5


def test_fitting_leaves_the_default_generator_alone() -> None:
    X, y = ragged(10)
    before = lstm_native.manual_seed(3).get_state()
    LSTMClassifier(**QUICK, num_layers=2, dropout=0.5).fit(X, y)
    assert np.array_equal(lstm_native.random.default_generator.get_state(), before)


def test_predictions_are_of_evaluation_mode() -> None:
    X, y = ragged()
    fitted = LSTMClassifier(**QUICK, num_layers=2, dropout=0.5).fit(X, y)
    expected = fitted.predict_proba(X)
    fitted.lstm_.train()
    assert np.array_equal(fitted.predict_proba(X), expected)
    assert fitted.lstm_.training


def test_partial_fit_goes_on_as_fit_does() -> None:
    X, y = ragged()
    options = QUICK | {"learning_rate": "constant", "num_layers": 2, "dropout": 0.2}
    whole = LSTMClassifier(**options).fit(X, y)
    parts = LSTMClassifier(**options)
    parts.partial_fit(X, y, classes=["up", "down"])
    for _ in range(9):
        # Weights, optimizer and dropout survive a file.
        parts = pickle.loads(pickle.dumps(parts)).partial_fit(X, y)
    assert bits(parts) == bits(whole)
    assert parts.loss_curve_ == whole.loss_curve_
    with pytest.raises(ValueError, match="not the same as on last call"):
        parts.partial_fit(X, y, classes=["up", "left"])
    with pytest.raises(ValueError, match=r"classes not in `self.classes_`.*left"):
        parts.partial_fit(X[:1], ["left"])
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        LSTMClassifier().partial_fit(X, y)
    with pytest.raises(ValueError, match="does not support early_stopping"):
        LSTMRegressor(early_stopping=True).partial_fit(X, np.arange(60))


def test_warm_start_goes_on() -> None:
    X, y = ragged()
    fitted = LSTMClassifier(**QUICK, warm_start=True).fit(X, y)
    before, lstm = bits(fitted), fitted.lstm_
    parameters = lstm.flat_parameters.copy()
    fitted.fit(X, y)
    assert bits(fitted) != before
    assert np.array_equal(lstm.flat_parameters, parameters)  # who has taken it out keeps it
    assert fitted.n_iter_ == 20
    assert fitted.best_loss_ == min(fitted.loss_curve_)
    with pytest.raises(ValueError, match="same classes as in the previous call"):
        fitted.fit(X, np.where(y == "up", "left", "right"))
    with pytest.raises(ValueError, match=r"hidden_size is 9, but the network .* has 8"):
        fitted.set_params(hidden_size=9).fit(X, y)
    fitted.set_params(warm_start=False).fit(X, y)
    assert fitted.n_iter_ == 10


def test_a_fit_that_ends_during_a_prediction_leaves_it_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, y = ragged()
    fitted = LSTMClassifier(**QUICK, warm_start=True).fit(X, y)
    expected = fitted.predict_proba(X)

    def slow(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()
        fitted.set_params(pooling="max").fit(X, y)
        return read(*args, **kwargs)

    monkeypatch.setattr("lstm_native.sklearn.base.read", slow)
    assert np.array_equal(fitted.predict_proba(X), expected)
    assert not np.array_equal(fitted.predict_proba(X), expected)


def test_predictions_are_of_what_was_fitted_with_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Labels, and the shape of values, also where a fit of others ends meanwhile."""
    X, y = ragged()
    value = np.array([x.mean() for x in X])
    for fitted, others in (
        (LSTMClassifier(**QUICK).fit(X, y), np.where(y == "up", "left", "right")),
        (LSTMRegressor(**QUICK).fit(X, value), np.stack([value, value], axis=1)),
    ):
        expected = fitted.predict(X)

        def slow(*args: Any, owner: Any = fitted, other: Any = others, **kwargs: Any) -> Any:
            monkeypatch.undo()
            owner.fit(X, other)
            return read(*args, **kwargs)

        monkeypatch.setattr("lstm_native.sklearn.base.read", slow)
        assert np.array_equal(fitted.predict(X), expected)
        assert not np.array_equal(fitted.predict(X), expected)


def test_batches_have_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = ragged(20)
    sizes, whole = [], Model.gradients

    def spy(self: Model, batch: Any, loss: Any) -> Any:
        sizes.append(int(batch.batch_sizes[0]))
        return whole(self, batch, loss)

    monkeypatch.setattr(Model, "gradients", spy)
    LSTMClassifier(**QUICK | {"max_iter": 2, "batch_size": 8}).fit(X, y)
    assert sizes == [8, 8, 4] * 2


def test_a_warm_fit_takes_new_settings() -> None:
    X, y = ragged()
    fitted = LSTMClassifier(**QUICK, warm_start=True).fit(X, y)
    last = fitted.predict_proba(X)
    still = {"pooling": "max", "learning_rate_init": 0.0, "learning_rate": "constant"}
    found = fitted.set_params(**still, max_iter=1).fit(X, y).predict_proba(X)
    assert not np.allclose(found, last)
    output, _ = fitted.lstm_(X[0])
    scores = fitted.coef_ @ output.max(axis=0) + fitted.intercept_
    np.testing.assert_allclose(found[0], np.exp(scores) / np.exp(scores).sum(), rtol=1e-5)
    # The rate of the optimizer, too, and not that of its state.
    before = bits(fitted)
    assert bits(fitted.fit(X, y)) == before
    assert bits(fitted.set_params(learning_rate_init=0.01).fit(X, y)) != before


@pytest.mark.parametrize("options", [
    {"solver": "sgd"}, {"solver": "adamw", "weight_decay": 0.01}, {"max_grad_norm": None},
    {"proj_size": 4, "num_layers": 2}, {"batch_size": 1000}, {"dtype": "float64"},
])  # fmt: skip
def test_every_kind_learns(options: dict[str, Any]) -> None:
    X, y = ragged(100)
    rate = {"learning_rate_init": 0.3} if options.get("solver") == "sgd" else {}
    fitted = LSTMClassifier(**QUICK | {"max_iter": 40} | rate | options).fit(X, y)
    assert fitted.score(X, y) > 0.95
    assert fitted.lstm_.dtype == options.get("dtype", "float32")


def test_dropout_is_of_the_parameter() -> None:
    X, y = ragged(10)
    options = QUICK | {"num_layers": 2, "max_iter": 1, "warm_start": True}
    without, half = (LSTMClassifier(**options, dropout=p).fit(X, y) for p in (0.0, 0.5))
    assert half.lstm_.dropout == 0.5
    assert bits(half) != bits(without)
    assert without.set_params(dropout=0.25).fit(X, y).lstm_.dropout == 0.25
    with pytest.warns(UserWarning, match="dropout option adds dropout after all but last") as told:
        LSTMClassifier(**QUICK, dropout=0.5).fit(X, y)
    assert told[0].filename == __file__


def test_verbose_shows_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    X, y = ragged()
    LSTMClassifier(**QUICK, verbose=True, early_stopping=True).fit(X, y)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("epoch  10 of 10: loss ")
    assert ", score " in last
    # Where it stops before, too.
    patient = QUICK | {"learning_rate": "constant", "tol": 10.0, "max_iter": 100}
    LSTMClassifier(**patient, verbose=True).fit(X, y)
    assert capsys.readouterr().err.splitlines()[-1].startswith("epoch  12 of 100: loss ")
    LSTMClassifier(**QUICK).fit(X, y)
    assert capsys.readouterr().err == ""

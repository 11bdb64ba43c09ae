"""How fitting an estimator of lstm_native.sklearn ends: by itself, by Ctrl-C, by an error."""

import pickle
import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")

from sklearn.exceptions import ConvergenceWarning

from lstm_native.sklearn import LSTMClassifier, LSTMRegressor, training
from lstm_native.sklearn.model import Model
from sequences import QUICK, bits, ragged


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The weights of all models that gave scores, in evaluation mode."""
    seen: list[bytes] = []
    scores = Model.scores

    def spy(self: Model, data: Any) -> np.ndarray:
        assert not self.lstm.training
        seen.append(b"".join(array.tobytes() for array in self.arrays()))
        return scores(self, data)

    monkeypatch.setattr(Model, "scores", spy)
    return seen


EARLY = QUICK | {"learning_rate": "constant", "early_stopping": True, "n_iter_no_change": 4}


def test_early_stopping_keeps_the_best_weights(
    monkeypatch: pytest.MonkeyPatch, validated: list[bytes]
) -> None:
    X, y = ragged(100)
    given = [0.5, 0.6, 0.9, 0.7, 0.9, 0.8, 0.8, 0.8]
    scores = iter(given)
    monkeypatch.setattr(LSTMClassifier, "_merit", lambda *_: next(scores))
    fitted = LSTMClassifier(**EARLY, num_layers=2, dropout=0.5).fit(X, y)
    # The last of those that are best; stopped after the fifth epoch in a row without a better one.
    assert fitted.validation_scores_ == given
    assert fitted.best_validation_score_ == 0.9
    assert fitted.n_iter_ == len(fitted.loss_curve_) == 8
    assert bits(fitted) == validated[4]
    assert not fitted.lstm_.training


def test_the_best_score_is_of_the_weights_that_stay(
    monkeypatch: pytest.MonkeyPatch, validated: list[bytes]
) -> None:
    """When a fit goes on, the weights it began with may be the best."""
    X, y = ragged(100)
    divided = []
    whole = training._epoch
    monkeypatch.setattr(training, "_epoch", lambda *a: divided.append(a[3].copy()) or whole(*a))
    fitted = LSTMClassifier(**EARLY, warm_start=True).fit(X, y)
    found = fitted.best_validation_score_
    for scores, best, kept in (([0.5] * 6, 0.9, 0), ([1.0, *[0.95] * 5], 1.0, 1)):
        validated.clear()
        every = iter([0.9, *scores])
        with monkeypatch.context() as patch:
            patch.setattr(LSTMClassifier, "_merit", lambda *_, every=every: next(every))
            epochs = fitted.n_iter_
            fitted.fit(X, y)
        assert fitted.best_validation_score_ == best
        assert bits(fitted) == validated[kept]
        assert fitted.validation_scores_[epochs:] == scores[: fitted.n_iter_ - epochs]
        assert len(fitted.validation_scores_) == len(fitted.loss_curve_) == fitted.n_iter_
    assert found > 0.5
    # The same sequences are held out every time, and come in another order in every epoch.
    assert len({tuple(sorted(rows)) for rows in divided}) == 1
    assert len({tuple(rows) for rows in divided}) == len(divided)


def test_validation_sequences_are_not_learned_from() -> None:
    X, y = ragged(100)
    seen: list[int] = []
    divided = LSTMClassifier(**QUICK, early_stopping=True)
    whole = training._epoch
    try:
        training._epoch = lambda *args: seen.extend(args[3]) or whole(*args)
        divided.fit(X, y)
    finally:
        training._epoch = whole
    assert len(set(seen)) == 90
    for row, text in (
        (seen[0], "for validation set are all zero"),
        (None, "at least one non-zero"),
    ):
        weights = np.zeros(100) if row is not None else np.ones(100)
        weights[row if row is not None else seen] = row is not None
        with pytest.raises(ValueError, match=text):
            divided.fit(X, y, sample_weight=weights)
    # Of each class the same share.
    rare = np.arange(100) < 20
    for seed in range(5):
        seen.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "_epoch", lambda *args: seen.extend(args[3]) or whole(*args))
            divided.set_params(max_iter=1, random_state=seed).fit(X, rare)
        assert rare[seen].sum() == 18
    with pytest.raises(ValueError, match="validation set is too small"):
        LSTMRegressor(**QUICK, early_stopping=True).fit(X[:5], np.arange(5))


def test_weights_are_of_mean_1_over_what_is_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = ragged(100)
    whole = training._epoch

    def spy(*args: Any) -> float:
        assert args[2].weights[args[3]].mean() == pytest.approx(1)
        return whole(*args)

    monkeypatch.setattr(training, "_epoch", spy)
    LSTMClassifier(**EARLY).fit(X, y, sample_weight=np.arange(100) ** 3)


def test_what_is_said_of_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = ragged(10)
    losses = iter([0.5, 0.3, 0.4, 0.6])
    monkeypatch.setattr(training, "_epoch", lambda *_: next(losses))
    fitted = LSTMClassifier(**QUICK | {"max_iter": 3}).fit(X, y)
    assert (fitted.loss_curve_, fitted.loss_, fitted.best_loss_) == ([0.5, 0.3, 0.4], 0.4, 0.3)
    before = fitted.loss_curve_
    fitted.partial_fit(X, y)
    assert before == [0.5, 0.3, 0.4]  # who has taken it out keeps it
    assert (fitted.n_iter_, fitted.loss_, fitted.best_loss_) == (4, 0.6, 0.3)
    assert fitted.validation_scores_ is fitted.best_validation_score_ is None


def test_the_end_of_training() -> None:
    X, y = ragged()
    options = QUICK | {"learning_rate": "constant"}
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(10\) reached") as told:
        LSTMClassifier(**options, n_iter_no_change=8).fit(X, y)
    assert told[0].filename == __file__
    # Not where it could not have stopped before.
    LSTMClassifier(**options, n_iter_no_change=9).fit(X, y)
    LSTMClassifier(**options, n_iter_no_change=None).fit(X, y)
    # The first epoch is better than none; more than ten after it are not, by so much.
    patient = options | {"max_iter": 100, "tol": 10.0}
    assert LSTMClassifier(**patient).fit(X, y).n_iter_ == 12
    assert LSTMClassifier(**patient, n_iter_no_change=None).fit(X, y).n_iter_ == 100


@pytest.mark.parametrize("place", ["_epoch", "clip_grad_norm_", "_merit"])
def test_interruption_leaves_a_usable_estimator(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = ragged()
    owner = {"_epoch": training, "clip_grad_norm_": training.optim, "_merit": LSTMClassifier}[place]
    whole, calls = getattr(owner, place), []

    def interrupted(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return whole(*args)

    monkeypatch.setattr(owner, place, interrupted)
    with pytest.warns(UserWarning, match="Training interrupted by user") as told:
        fitted = LSTMClassifier(**QUICK, early_stopping=True).fit(X, y)
    assert told[0].filename == __file__
    epochs = 1 if place == "clip_grad_norm_" else 3  # of two batches
    assert fitted.n_iter_ == len(fitted.loss_curve_) == len(fitted.validation_scores_) == epochs
    assert set(fitted.predict(X)) <= set(y)
    assert not fitted.lstm_.training


@pytest.mark.parametrize("early_stopping", [False, True])
def test_interruption_leaves_no_weights_that_ran_away(
    early_stopping: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = ragged()
    wild = {"solver": "sgd", "learning_rate_init": 1e300, "early_stopping": early_stopping}
    new = LSTMClassifier(**QUICK | wild)
    fitted = LSTMClassifier(**QUICK, warm_start=True).fit(X, y).set_params(**wild)
    before = everything(fitted)
    whole, calls = Model.gradients, []

    def interrupted(self: Model, *args: Any) -> Any:
        calls.append(self)
        if len(calls) == 2:
            assert not np.isfinite(self.lstm.flat_parameters).all()
            raise KeyboardInterrupt
        return whole(self, *args)

    monkeypatch.setattr(Model, "gradients", interrupted)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="non-finite parameter"):
        new.fit(X, y)
    assert not hasattr(new, "lstm_")
    calls.clear()
    if early_stopping:  # there are weights from before, which stay
        weights = bits(fitted)
        with np.errstate(all="ignore"), pytest.warns(UserWarning, match="interrupted"):
            fitted.fit(X, y)
        assert bits(fitted) == weights
    else:
        with np.errstate(all="ignore"), pytest.raises(ValueError, match="non-finite parameter"):
            fitted.fit(X, y)
        assert everything(fitted) == before


def everything(estimator: Any) -> bytes:
    return pickle.dumps(estimator)


def test_an_error_leaves_the_estimator_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = ragged()
    values = np.array([[x.mean(), x.max()] for x in X])
    several = LSTMRegressor(**QUICK).fit(X, values)
    one = LSTMRegressor(**QUICK).fit(X, values[:, 0])
    for fitted, other, text in (
        (several, values[:, 0], r"y has 1 value\(s\) per sequence, but had 2"),
        (one, values, r"y has 2 value\(s\) per sequence, but had 1"),
    ):
        before = everything(fitted)
        with pytest.raises(ValueError, match=text):
            fitted.partial_fit(X, other)
        assert everything(fitted) == before
    fitted = LSTMClassifier(**QUICK | {"max_iter": 2, "warm_start": True}).fit(X, y)
    before = everything(fitted)
    # Where Ctrl-C finds no training to end, and where a warning is an error within one.
    for owner, name, error in (
        (LSTMClassifier, "_divided", KeyboardInterrupt), (training, "_epoch", RuntimeWarning),
    ):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, lambda *_, error=error: (_ for _ in ()).throw(error()))
            for learn in (fitted.fit, fitted.partial_fit):
                with pytest.raises(error):
                    learn(X, y)
        assert everything(fitted) == before


def test_a_warning_that_is_an_error_comes_last() -> None:
    X, y = ragged()
    options = QUICK | {"learning_rate": "constant", "n_iter_no_change": 1}
    fitted = LSTMClassifier(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ConvergenceWarning):
            fitted.fit(X, y)
    assert fitted.n_iter_ == 10
    assert fitted.score(X, y) > 0.9


@pytest.mark.parametrize("early_stopping", [False, True])
def test_weights_that_run_away_are_an_error(early_stopping: bool) -> None:
    X, _ = ragged()
    options = QUICK | {"solver": "sgd", "max_grad_norm": None, "warm_start": True}
    tame = LSTMRegressor(**options | {"learning_rate_init": 1e-3, "max_iter": 1})
    tame.fit(X, np.arange(60))
    before = bits(tame)
    wild = LSTMRegressor(**options)
    for regressor in (tame, wild):
        regressor.set_params(learning_rate_init=1e30, early_stopping=early_stopping)
        with (
            np.errstate(all="ignore"),
            pytest.raises(ValueError, match="non-finite parameter weights"),
        ):
            regressor.fit(X, np.arange(60))
    assert bits(tame) == before
    assert tame.n_iter_ == 1
    assert not hasattr(wild, "lstm_")

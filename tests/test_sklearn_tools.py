"""The estimators of lstm_native.sklearn among scikit-learn's own tools."""

import copy
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")

import joblib
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.utils import estimator_html_repr

from lstm_native.sklearn import LSTMClassifier, PerFrame
from sequences import QUICK, bits, objects, padded, ragged


def test_copies_are_the_same(tmp_path: Path) -> None:
    X, y = ragged()
    fitted = LSTMClassifier(**QUICK).fit(X, y)
    file = io.BytesIO()
    joblib.dump(fitted, file)
    file.seek(0)
    for again in (joblib.load(file), copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        assert bits(again) == bits(fitted)
        assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    # What lies in a file cannot be changed, and learns all the same.
    joblib.dump(fitted, tmp_path / "fitted.joblib")
    mapped = joblib.load(tmp_path / "fitted.joblib", mmap_mode="r")
    assert not mapped.coef_.flags.writeable
    assert bits(mapped.partial_fit(X, y)) == bits(copy.deepcopy(fitted).partial_fit(X, y))
    assert bits(mapped) != bits(fitted)
    assert not hasattr(clone(fitted), "lstm_")
    assert bits(clone(fitted).fit(X, y)) == bits(fitted)
    assert "LSTMClassifier" in estimator_html_repr(fitted)


def test_pipelines_and_searches() -> None:
    X, y = ragged()
    pipe = make_pipeline(PerFrame(StandardScaler()), LSTMClassifier(**QUICK))
    assert pipe.fit(X, y).score(X, y) > 0.9
    assert cross_val_score(pipe, objects(X), y, cv=2).mean() > 0.8
    search = GridSearchCV(pipe, {"lstmclassifier__hidden_size": [2, 8]}, cv=2, scoring="roc_auc")
    assert search.fit(X, y).best_score_ > 0.9


def test_lengths_are_routed() -> None:
    sklearn = pytest.importorskip("sklearn")
    X, y = ragged()
    array, lengths = padded(X)
    with sklearn.config_context(enable_metadata_routing=True):
        classifier = LSTMClassifier(**QUICK).set_fit_request(lengths=True)
        classifier.set_score_request(lengths=True)
        search = GridSearchCV(classifier, {"hidden_size": [8]}, cv=2)
        search.fit(array, y, lengths=lengths)
        scaler = PerFrame(StandardScaler()).set_fit_request(lengths=True)
        pipe = make_pipeline(scaler.set_transform_request(lengths=True), classifier)
        routed = pipe.fit(array, y, lengths=lengths).score(array, y, lengths=lengths)
        assert routed == make_pipeline(scaler, classifier).fit(X, y).score(X, y)
    ragged_search = GridSearchCV(LSTMClassifier(**QUICK), {"hidden_size": [8]}, cv=2).fit(X, y)
    assert search.best_score_ == ragged_search.best_score_
    assert bits(search.best_estimator_) == bits(ragged_search.best_estimator_)


SEARCH = """
import joblib
from lstm_native import get_num_threads
print(*joblib.Parallel(2)(joblib.delayed(get_num_threads)() for _ in range(2)))
"""


def test_processes_of_a_search_share_the_cores() -> None:
    """joblib gives each worker its share by OMP_NUM_THREADS, which lstm_native follows."""
    limits = ("LSTM_NATIVE_NUM_THREADS", "OMP_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in limits}
    done = subprocess.run(
        [sys.executable, "-c", SEARCH],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    share = max(joblib.cpu_count() // 2, 1)
    assert done.stdout.strip() == f"{share} {share}", done.stderr


def test_per_frame_gives_back_the_form_it_was_given() -> None:
    X, _ = ragged()
    array, lengths = padded(X, fill=1000.0)
    scaler = PerFrame(StandardScaler()).fit(X)
    frames = np.concatenate(X)
    scaled = scaler.transform(X)
    assert isinstance(scaled, list)
    np.testing.assert_allclose(
        np.concatenate(scaled), (frames - frames.mean(0)) / frames.std(0), atol=1e-5
    )
    same = PerFrame(StandardScaler()).fit(array, lengths=lengths)
    np.testing.assert_allclose(same.transformer_.mean_, scaler.transformer_.mean_, rtol=1e-5)
    assert same.transform(array).shape == array.shape
    assert PerFrame(PCA(2)).fit_transform(array).shape == (*array.shape[:2], 2)
    # With lengths the padding is neither read nor left.
    array[array == 1000.0] = np.nan
    for found in (same.transform(array, lengths), same.fit_transform(array, lengths=lengths)):
        for row, expected in zip(found, scaled, strict=True):
            assert np.array_equal(row[: len(expected)], expected)
            assert not row[len(expected) :].any()
    X[0][1, 2] = np.nan
    assert np.isfinite(PerFrame(SimpleImputer()).fit_transform(X)[0]).all()
    letters = [np.array([["a"], ["b"]]), np.array([["b"]])]
    hot = PerFrame(OneHotEncoder()).fit_transform(letters)
    assert [x.tolist() for x in hot] == [[[1, 0], [0, 1]], [[0, 1]]]
    with pytest.raises(ValueError, match="expecting 3 features"):
        scaler.transform(np.zeros((2, 3, 4)))
    for function in (lambda frames: frames[::2], lambda frames: frames[:, 0]):
        thinned = PerFrame(FunctionTransformer(function)).fit(array)
        with pytest.raises(ValueError, match=r"FunctionTransformer made an array .* row for each"):
            thinned.transform(array)


def test_without_scikit_learn_the_remedy_is_named() -> None:
    older = "sys.modules['sklearn.utils'] = type(sys)('without get_tags')"
    for lost in ("sys.modules['sklearn'] = None", older):
        code = f"import sys; {lost}; import lstm_native.sklearn"
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stderr.splitlines()[-1] == (
            "ImportError: lstm_native.sklearn needs scikit-learn 1.6 or later: "
            "pip install 'lstm-native[sklearn]'"
        )

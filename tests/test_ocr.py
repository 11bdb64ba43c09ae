"""examples/ocr.py: CTC against counting every path and against torch, lines as they are said to be,
and a reader that beats its baseline. And docs/streaming.md: its figures are the committed ones."""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("autograd")
pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")

from autograd.test_util import check_grads

import ctc
import lines
import ocr
from lstm_native.demo import digits

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
TEXT = (ROOT / "docs" / "streaming.md").read_text(encoding="utf-8")
LABELS = [[0, 1], [0, 0], [], [1]]
LENGTHS = np.array([5, 3, 4, 1])


@pytest.fixture
def scores(rng: np.random.Generator) -> Any:
    return rng.normal(size=(5, 4, 3))


def every_spelling(scores: Any) -> dict[tuple[int, ...], float]:
    """The probability of all labels there may be, by the definition."""
    found: dict[tuple[int, ...], float] = {}
    probabilities = np.exp(ctc.log_softmax(scores))
    for path in itertools.product(range(scores.shape[1]), repeat=len(scores)):
        spelled = tuple(k for k, _ in itertools.groupby(path) if k != scores.shape[1] - 1)
        likelihood = np.prod(probabilities[np.arange(len(scores)), path])
        found[spelled] = found.get(spelled, 0) + float(likelihood)
    return found


def test_likelihood_against_every_path(scores: Any) -> None:
    got = ctc.log_likelihood(scores, LENGTHS, LABELS)
    for row, (length, labels) in enumerate(zip(LENGTHS, LABELS, strict=True)):
        expected = every_spelling(scores[:length, row])[tuple(labels)]
        np.testing.assert_allclose(np.exp(got[row]), expected, rtol=1e-12)


def test_likelihood_and_gradient_against_torch(scores: Any, torch: ModuleType) -> None:
    x = torch.tensor(scores, requires_grad=True)
    lengths = [len(labels) for labels in LABELS]
    loss = torch.nn.functional.ctc_loss(
        x.log_softmax(-1), torch.tensor([*itertools.chain(*LABELS)]), torch.tensor(LENGTHS),
        torch.tensor(lengths), blank=2, reduction="none",
    )  # fmt: skip
    loss.sum().backward()
    got = ctc.log_likelihood(scores, LENGTHS, LABELS)
    np.testing.assert_allclose(got, -loss.detach().numpy(), rtol=1e-12)
    gradient = ctc._gradient(got, scores, LENGTHS, LABELS)(np.ones(4))
    np.testing.assert_allclose(gradient, -x.grad.numpy(), atol=1e-12)


def test_gradients(scores: Any) -> None:
    check_grads(lambda s: ctc.log_likelihood(s, LENGTHS, LABELS), modes=["rev"], order=1)(scores)


def test_decoders(scores: Any) -> None:
    for row in range(4):
        spellings = every_spelling(scores[:, row])
        best = max(spellings, key=lambda labels: spellings[labels])
        assert tuple(ctc.beam(scores[:, row], 100)) == best
    sure = 20 * np.eye(3)[[2, 0, 0, 2, 0, 1, 1, 2]]
    assert ctc.greedy(sure) == ctc.beam(sure, 2) == [0, 0, 1]
    # The best path says nothing, and most paths together say 0.
    torn = np.log([[0.4, 0.001, 0.6], [0.4, 0.001, 0.6]])
    assert ctc.greedy(torn) == []
    assert ctc.beam(torn, 5) == [0]


def test_distance_of_readings() -> None:
    for given, right, errors in [("", "", 0), ("12", "", 2), ("132", "12", 1), ("4213", "123", 2)]:
        assert lines.distance(list(map(int, given)), list(map(int, right))) == errors
    images = np.zeros((10, 9), np.float32)
    held = [lines.Line(images, (1, 2)), lines.Line(images, (3, 4))]
    assert lines.error_rate([[1, 2], [3]], held) == 1 / 4


def test_lines_are_written_with_the_digits_given() -> None:
    data, unseen = digits.split(digits.load())
    one = lines.draw(data, 20, np.random.default_rng(1))
    two = lines.draw(data, 20, np.random.default_rng(1))
    other = lines.draw(unseen, 20, np.random.default_rng(1))
    for line, again, held_out in zip(one, two, other, strict=True):
        np.testing.assert_array_equal(line.image, again.image)
        assert lines.FEWEST <= len(line.digits) <= lines.MOST
        assert line.image.shape[0] == lines.HEIGHT
        assert line.image.shape != held_out.image.shape or (line.image != held_out.image).any()
    assert {len(line.digits) for line in lines.draw(data, 50, np.random.default_rng(0), 1)} == {1}


def test_a_line_alone_or_in_a_ragged_batch() -> None:
    parameters = ocr.initial(ocr.HIDDEN, True, seed=0)
    some = lines.draw(digits.load(), 6, np.random.default_rng(0))
    seen, lengths = ocr.side_by_side(some)
    together = ocr.scores(parameters, seen, lengths)
    for row, line in enumerate(some):
        alone = ocr.scores(parameters, *ocr.side_by_side([line]))[:, 0]
        np.testing.assert_allclose(together[: lengths[row], row], alone, rtol=1e-5, atol=1e-6)


def test_the_reader_beats_each_column_for_itself(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "ocr.py", "--quick", "--output", str(tmp_path)],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "ocr.json").read_text())
    errors = figures["error rate"]
    assert figures["quick"]
    assert errors["LSTM, beam"] < 0.8 * errors["each column for itself, beam"]
    assert f"{errors['LSTM, beam']:.2%}" in done.stdout
    assert (tmp_path / "ocr.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_figures_in_the_docs_are_the_committed_ones() -> None:
    figures = json.loads((EXAMPLES / "results" / "ocr.json").read_text())
    assert not figures["quick"]
    assert f"{figures['digits']:,} digits on {figures['lines']} held-out lines" in TEXT
    for name, errors in figures["error rate"].items():
        assert f"| {name} | {errors:.2%} | {figures['whole lines right'][name]:.2%} |" in TEXT
    assert "pip install '.[examples]' && python examples/ocr.py" in TEXT

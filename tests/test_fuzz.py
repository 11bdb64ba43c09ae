"""Two thousand made-up calls, and the machinery that makes millions of them: ``python -m fuzz``.

The long form is ``nox -s fuzz``. The machinery is tried on cases that do what none may do.
"""

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz import cases, supervisor
from fuzz.arrays import Named, normal
from fuzz.calls import Call, Fault, documented, outcome, plain, same
from fuzz.choices import Choices, Seeded
from lstm_native import LSTM, LSTMCell, PackedSequence, _core


class Drawn(Choices):
    """The decisions of hypothesis, which finds the plainest ones that show a fault."""

    def __init__(self, data: st.DataObject) -> None:
        self._draw = data.draw

    def below(self, bound: int) -> int:
        return self._draw(st.integers(0, max(bound - 1, 0)))


@settings(
    max_examples=500, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(st.data())
def test_five_hundred_cases_of_hypothesis(data: st.DataObject) -> None:
    folder = os.getcwd()
    os.chdir(FOLDER)
    try:
        with cases.surroundings():
            cases.play(Drawn(data), threads=1)
    finally:
        os.chdir(folder)


@pytest.fixture(autouse=True, scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    global FOLDER
    FOLDER = tmp_path_factory.mktemp("cases")


FOLDER = Path()


def test_fifteen_hundred_cases_in_a_process_of_their_own() -> None:
    tally = supervisor.run(0, 1500)
    assert str(tally) == "1,500 cases, 0 signals, 0 hangs, 0 faults"


def test_a_case_is_a_pure_function_of_its_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[list[str]] = [[], []]
    monkeypatch.chdir(FOLDER)
    for told_now in told:

        def listening(call: Call, state: Any, told_now: list[str] = told_now) -> Any:
            told_now.append(str(call))
            return outcome(call, state)

        monkeypatch.setattr("fuzz.scenes.outcome", listening)
        with cases.surroundings():
            for seed in range(100):
                cases.play(Seeded(seed), threads=1)
    assert told[0] == told[1]
    assert len(told[0]) > 100


# --- the machinery ---

BAD_WORKER = """
import os, signal, sys, time
from fuzz import cases, worker

def play(choices, threads):
    seed = played.pop(0)
    if seed == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    if seed == 5:
        time.sleep(60)
    if seed == 7:
        raise cases.Fault("seven") if hasattr(cases, "Fault") else AssertionError("seven")

played = list(range(int(sys.argv[1]), 10))
cases.play = play
worker.main()
"""


def test_signals_hangs_and_faults_are_counted_and_survived() -> None:
    reported: list[supervisor.Trouble] = []
    done: list[int] = []
    tally = supervisor.run(
        0, 10, command=(sys.executable, "-c", BAD_WORKER), patience=2.0,
        report=reported.append, progress=done.append,
    )  # fmt: skip
    assert str(tally) == "10 cases, 1 signals, 1 hangs, 1 faults"
    assert [(t.seed, t.kind) for t in reported] == [(3, "signal"), (5, "hang"), (7, "fault")]
    assert "Segmentation fault" in reported[0].text
    assert "seven" in reported[2].text
    assert "--replay 7" in str(reported[2])
    assert done[-1] == 10


def test_workers_that_cannot_begin_are_not_tried_again() -> None:
    with pytest.raises(RuntimeError, match=r"no case at all(.|\n)*ZeroDivisionError"):
        supervisor.run(0, 10, command=(sys.executable, "-c", "1 / 0"))


def call_of(function: Any, **arguments: Any) -> Call:
    return Call(function, arguments, (ValueError,), repeatable=True)


def test_an_exception_that_is_not_documented_is_a_fault() -> None:
    with pytest.raises(Fault, match="raised KeyError"):
        outcome(call_of(lambda: {}["x"]), lambda: None)
    assert not outcome(call_of(lambda: int("x")), lambda: None)[0]


def test_what_a_failed_call_changed_is_a_fault() -> None:
    x = np.zeros(3)

    def change(x: Any) -> None:
        x[1] = 1
        raise ValueError

    with pytest.raises(Fault, match="changed something"):
        outcome(call_of(change, x=x), lambda: None)
    states = iter([1, 2])
    with pytest.raises(Fault, match="changed something"):
        outcome(call_of(int, x="x"), lambda: next(states))


def test_documented_exceptions_are_read_off_docstrings() -> None:
    assert documented(LSTM.__call__) == (TypeError, ValueError, RuntimeError)
    assert documented(LSTM.backward) == (ValueError, RuntimeError, TypeError)
    assert documented(LSTMCell) == (TypeError, RuntimeError, ValueError)
    assert documented(PackedSequence.astype) == ()


def test_plain_values_and_equal_bits() -> None:
    a = np.arange(6.0).reshape(2, 3)
    for odd in (a.astype(">f8"), a[:, ::1].T.copy().T, memoryview(a), a.view(Named)):
        assert same(np.asarray(plain(odd)), a)
    assert not same(a, a + 1)
    assert not same((a, a), (a,))


# --- what the cases found ---


@pytest.mark.parametrize("sizes", [{"num_layers": 2}, {"bidirectional": True}, {"proj_size": 2}])
def test_only_a_cell_goes_by_the_short_way_of_cells(sizes: dict[str, Any]) -> None:
    """Two arrays were made, and the states of all layers and directions written."""
    weights = LSTM(3, 4, **sizes).eval()._weights()
    x = normal(Seeded(0), (5, 3), np.float32)
    assert _core.infer_cell(weights, x, None, -1) is None
    assert _core.infer_cell(LSTM(3, 4)._weights(), x, None, -1) is not None

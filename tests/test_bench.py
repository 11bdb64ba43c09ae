"""The machinery of the benchmark, with tiny repetitions: no test here looks at a time's size."""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import lstm_native  # noqa: E402
from bench import __main__ as command  # noqa: E402 - lies beside the tests, not in the package
from bench import measure, peaks, report, shapes, sides, timing  # noqa: E402
from bench.agreement import disagreement  # noqa: E402
from bench.problem import Problem  # noqa: E402
from bench.shapes import Shape  # noqa: E402

TINY = timing.Effort(samples=2, seconds=0.0, limit=0.0, turns=1)
ROWS = shapes.load()
(OURS,), _ = sides.available([])


def small(shape):
    """The same kind of row at a size that costs nothing."""
    lengths = tuple(range(5, 2, -1)) if shape.lengths else ()
    sizes = {"T": min(shape.T, 5), "N": min(shape.N, 3), "I": 4, "H": 6, "P": 5 if shape.P else 0}
    fields = {"L": shape.L, "D": shape.D, "dtype": shape.dtype, "lengths": lengths}
    fields["stepped"] = shape.stepped
    return Shape(shape.name, shape.kind, **sizes, **fields)


# Many rows are the same when small; dicts keep the first of each.
SMALL = list({replace(small(row), name="", kind="", dense=""): small(row) for row in ROWS}.values())


@pytest.fixture
def quiet(monkeypatch):
    """No waiting for idle cores, no measuring of the machine."""
    monkeypatch.setattr(timing, "settle", lambda: True)
    rates = {"1": 100.0, "2": 200.0}
    memory = [{"name": "memory", "bytes": None, "gbytes": 10.0}]
    facts = {
        "gflops": {"float32": rates, "float64": rates},
        "levels": {"1": memory, "2": memory},
    }
    monkeypatch.setattr(peaks, "measure", lambda threads: facts)


def restored(test):
    """Leave torch's gradient mode and all thread counts as they were."""
    torch = pytest.importorskip("torch")
    before = torch.is_grad_enabled(), torch.get_num_threads()
    try:
        test()
    finally:
        torch.set_grad_enabled(before[0])
        torch.set_num_threads(before[1])


def test_streams_answer_for_their_first_step_whenever_asked():
    runtime = pytest.importorskip("bench.sides.onnx_runtime")
    shape = Shape("s", "stream", T=1, N=2, I=4, H=6, L=2, D=1, stepped=True)
    problem = Problem.of(shape)
    runners = [side.prepare(problem, "forward", 1) for side in (OURS, runtime.SIDE)]
    plain = OURS.prepare(replace(problem, shape=replace(shape, stepped=False)), "forward", 1)
    expected = plain.answers(plain.call())
    for runner in runners:
        for _ in range(3):
            runner.call()
        assert disagreement(expected, runner.answers(runner.call())) is None
    with pytest.raises(ValueError, match="one step"):
        replace(shape, T=2)


def test_streams_are_not_trained():
    given = argparse.Namespace(modes=[], quick=False)
    work = command._work(given, ROWS, {"rows": []})
    stepped = {(shape.name, mode) for shape, mode in work if shape.stepped}
    assert stepped == {("stepped-64", "forward"), ("stepped-silero-vad", "forward")}


def test_rows_cover_every_kind():
    assert {row.kind for row in ROWS} >= {
        "streaming",
        "stream",
        "batch 1",
        "mid batch",
        "large batch",
        "ragged",
        "projection",
        "float64",
    }
    assert len({row.name for row in ROWS}) == len(ROWS) == 36


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row_makes_a_problem(row):
    problem = Problem.of(small(row))
    assert {array.dtype.name for array in problem.state.values()} == {row.dtype}
    assert problem.x.dtype == row.dtype
    assert row.flops("train") == 3 * row.flops("forward") > 0
    if row.lengths:
        assert not problem.grad_output[3:, 2].any()


def test_frames_and_flops_are_those_of_the_plan():
    by_name = {row.name: row for row in ROWS}
    assert by_name["ragged-32x256"].frames == 1716
    assert by_name["ragged-32x200-both-ways"].frames == 684
    assert by_name["one-512"].flops("forward") == 100 * 8 * 512 * 1024
    two_layers = 26 * 32 * 2 * 8 * 256 * ((512 + 256) + (512 + 256))
    assert by_name["mid-32x256-two-layers-both-ways"].flops("forward") == two_layers
    projected = 100 * (8 * 1024 * (512 + 512) + 2 * 1024 * 512)
    assert by_name["projection-one-1024"].flops("forward") == projected


@pytest.mark.parametrize(
    "wrong",
    [
        {"lengths": (5, 4)},
        {"lengths": (4, 3, 2)},
        {"lengths": (5, 3, 4)},
        {"lengths": (5, 3, 0)},
        {"dtype": "float16"},
    ],
)
def test_senseless_rows_are_refused(wrong):
    with pytest.raises(ValueError, match="row: "):
        Shape("row", "kind", T=5, N=3, I=2, H=2, L=1, D=1, **wrong)


@pytest.mark.parametrize("mode", ["forward", "train"])
@pytest.mark.parametrize("row", SMALL, ids=lambda row: row.name)
def test_every_installed_side_agrees_on_every_row(row, mode, quiet):
    def test():
        present, _ = sides.available(list(sides.MODULES))
        result = measure.measure(row, mode, present, [1, 2], TINY)
        assert result["disagreement"] is None
        assert {*result["times"], *result["refused"]} == {side.name for side in present}
        for side in present:
            counts = {"1"} if side.most_threads == 1 else {"1", "2"}
            assert set(result["times"].get(side.name, counts)) == counts
        assert result["best_peer"] in result["times"]
        assert result["ratio"] > 0

    restored(test)


class Wrong:
    """A peer whose answers are ours, but for one."""

    name, version, most_threads = "wrong", "0", None

    def __init__(self, spoil):
        self._spoil = spoil
        self.asked = 0

    def refusal(self, shape, mode):
        return None

    def prepare(self, problem, mode, threads):
        runner = OURS.prepare(problem, mode, threads)
        self.asked += 1
        return sides.Runner(runner.call, lambda result: self._spoil(runner.answers(result)))


def spoil(name, change):
    return lambda answers: answers | {name: change(answers[name])}


@pytest.mark.parametrize(
    ("wrong", "mode", "found"),
    [
        (spoil("c_n", lambda c: c + np.float32(1e-3)), "forward", "c_n: differs by 1.0e-03"),
        (spoil("output", lambda y: y * np.float32(np.nan)), "forward", "output: differs by nan"),
        (
            spoil("output", lambda y: y[:-1]),
            "forward",
            "output: float32(5, 3, 6) against float32(4,",
        ),
        (
            spoil("h_n", lambda h: h.astype(np.float64)),
            "forward",
            "h_n: float32(1, 3, 6) against float64(1,",
        ),
        (spoil("grad_parameters", lambda g: g[::-1]), "train", "grad_parameters: differs by"),
        (lambda answers: {"output": answers["output"]}, "train", "against ['output']"),
    ],
)
def test_a_disagreement_ends_the_row(wrong, mode, found, quiet):
    peer = Wrong(wrong)
    row = small(next(row for row in ROWS if row.name == "mid-32x256"))
    result = measure.measure(row, mode, [OURS, peer], [1, 2], TINY)
    assert peer.asked == 1
    assert result["times"] == {}
    assert result["ratio"] is None
    assert result["disagreement"].startswith("wrong with 1 threads: ")
    assert found in result["disagreement"]


def test_small_differences_are_no_disagreement():
    ours = {"output": np.ones(5, np.float32), "h_n": np.zeros((0, 2), np.float32)}
    near = {"output": np.full(5, 1 + 1e-6, np.float32), "h_n": np.zeros((0, 2), np.float32)}
    assert disagreement(ours, near) is None
    large = {"output": np.full(5, 1e4, np.float32)}
    assert disagreement(large, {"output": large["output"] + np.float32(0.01)}) is None
    assert disagreement(large, {"output": large["output"] + np.float32(1)}) is not None


def test_sides_take_turns(quiet):
    order = []
    calls = {"a": lambda: order.append("a") or time.sleep(0.03), "b": lambda: order.append("b")}
    effort = timing.Effort(samples=6, seconds=0.0, limit=1.0, turns=1)
    times = timing.interleave(calls, effort)
    turns = "".join(
        name for name, before in zip(order, [None, *order], strict=False) if name != before
    )
    assert turns.startswith("abababab")
    assert times["a"].samples == times["b"].samples == 6
    assert times["a"].calls == 1 < times["b"].calls
    assert times["a"].low <= times["a"].median <= times["a"].high
    assert times["a"].median >= 0.03


def test_the_hopeless_get_a_tenth_of_the_time(quiet):
    calls = {name: lambda s=s: time.sleep(s) for name, s in [("a", 0), ("b", 1e-3), ("c", 1e-2)]}
    times = timing.interleave(calls, timing.Effort(samples=30, seconds=0.0, limit=9.0, turns=3))
    assert times["a"].samples == times["b"].samples == 30
    assert times["c"].samples == 3


def test_settle_sees_a_busy_thread(monkeypatch):
    monkeypatch.setattr(timing, "PATIENCE", 0.1)
    stop = threading.Event()

    def spin():
        while not stop.is_set():
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        assert not timing.settle()
    finally:
        stop.set()
        thread.join()
    monkeypatch.setattr(timing, "PATIENCE", 5.0)
    assert timing.settle()


def test_command_writes_json_and_tables(tmp_path):
    output = tmp_path / "result.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench", "--quick", "--rows", "^(stream-64|one-32)$"),
            *("--threads", "1", "--markdown", "--output", str(output)),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(output.read_text())
    assert [(row["row"], row["mode"]) for row in results["rows"]] == [
        ("stream-64", "forward"),
        ("one-32", "forward"),
        ("stream-64", "train"),
        ("one-32", "train"),
    ]
    machine = results["machine"]
    assert machine["cpu"]
    assert machine["cores"] >= 1
    assert machine["isa"] in lstm_native.show_config("dicts")["isas compiled"]
    assert machine["versions"]["lstm_native"]
    assert machine["command"].startswith("python -m bench --quick")
    assert done.stdout.count("| one-32 |") == 2
    assert "### Forward and backward" in done.stdout

    shown = subprocess.run(
        [sys.executable, "-m", "bench", "--show", str(output), "--markdown"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert shown.stdout == done.stdout


def test_command_fails_on_disagreement_and_says_so(monkeypatch, tmp_path, capsys, quiet):
    peer = Wrong(spoil("output", lambda y: y + np.float32(1)))
    monkeypatch.setattr(sides, "available", lambda names: ([OURS, peer], {}))
    options = ["--forward", "--quick", "--rows", "one-32", "--output", str(tmp_path / "r.json")]
    assert command.main(options) == 1
    assert "DISAGREES: wrong with 1 threads: output" in capsys.readouterr().out
    assert json.loads((tmp_path / "r.json").read_text())["rows"][0]["disagreement"]


def test_interrupted_run_keeps_its_rows(monkeypatch, tmp_path, capsys, quiet):
    true_measure = measure.measure
    monkeypatch.setattr(sides, "available", lambda names: ([OURS], {"torch": "not installed"}))

    def interrupted(shape, mode, *rest):
        if shape.name == "one-32":
            raise KeyboardInterrupt
        return true_measure(shape, mode, *rest)

    monkeypatch.setattr(command, "measure", interrupted)
    options = ["--quick", "--rows", "stream-64|one-32", "--output", str(tmp_path / "r.json")]
    assert command.main(options) == 130
    printed = capsys.readouterr()
    assert "stream-64" in printed.out
    assert "interrupted" in printed.err
    assert "torch is absent: not installed" in printed.err
    rows = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert [row["row"] for row in rows] == ["stream-64"]
    assert os.listdir(tmp_path) == ["r.json"]


def test_a_resumed_run_adds_the_missing_rows(monkeypatch, tmp_path, capsys, quiet):
    monkeypatch.setattr(sides, "available", lambda names: ([OURS], {}))
    path = tmp_path / "r.json"
    options = ["--quick", "--forward", "--output", str(path), "--rows"]
    assert command.main([*options, "^one-32$"]) == 0
    first = json.loads(path.read_text())
    assert command.main([*options, "^(one-32|stream-64|deep-speech-2)$", "--resume"]) == 0
    second = json.loads(path.read_text())
    assert second["machine"] == first["machine"]
    assert second["rows"][1] == first["rows"][0]
    assert [row["row"] for row in second["rows"]] == ["stream-64", "one-32"]
    assert "too large for --quick: forward deep-speech-2" in capsys.readouterr().err


def test_a_missing_peer_is_noted_not_fatal(monkeypatch):
    monkeypatch.setitem(sys.modules, "bench.sides.pytorch", None)
    present, absent = sides.available(["torch"])
    assert [side.name for side in present] == ["lstm_native"]
    assert list(absent) == ["torch"]


@pytest.mark.parametrize("options", [["--rows", "("], ["--rows", "no such row"], ["--peers", "x"]])
def test_senseless_options_are_refused(options, capsys):
    with pytest.raises(SystemExit) as refused:
        command.main(options)
    assert refused.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_table_takes_the_better_thread_count_and_the_best_peer():
    times = {"median": 1.0, "low": 1.0, "high": 1.0, "samples": 5, "calls": 1, "restless": 0}
    row = {
        "row": "r",
        "mode": "forward",
        "shape": {"T": 1, "N": 2, "I": 3, "H": 4, "L": 5, "D": 1, "P": 0},
        "flops": 2e9,
        "disagreement": None,
        "times": {"lstm_native": {"2": times}, "torch": {"1": times | {"restless": 1}}},
        "best": {
            "lstm_native": {"threads": 2, "seconds": 0.5},
            "torch": {"threads": 1, "seconds": 1.5},
        },
        "ratio": 3.0,
    }
    machine = {"cpu": "c", "cores": 2, "isa": "avx2", "settings": {"OMP_X": "1"}, "versions": {}}
    results = {
        "machine": machine | {"date": "d", "command": "k"},
        "rows": [row, row | {"ratio": 12.0}],
    }
    text = report.tables(results)
    assert "r    (1, 2, 3, 4, 5, 1)  500 on 2         4     1500 on 1 (restless)  3.00" in text
    assert "Geometric mean over 2 rows: 6.00" in text
    assert "avx2, OMP_X=1" in text

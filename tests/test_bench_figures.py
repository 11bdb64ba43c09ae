"""What the benchmark makes of its times: limits, targets, comparisons, pictures."""

import copy
import importlib
import json

import numpy as np
import pytest

from bench import __main__ as command
from bench import compare, isa, machine, peaks, report, roofline, shapes, targets
from bench.problem import Problem
from bench.shapes import Shape

PEAKS = {
    "gflops": {"float32": {"1": 100.0, "2": 200.0}, "float64": {"1": 50.0, "2": 100.0}},
    "levels": {
        "1": [
            {"name": "L1", "bytes": 1000, "gbytes": 100.0},
            {"name": "L2", "bytes": 10_000, "gbytes": 50.0},
            {"name": "memory", "bytes": None, "gbytes": 10.0},
        ],
        "2": [
            {"name": "L1", "bytes": 1000, "gbytes": 200.0},
            {"name": "memory", "bytes": None, "gbytes": 20.0},
        ],
    },
}


def timed(name="r", mode="forward", kind="batch 1", H=512, ours=1.0, **peers):
    """A measured row with these seconds, quartiles 1 % apart, ours on one thread."""
    best = {"lstm_native": ours} | peers
    peer = min(peers, key=peers.get, default=None)
    shape = Shape(name, kind, T=10, N=1, I=4, H=H, L=1, D=1)
    row = {
        "row": name,
        "mode": mode,
        "shape": {field: getattr(shape, field) for field in Shape.__dataclass_fields__},
        "flops": shape.flops(mode),
        "disagreement": None,
        "times": {
            side: {"1": {"median": s, "low": 0.99 * s, "high": 1.01 * s, "restless": 0}}
            for side, s in best.items()
        },
        "best": {side: {"threads": 1, "seconds": s} for side, s in best.items()},
        "best_peer": peer,
        "ratio": peers[peer] / ours if peer else None,
        "more_threads": None,
        "limit": roofline.limit(shape, mode, PEAKS, 1) | {"reached": 0.5},
    }
    return row | {"targets": targets.judge(row)}


def result(*rows):
    facts = {"cpu": "c", "cores": 2, "isa": "avx2", "settings": {}, "versions": {}}
    facts |= {"date": "d", "command": "k", "peaks": PEAKS}
    return {"machine": facts, "rows": list(rows)}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("uniform", (100, 75, 50, 25)),
        ("geometric", (100, 22, 5, 1)),
        ("one-long", (100, 10, 10, 10)),
    ],
)
def test_lengths_by_rule(rule, expected, tmp_path):
    path = tmp_path / "shapes.toml"
    sizes = "T = 100\nN = 4\nI = 1\nH = 1\nL = 1\nD = 1\n"
    path.write_text(f'[[shape]]\nname = "r"\nkind = "ragged"\n{sizes}lengths = "{rule}"\n')
    assert shapes.load(path)[0].lengths == expected


@pytest.mark.parametrize("rule", shapes.LENGTHS)
@pytest.mark.parametrize(("steps", "rows"), [(1, 1), (1, 3), (7, 1), (5, 40)])
def test_lengths_make_sense_at_the_edges(rule, steps, rows):
    lengths = shapes._lengths({"T": steps, "N": rows, "lengths": rule})
    Shape("r", "ragged", T=steps, N=rows, I=1, H=1, L=1, D=1, lengths=lengths)


def test_ragged_rows_of_every_rule_stand_dense_too():
    rows = shapes.load()
    by_name = {row.name: row for row in rows}
    ragged = [row for row in rows if row.lengths]
    assert len(ragged) == 5
    for row in ragged:
        assert not by_name[row.dense].lengths
        assert by_name[row.dense].frames == row.T * row.N > row.frames


def test_a_dense_row_of_other_sizes_is_refused(tmp_path):
    path = tmp_path / "shapes.toml"
    sizes = "T = 9\nN = 1\nI = 1\nL = 1\nD = 1\n"
    one = f'[[shape]]\nname = "a"\nkind = "k"\nH = 1\n{sizes}'
    path.write_text(f'{one}[[shape]]\nname = "b"\nkind = "k"\nH = 2\ndense = "a"\n{sizes}')
    with pytest.raises(ValueError, match="b: a has other sizes"):
        shapes.load(path)


def test_weights_are_read_once_a_step_and_inputs_once():
    shape = Shape("r", "k", T=10, N=3, I=5, H=8, L=2, D=2, P=4)
    recurrent = 4 * (4 * 8 * 4 + 4 * 8)
    inputs = 4 * 4 * 8 * (5 + 8) * 2
    assert roofline.weight_bytes(shape, "forward") == 10 * 2 * 2 * recurrent + inputs
    assert roofline.weight_bytes(shape, "train") == 2 * roofline.weight_bytes(shape, "forward")
    double = Shape("r", "k", T=10, N=3, I=5, H=8, L=2, D=2, P=4, dtype="float64")
    assert roofline.weight_bytes(double, "train") == 2 * roofline.weight_bytes(shape, "train")


def test_limit_fills_the_nearest_level_first():
    # W_hh has 4 * 4 * 32 * 32 = 16,384 bytes: 1,000 from L1, 10,000 from L2, the rest from memory.
    shape = Shape("r", "k", T=7, N=1, I=1, H=32, L=1, D=1)
    one = roofline.limit(shape, "forward", PEAKS, 1)
    inputs = 512 / 100e9
    assert one["reading"] == pytest.approx(7 * (1e3 / 100e9 + 1e4 / 50e9 + 5384 / 10e9) + inputs)
    assert one["seconds"] == one["reading"] > one["arithmetic"]
    # Two threads have two L1s: each reads 8,192 of the 16,384 bytes.
    two = roofline.limit(shape, "forward", PEAKS, 2)
    assert two["reading"] == pytest.approx(7 * (2e3 / 200e9 + 14384 / 20e9) + 512 / 200e9)


def test_limit_of_a_large_batch_is_arithmetic():
    shape = Shape("r", "k", T=7, N=1000, I=1, H=32, L=1, D=1, dtype="float64")
    limit = roofline.limit(shape, "train", PEAKS, 2)
    assert limit["seconds"] == limit["arithmetic"] == shape.flops("train") / 100e9


def test_every_kind_has_targets_and_a_colour():
    picture = pytest.importorskip("matplotlib") and importlib.import_module("bench.picture")
    kinds = {row.kind for row in shapes.load()}
    assert kinds == {target["kind"] for target in targets._load()["target"]}
    assert kinds == set(picture.COLOURS)


@pytest.mark.parametrize(
    ("kind", "H", "mode", "ratio", "met"),
    [
        ("batch 1", 256, "train", 3.0, [True]),
        ("batch 1", 257, "train", 2.5, [True]),
        ("batch 1", 512, "forward", 2.4, [False]),
        ("batch 1", 1024, "forward", 1.36, [True]),
        ("mid batch", 64, "forward", 2.0, [True, False]),
        ("ragged", 64, "train", 5.1, [True]),
        ("streaming", 64, "forward", 9.0, [True, False]),
        ("streaming", 65, "forward", 9.0, [True]),
        ("streaming", 64, "train", 9.0, []),
    ],
)
def test_targets_are_those_of_the_plan(kind, H, mode, ratio, met):
    row = timed(kind=kind, H=H, mode=mode, torch=ratio)
    assert [target["met"] for target in row["targets"]] == met


def test_ragged_rows_are_held_against_torch_alone():
    row = timed(kind="ragged", torch=3.0, onnxruntime=1.1)
    assert row["ratio"] == pytest.approx(1.1)
    assert row["targets"] == [{"text": ">= 2.5 against torch", "reached": 3.0, "met": True}]
    assert timed(kind="ragged", onnxruntime=1.1)["targets"] == []


def test_tables_say_what_is_missed_and_what_threads_cost():
    slowed = timed("slowed", kind="mid batch", H=64, torch=1.5) | {"more_threads": 1.06}
    text = report.tables(result(slowed, timed("fine", torch=3.0) | {"more_threads": 1.04}))
    assert "1000 on 1 (1.06x on more)" in text
    assert "missed: >= 85% of the limit" in text
    assert "Rows that meet their targets: 1 of 2" in text
    assert "Slower by over 5% with more threads: slowed (1.06x)\n" in text + "\n"
    assert "Geometric mean over 2 rows: 2.12 (target 2.5: missed)" in text


def test_tables_say_what_raggedness_costs():
    ragged, dense = timed("ragged", ours=0.6), timed("dense", ours=1.0)
    ragged["shape"]["dense"] = "dense"
    ragged["flops"] /= 2
    assert "ragged over dense: ragged 1.20" in report.tables(result(ragged, dense))


def test_compare_marks_what_moved_and_judges_by_the_ratio():
    old = result(
        timed("a", torch=2.0),
        timed("b", torch=2.0),
        timed("c", torch=2.0, openvino=0.1),
        timed("d"),
    )
    new = result(
        timed("a", ours=1.005, torch=1.0),
        timed("b", ours=1.2, torch=2.4),
        timed("c", ours=1.2, torch=2.0, onnxruntime=0.1),
        timed("e"),
    )
    changes, lone = compare.compare(old, new)
    assert [change["moved"] for change in changes] == ["", "slower", "slower"]
    assert changes[2]["ratios"] == pytest.approx((2.0, 2.0 / 1.2))
    assert [compare.is_slower(change, 0.1) for change in changes] == [False, False, True]
    assert [compare.is_slower(change, 0.3) for change in changes] == [False, False, False]
    assert lone == [("d", "forward"), ("e", "forward")]


def test_compare_command(tmp_path, capsys):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    report.write(old, result(timed("a"), timed("b", mode="train")))
    report.write(new, result(timed("a", ours=1.5), timed("b", mode="train", ours=0.5)))
    assert command.main(["compare", str(old), str(new)]) == 0
    printed = capsys.readouterr().out
    assert "+50.0%" in printed
    assert "faster" in printed
    assert command.main(["compare", str(old), str(new), "--fail-slower", "60"]) == 0
    assert command.main(["compare", str(old), str(new), "--fail-slower", "40"]) == 1
    assert "slower by more than 40 %: forward a" in capsys.readouterr().out


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_picture(suffix, start, tmp_path):
    pytest.importorskip("matplotlib")
    rows = [timed(f"row-{i}", kind="ragged", ours=0.1 * i, torch=i) for i in range(1, 6)]
    rows += [timed("row-1", mode="train", torch=0.3), timed("alone")]
    source, path = tmp_path / "result.json", tmp_path / f"result{suffix}"
    report.write(source, result(*rows))
    assert command.main(["--show", str(source), "--picture", str(path)]) == 0
    assert path.read_bytes().startswith(start)
    assert path.stat().st_size > 10_000
    for row in rows:
        row["limit"] = None
    report.write(source, result(*rows))
    assert command.main(["--show", str(source), "--picture", str(path)]) == 0


def test_labels_keep_clear_of_each_other():
    pytest.importorskip("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from bench import labels

    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.text(0.52, 0.55, "before")
    labels.place(axes, [(0.5, 0.5 + 0.03 * i, f"word {i}") for i in range(6)], [(0, 0.5, 1, 0.5)])
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 7
    assert not any(a.overlaps(b) for a in boxes for b in boxes if a is not b)
    assert not any(b.y0 < axes.transData.transform((0, 0.5))[1] < b.y1 for b in boxes)


def test_peaks_of_this_machine(monkeypatch):
    def timed(work, iterations):
        done = work(iterations)
        assert done > 0
        return 1e-9, done

    monkeypatch.setattr(peaks, "SECONDS", 1e-9)
    monkeypatch.setattr(peaks, "_timed", timed)
    monkeypatch.setattr(peaks, "_caches", lambda: {"L1": 1 << 14, "L2": 1 << 16, "L3": 1 << 18})
    measured = peaks.measure([1, 2])
    json.dumps(measured)
    for count in ("1", "2"):
        # In the same pretended time a packet of floats does twice as much as one of doubles.
        floats, doubles = (measured["gflops"][t][count] for t in ("float32", "float64"))
        assert floats == pytest.approx(2 * doubles, abs=0.01)
        levels = measured["levels"][count]
        assert [level["name"] for level in levels] == ["L1", "L2", "L3", "memory"]
        assert all(level["gbytes"] > 0 for level in levels)
    assert measured["levels"]["2"][2]["bytes"] == measured["levels"]["1"][2]["bytes"] // 2


def test_cache_sizes_come_from_the_system(monkeypatch, tmp_path):
    facts = [("1", "Data", "48K"), ("1", "Instruction", "64K"), ("2", "Unified", "2048K")]
    for index, values in enumerate(facts):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, value in zip(("level", "type", "size"), values, strict=True):
            (folder / name).write_text(f"{value}\n")
    monkeypatch.setattr(peaks, "CACHES", tmp_path)
    assert peaks._caches() == {"L1": 48 << 10, "L2": 2 << 20, "L3": 32 << 20}


def test_isa_restarts_once_under_its_settings(monkeypatch):
    started = []
    monkeypatch.setattr(isa.os, "execve", lambda *arguments: started.append(arguments))
    monkeypatch.setattr(isa.sys, "argv", ["bench", "--isa", "avx2", "--quick"])
    for name in isa.SETTINGS["avx2"]:
        monkeypatch.delenv(name, raising=False)
    isa.restart("avx2")
    ((_, arguments, environment),) = started
    assert arguments[1:] == ["-m", "bench", "--isa", "avx2", "--quick"]
    for name, value in isa.SETTINGS["avx2"].items():
        assert environment[name] == value
        monkeypatch.setenv(name, value)
    isa.restart("avx2")
    assert len(started) == 1


def test_isa_leaves_out_who_cannot_be_held():
    assert isa.held_peers(["torch", "onnxruntime"], None) == (["torch", "onnxruntime"], {})
    held, unheld = isa.held_peers(["torch", "onnxruntime"], "avx2")
    assert held == ["torch"]
    assert unheld == {"onnxruntime": "no setting holds it to avx2"}


def test_one_state_for_all_rows():
    problem = Problem.of(Shape("r", "k", T=2, N=3, I=2, H=4, L=2, D=1))
    same = problem.with_one_state()
    assert same.h_0.shape == problem.h_0.shape
    np.testing.assert_array_equal(same.c_0, problem.c_0[:, [0, 0, 0]])
    assert same.x is problem.x


def test_resuming_asks_for_the_same_machine(tmp_path, monkeypatch, capsys):
    facts = machine.facts([], [1, 2])
    assert machine.changes(facts, copy.deepcopy(facts) | {"date": "later"}) == []
    path = tmp_path / "r.json"
    report.write(path, {"machine": facts | {"isa": "other"}, "absent": {}, "rows": []})
    with pytest.raises(SystemExit):
        command.main(["--resume", "--peers", "--output", str(path)])
    assert "was made with other isa, versions" in capsys.readouterr().err

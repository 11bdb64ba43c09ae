"""What the README and the docs say is so: the quickstart runs, and every figure of speed is in the
committed result file."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_native
from bench import report

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_quickstart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code
    assert len(code[1].strip().splitlines()) <= 15
    trained = lstm_native.LSTM(6, 5)
    lstm_native.save(tmp_path / "model.safetensors", trained.state_dict(prefix="encoder."))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code[1], names)
    served = lstm_native.load(tmp_path / "trained.safetensors")
    for name, value in names["lstm"].state_dict().items():
        np.testing.assert_array_equal(served[name], value)


@pytest.mark.parametrize("path", ["README.md", "docs/performance.md"])
def test_tables_come_from_the_committed_result(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    printed: set[str] = set()
    rows: set[str] = set()
    for path_of_result in re.findall(r"--output (bench/results/[\w.-]+\.json)", text):
        results = json.loads((ROOT / path_of_result).read_text(encoding="utf-8"))
        printed |= set(report.tables(results, markdown=True).splitlines())
        rows |= {row["row"] for row in results["rows"]}
    shown = [line for line in text.splitlines() if line.split(" | ")[0].lstrip("| ") in rows]
    assert len(shown) >= 12
    assert [line for line in shown if line not in printed] == []


def test_figures_in_the_readme_sentence() -> None:
    said = re.search(r"mean is (\S+) forward and (\S+) forward and backward", README)
    worst = re.search(r"worst row is (\S+) \(forward.*?; (\S+) against torch\) and (\S+) ", README)
    assert said
    assert worst
    path = re.search(r"bench/results/[\w.-]+\.json", README)
    assert path
    rows = json.loads((ROOT / path[0]).read_text(encoding="utf-8"))["rows"]
    modes = ("forward", "train")
    ratios = {mode: [r["ratio"] for r in rows if r["mode"] == mode] for mode in modes}
    to_torch = [
        r["best"]["torch"]["seconds"] / r["best"]["lstm_native"]["seconds"]
        for r in rows
        if r["mode"] == "forward"
    ]
    means = [np.exp(np.mean(np.log(ratios[mode]))) for mode in modes]
    assert list(said.groups()) == [f"{mean:.2f}" for mean in means]
    lows = [min(ratios["forward"]), min(to_torch), min(ratios["train"])]
    assert list(worst.groups()) == [f"{low:.2f}" for low in lows]


def test_account_of_missed_targets() -> None:
    """Each row below its target stands in docs/performance.md with its limit."""
    text = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    path = re.search(r"--output (bench/results/[\w.-]+\.json)", text)
    assert path
    missed = []
    for row in json.loads((ROOT / path[1]).read_text(encoding="utf-8"))["rows"]:
        failed = [target["text"] for target in row["targets"] if not target["met"]]
        if failed:
            limit = row["limit"]
            figures = (row["flops"] / 1e9, limit["bytes"] / 1e6, limit["seconds"] * 1e3)
            cells = [", ".join(failed), row["row"], *(f"{figure:.3g}" for figure in figures)]
            cells += [f"{limit['reached']:.2f}", f"{row['ratio']:.2f}"]
            missed.append(f"| {' | '.join(cells)} |")
    assert missed
    assert [line for line in missed if line not in text.splitlines()] == []


def test_memory_of_a_training_step() -> None:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    path = re.search(r"python -m bench.memory --output (\S+\.json)", text)
    assert path
    sides = json.loads((ROOT / path[1]).read_text(encoding="utf-8"))["sides"]
    for side, measured in sides.items():
        share = measured["added_mb"] / sides["torch"]["added_mb"]
        row = [side, f"{measured['added_mb']:.0f}", f"{measured['step_ms']:.0f}", f"{share:.2f}"]
        assert f"| {' | '.join(row)} |" in text.splitlines()

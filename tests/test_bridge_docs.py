"""The examples of docs/bridges.md run, and its figures are those of the committed result."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "bridges.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("code", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example(code: str) -> None:
    framework = "torch" if "import torch" in code else "autograd"
    pytest.importorskip(framework)
    names: dict[str, Any] = {}
    exec(code, names)


def test_there_is_one_for_each_bridge() -> None:
    for bridge in ("torch", "autograd"):
        assert any(f"lstm_native.bridges.{bridge}" in code for code in EXAMPLES)


def test_costs_come_from_the_committed_result() -> None:
    pytest.importorskip("torch")
    from bench import bridge

    path = re.search(r"--output (bench/results/[\w.-]+\.json)", TEXT)
    assert path
    result = json.loads((ROOT / path[1]).read_text(encoding="utf-8"))
    assert path[0] in result["machine"]["command"]
    table, _ = bridge.tables(result).split("\n\n")
    assert table in TEXT
    most = re.search(r"the bridge's own cost: at most (\d+) us", TEXT)
    assert most
    assert max(row["net"] for row in result["rows"]) <= int(most[1])
    constructor = re.search(
        r"constructor of `PackedSequence`, which takes torch another (\S+) us", TEXT
    )
    assert constructor
    assert constructor[1] == f"{result['packed sequence']:.1f}"


def test_the_script_that_measures_them(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    output = tmp_path / "bridge.json"
    command = [sys.executable, "-m", "bench.bridge", "--quick", "--output", str(output)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = json.loads(output.read_text(encoding="utf-8"))["rows"]
    assert len(rows) == 12
    for row in rows:
        assert row["gross"] == pytest.approx(row["bridge"] - row["own class"])
        assert row["net"] == pytest.approx(row["gross"] - row["empty function"])
        assert (row["empty function"] == 0) is (row["call"] == "inference")

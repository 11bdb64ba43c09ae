"""The examples of docs/sklearn.md run, and its figures are those of the committed result."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", minversion="1.6")

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "sklearn.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("code", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # Processes take seconds to start; what they have of the cores is tried elsewhere.
    names: dict[str, Any] = {}
    exec(code.replace(", n_jobs=2", ""), names)


def test_figures_come_from_the_committed_result() -> None:
    result = json.loads((ROOT / "examples/results/estimators.json").read_text(encoding="utf-8"))
    assert not result["quick"]
    for name, own in result["data"].items():
        least, most = own["steps"]
        steps = f"{most}" if least == most else f"{least} to {most}"
        cells = [name, steps, f"{own['classes']}", f"{own['learned from']:,}"]
        cells.append(f"{own['held out']:,}")
        for found in own["accuracy"].values():
            least, most = min(found), max(found)
            cells.append(f"{np.mean(found):.1%} ({100 * least:.1f} to {100 * most:.1f})")
        assert f"| {' | '.join(cells)} |" in TEXT.splitlines()
    assert (ROOT / "docs" / "estimators.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_that_makes_them(tmp_path: Path) -> None:
    for package in ("aeon", "matplotlib"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    command = "pip install --no-deps aeon==1.6.0 && python examples/estimators.py"
    assert command in TEXT
    assert command in (ROOT / "examples" / "estimators.py").read_text(encoding="utf-8")
    done = subprocess.run(
        [sys.executable, ROOT / "examples/estimators.py", "--quick", "--output", tmp_path],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "estimators.json").read_text(encoding="utf-8"))
    for own in result["data"].values():
        assert all(each > 0.6 for found in own["accuracy"].values() for each in found)
    assert (tmp_path / "estimators.png").read_bytes().startswith(b"\x89PNG")

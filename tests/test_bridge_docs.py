"""The examples of docs/bridges.md run."""

import re
from pathlib import Path
from typing import Any

import pytest

TEXT = (Path(__file__).parents[1] / "docs" / "bridges.md").read_text(encoding="utf-8")
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

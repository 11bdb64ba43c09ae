"""The examples of docs/files.md run, and its figures are so."""

import re
from pathlib import Path
from typing import Any

import pytest

import hostile_bombs  # noqa: F401 - it adds its tricks to those of hostile_files
import hostile_files
from lstm_native import LSTM, save
from lstm_native.__main__ import main

TEXT = (Path(__file__).parents[1] / "docs" / "files.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("code", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save("model.npz", LSTM(3, 4))
    Path("model.npz").rename("model.pt")
    names: dict[str, Any] = {}
    exec(code, names)


def test_count_of_tricks() -> None:
    said = re.search(r"more than (\d+) tricks", TEXT)
    assert said
    assert len(hostile_files.TRICKS) > int(said[1])


def test_commands_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^lstm-native (\w+)", TEXT, re.MULTILINE)
    assert len(commands) == 6
    for command in commands:
        with pytest.raises(SystemExit) as left:
            main([command, "--help"])
        assert left.value.code == 0
        assert f"usage: lstm-native {command}" in capsys.readouterr().out

"""The figures of docs/quantized.md are those of the committed results."""

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "quantized.md").read_text(encoding="utf-8")
BENCH = json.loads(
    (ROOT / "bench" / "results" / "2026-11-22-quantized.json").read_text(encoding="utf-8")
)
MODELS = json.loads((ROOT / "examples" / "results" / "quantized.json").read_text(encoding="utf-8"))


def cells_after(name: str) -> list[str]:
    """The cells of the line of a table whose first one is `name`."""
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


@pytest.mark.parametrize("shape", BENCH["rows"])
def test_times_and_errors(shape: str) -> None:
    found: dict[str, Any] = BENCH["rows"][shape]
    header = cells_after("shape")
    assert set(found) <= set(header)
    for side, cell in zip(header, cells_after(shape), strict=True):
        one = found.get(side)
        assert cell == (f"{one['ms']:.3g} ({one['error']:.0e})" if one else "")


@pytest.mark.parametrize("setting", MODELS["digits"])
def test_what_models_lose(setting: str) -> None:
    read, heard, told = (MODELS[model][setting] for model in ("digits", "vad", "speaker"))
    digits, speech, voices = cells_after(setting)
    assert digits.startswith(f"{read['right']} of {read['of']}")
    assert voices.startswith(f"{told['right']} of {told['of']}")
    if setting == "float32":
        assert speech == ""
        return
    assert digits.endswith(f", {read['turned'] or 'none'} turned")
    assert speech.startswith(f"{heard['turned']} of {heard['windows']};")
    assert f"up to {heard['difference']:.0e}" in speech
    assert f"up to {told['difference']:.0e}" in voices

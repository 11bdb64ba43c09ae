"""Files made to do harm are refused, quickly, in little memory, and whole; so are damaged ones."""

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hostile_bombs  # noqa: F401 - it adds its tricks to those of hostile_files
import hostile_files
from lstm_native import LSTM, load
from machine import WATCHED

SECONDS = 1.0
BYTES = 64_000_000
NEEDS = {"hdf5": "h5py", "keras": "h5py", "onnx": "onnx"}

# VmHWM is the most memory the system has seen the process use, Python and NumPy included.
LOAD = """
import json, os, sys
import lstm_native
start = os.times()
try:
    lstm_native.load(sys.argv[1])
    text = None
except ValueError as error:
    text = str(error)
end = os.times()
with open("/proc/self/status") as file:
    memory = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
print(json.dumps([text, sum(end[:2]) - sum(start[:2]), memory]))
"""


def test_there_are_enough() -> None:
    assert len(hostile_files.TRICKS) >= 50


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is asked of Linux")
@pytest.mark.parametrize("title", hostile_files.TRICKS)
def test_is_refused(title: str, tmp_path: Path) -> None:
    if needed := NEEDS.get(title.split("-")[0]):
        pytest.importorskip(needed)
    path = tmp_path / "files" / title
    path.parent.mkdir()
    path.write_bytes(hostile_files.TRICKS[title](path.parent))
    before = sorted(path.parent.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", LOAD, path],
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    message, seconds, memory = json.loads(done.stdout)
    assert message is not None, "was loaded"
    assert str(path) in message
    assert sorted(path.parent.iterdir()) == before
    if not WATCHED:
        assert seconds < SECONDS
        assert memory < BYTES


def ordinary(kind: str, path: Path) -> bytes:
    """A sound file of a kind, from no framework."""
    if kind == "torch":
        return hostile_files.archive(hostile_files.state(hostile_files.tensor()))
    if kind == "legacy":
        return hostile_files.legacy(hostile_files.state(hostile_files.tensor()))
    pytest.importorskip(NEEDS[kind])
    return (
        hostile_files.onnx_model() if kind == "onnx" else hostile_files.hdf5(hostile_files.ordinary)
    )


KINDS = pytest.mark.parametrize("kind", ["torch", "legacy", "hdf5", "onnx"])


@KINDS
def test_the_sound_file_is_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(ordinary(kind, path))
    (array,) = load(path).values()
    assert array.size in (4, 400)


@KINDS
def test_cut_anywhere(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = ordinary(kind, path)
    step = max(1, len(content) // 400)
    for end in range(0, len(content) - 1, step):
        path.write_bytes(content[:end])
        if kind == "onnx" and end == len(content) - 4:
            continue  # only the version of the operators is gone, which does not matter here
        with pytest.raises(ValueError, match=re.escape(str(path))):
            load(path)


@KINDS
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damage_anywhere(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / f"damaged-{kind}"
    content = bytearray(ordinary(kind, path))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        piece = data.draw(st.binary(max_size=4))
        content[at : at + data.draw(st.integers(0, 4))] = piece
    path.write_bytes(bytes(content) or b"\0")
    with contextlib.suppress(ValueError):
        for array in load(path).values():
            array.tobytes()


def test_a_real_file_cut_anywhere(torch: Any, tmp_path: Path) -> None:
    path = tmp_path / "file"
    for legacy in (False, True):
        state = torch.nn.LSTM(2, 2).state_dict()
        torch.save(state, path, _use_new_zipfile_serialization=not legacy)
        content = path.read_bytes()
        assert LSTM.from_file(path).hidden_size == 2
        for end in np.linspace(0, len(content) - 1, 200).astype(int):
            path.write_bytes(content[:end])
            with pytest.raises(ValueError, match="file"):
                load(path)

"""Files damaged by hands that know their formats: a few of those that ``nox -s fuzz_files`` tries.

And the watch itself: whatever it is there to see, it sees.
"""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fuzz_files import corpus, parent, worker
from machine import SANITIZED

FILES, SEED = 500, 20_261_121

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/clear_refs"), reason="memory is asked of Linux"
)


def faults(folder: Path) -> str:
    found = folder / "faults.jsonl"
    return found.read_text(encoding="utf-8") if found.exists() else ""


def test_damaged_files(tmp_path: Path) -> None:
    parent.prepare(tmp_path, quick=True)
    parent.run(tmp_path, SEED, FILES, lambda now: None)
    assert faults(tmp_path) == ""
    tried, kinds = parent.counted(tmp_path)
    assert tried == FILES == sum(map(sum, kinds.values()))
    written = {path.name.split("-")[0] for path in (tmp_path / "corpus").iterdir()}
    for kind in written:
        assert min(kinds[kind]) > 0, f"{kind}: all or none were refused"


def test_damage_is_the_same_again(tmp_path: Path) -> None:
    corpus.write(tmp_path / "corpus", quick=True)
    (tmp_path / "work").mkdir()
    first, second = (worker.Trial(tmp_path, 3) for _ in range(2))
    contents = [first.write(number) for number in range(40)]
    assert contents == [second.write(number) for number in range(40)]
    assert len({content for _, content in contents}) > 35


def raise_error(path: str) -> None:
    raise KeyError(path)


def refuse_without_path(path: str) -> None:
    raise ValueError("no")


def be_slow(path: str) -> None:
    end = time.process_time() + 1.1
    while time.process_time() < end:
        pass


def take_memory(path: str) -> None:
    np.ones(9_000_000)


def open_another(path: str) -> None:
    Path(path + "x").exists()
    open(path + "x", "w").close()


def start_a_process(path: str) -> None:
    os.system("true")


def open_a_socket(path: str) -> None:
    socket.socket().close()


@pytest.mark.parametrize(
    ("harm", "seen"),
    [
        (raise_error, "KeyError"),
        (refuse_without_path, "a message without the path"),
        (be_slow, " s"),
        (take_memory, " MB"),
        (open_another, "open("),
        (start_a_process, "os.system"),
        (open_a_socket, "socket.__new__"),
    ],
)
def test_harm_is_seen(
    harm: Callable[[str], None], seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "file")
    Path(path).write_bytes(b"")
    monkeypatch.setattr(worker, "use", harm)
    trial: Any = SimpleNamespace(path=path)
    _, fault, _ = worker.watched(trial, worker.Watch(path), memory=True)
    assert seen in fault
    monkeypatch.setattr(worker, "use", lambda path: open(path).close())
    assert worker.watched(trial, worker.Watch(path), memory=True)[:2] == (True, "")


# A sanitizer takes the other for itself.
CRASH = signal.SIGABRT if SANITIZED else signal.SIGSEGV

FALLS = """
import os, sys, time
import numpy as np
folder, seed, start, stop = sys.argv[1], *map(int, sys.argv[2:5])
counters = np.memmap(folder + "/counters", np.int64, "r+")
for counters[0] in range(start, stop):
    if counters[0] == 3:
        os.kill(os.getpid(), {signal})
    if counters[0] == 5:
        time.sleep(60)
counters[0] = stop
"""


def test_crashes_and_hangs_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "PATIENCE", 1.0)
    (tmp_path / "corpus").mkdir()
    np.savez(tmp_path / "corpus" / "npz-x.npz", x=np.ones(3))
    np.zeros(worker.COUNTERS, np.int64).tofile(tmp_path / "counters")
    parent.prepare(tmp_path, quick=True)
    script = FALLS.replace("{signal}", str(int(CRASH)))
    parent.run(tmp_path, 0, 8, lambda now: None, [sys.executable, "-c", script])
    seen = [json.loads(line)["fault"] for line in faults(tmp_path).splitlines()]
    assert seen == [f"signal {int(CRASH)}", "does not come back"]
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["npz-0-3", "npz-0-5"]
    assert parent.counted(tmp_path)[0] == 8

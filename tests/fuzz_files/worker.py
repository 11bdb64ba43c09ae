"""One process that damages files, loads them and watches: ``worker.py FOLDER SEED START STOP``.

Owns what is watched: the kind of error, the processor time, the peak of memory, and what Python
reports that anything opens, imports or starts. A crash is for the parent to see: before each file
its number is written where the parent looks. Exits with AGAIN to be started anew after a fault.

FOLDER holds the corpus in ``corpus``; the current file lies in ``work``, what fails is kept in
``kept`` with a line in ``faults.jsonl``.
"""

import json
import os
import random
import sys
import time
import traceback
import unicodedata  # noqa: F401 - Python imports it to read a literal with \N{...} in it
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fuzz_files import structured
from fuzz_files.corpus import KINDS

SECONDS = 1.0
BYTES = 64_000_000
AGAIN = 3
COUNTERS = 1 + 2 * len(KINDS)  # the number of the file at work; loaded and refused of each kind
WARM_UP = 150

# What Python reports of reading a file, which does nothing outside the process.
_HARMLESS = {
    "array.__new__",
    "builtins.id",
    "compile",  # NumPy's reading of a literal; to run it would be "exec"
    "mmap.__new__",
    "object.__getattr__",
    "sys._getframe",
}


class Watch:
    """The audit events between start and stop that are more than reading one file."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._on = False
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    def start(self) -> None:
        self.seen, self._on = [], True

    def stop(self) -> None:
        self._on = False

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._on or event in _HARMLESS:
            return
        if event == "open" and (arguments[0] == self._path or isinstance(arguments[0], int)):
            return
        self.seen.append(f"{event}{arguments!r}"[:200])


def _status(name: bytes) -> int:
    with open("/proc/self/status", "rb") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))


def _forget_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def use(path: str) -> None:
    """Load a file, touch all of it, and make a network of the first LSTM in it."""
    import lstm_native

    state = lstm_native.load(path)
    left = 20_000_000
    for array in state.values():
        left -= array.nbytes
        if left > 0:
            array.tobytes()
    for found in lstm_native.find_lstms(state)[:1]:
        made: Any = lstm_native.LSTMCell if found.cell else lstm_native.LSTM
        made.from_state_dict(state, found.prefix)


def outcome(path: str) -> tuple[bool, str]:
    """Whether a file was loaded, and what is wrong with the way it was refused."""
    try:
        use(path)
    except ValueError as error:
        return False, "" if path in str(error) else f"a message without the path: {error}"
    except TypeError as error:
        if "should hold floats" in str(error) or "dtype" in str(error):
            return False, ""  # of from_state_dict: an LSTM of integers
        return False, traceback.format_exc(limit=-4)
    except MemoryError:
        return False, "MemoryError"
    except BaseException:
        return False, traceback.format_exc(limit=-4)
    return True, ""


class Trial:
    """The files of a folder, and their damage by number."""

    def __init__(self, folder: Path, seed: int) -> None:
        paths = sorted((folder / "corpus").iterdir())
        self.corpus = [(path.name.split("-")[0], path.read_bytes()) for path in paths]
        self._kinds = sorted({kind for kind, _ in self.corpus})
        self.path = str(folder / "work" / f"{os.getpid()}")
        self._seed = seed

    def write(self, number: int) -> tuple[str, bytes]:
        """Write the file of a number; its kind and content."""
        rng = random.Random(f"{self._seed}-{number}")
        wanted = rng.choice(self._kinds)
        kind, content = rng.choice([one for one in self.corpus if one[0] == wanted])
        content = structured.damaged(kind, content, rng)
        with open(self.path, "wb") as file:
            file.write(content)
        return kind, content


def watched(trial: Trial, watch: Watch, memory: bool) -> tuple[bool, str, int]:
    """Load the file that was written; whether it loaded, what was wrong, the memory it took."""
    before = 0
    if memory:
        _forget_peak()
        before = _status(b"VmRSS")
    start = time.process_time()
    watch.start()
    loaded, fault = outcome(trial.path)
    watch.stop()
    seconds = time.process_time() - start
    taken = _status(b"VmHWM") - before if memory else 0
    if not fault and seconds > SECONDS:
        fault = f"{seconds:.2f} s"
    if not fault and taken > BYTES + 2 * os.path.getsize(trial.path):
        fault = f"{taken / 1e6:.0f} MB"
    if not fault and watch.seen:
        fault = "; ".join(watch.seen)
    return loaded, fault, taken


def run(folder: Path, seed: int, start: int, stop: int) -> int:
    """Try the files of some numbers; AGAIN if a fault may have left something behind."""
    counters = np.memmap(folder / "counters", np.int64, "r+", shape=(COUNTERS,))
    trial = Trial(folder, seed)
    watch = Watch(trial.path)
    memory = os.path.exists("/proc/self/clear_refs")
    for kind, content in trial.corpus:
        Path(trial.path).write_bytes(content)
        loaded, fault = outcome(trial.path)
        if not loaded:
            raise AssertionError(f"a sound file of {kind} was refused: {fault}")
    for number in range(WARM_UP):  # what is imported to refuse a file
        trial.write(-1 - number)
        outcome(trial.path)
    for number in range(start, stop):
        counters[0] = number
        kind, content = trial.write(number)
        loaded, fault, _ = watched(trial, watch, memory)
        counters[1 + 2 * KINDS.index(kind) + (not loaded)] += 1
        if fault:
            keep(folder, seed, number, kind, content, fault)
            counters[0] = number + 1
            return AGAIN
    counters[0] = stop
    return 0


def keep(folder: Path, seed: int, number: int, kind: str, content: bytes, fault: str) -> None:
    """Put a file where someone will look at it, and say what was wrong."""
    name = f"{kind}-{seed}-{number}"
    (folder / "kept" / name).write_bytes(content)
    with open(folder / "faults.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"file": name, "fault": fault}) + "\n")


if __name__ == "__main__":
    started: Callable[..., int] = run
    sys.exit(started(Path(sys.argv[1]), *map(int, sys.argv[2:5])))

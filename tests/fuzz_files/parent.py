"""Starting workers, until all files of a range were tried.

Owns what a worker cannot see of itself: that it crashed, or does not come back.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fuzz_files import corpus, worker

WORKER = [sys.executable, "-m", "fuzz_files.worker"]
PATIENCE = 30.0  # seconds without a next file; the machine may be busy


def prepare(folder: Path, quick: bool = False) -> None:
    """Write the corpus, unless it is there."""
    for name in ("work", "kept"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if not (folder / "counters").exists():
        corpus.write(folder / "corpus", quick)
        np.zeros(worker.COUNTERS, np.int64).tofile(folder / "counters")


def counted(folder: Path) -> tuple[int, dict[str, tuple[int, int]]]:
    """How many files were tried; how many of each kind were loaded, and refused."""
    counters = np.fromfile(folder / "counters", np.int64)
    pairs = map(tuple, counters[1:].reshape(-1, 2).tolist())
    return int(counters[0]), dict(zip(corpus.KINDS, pairs, strict=True))


def run(
    folder: Path,
    seed: int,
    stop: int,
    show: Callable[[int], object],
    command: Sequence[str] = WORKER,
) -> None:
    """Try the files that were not yet, up to number `stop`."""
    while (start := counted(folder)[0]) < stop:
        arguments = [str(folder), str(seed), str(start), str(stop)]
        process = subprocess.Popen(
            [*command, *arguments],
            cwd=Path(__file__).parents[1],
            env=os.environ | {"LSTM_NATIVE_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        code = _wait(process, folder, show)
        if code not in (0, worker.AGAIN):
            _keep(folder, seed, code)
    show(stop)


def _wait(process: "subprocess.Popen[bytes]", folder: Path, show: Callable[[int], object]) -> int:
    """The exit code of a worker; minus a signal if it was killed, or had to be."""
    last, since = -1, time.monotonic()
    while process.poll() is None:
        time.sleep(0.05)
        now = counted(folder)[0]
        show(now)
        if now != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > PATIENCE:
            process.kill()
    return process.wait()


def _keep(folder: Path, seed: int, code: int) -> None:
    """Keep the file that ended a worker, and go on after it."""
    counters = np.fromfile(folder / "counters", np.int64)
    number = int(counters[0])
    if code > 0:
        raise RuntimeError(f"a worker failed by itself, before or at file {number}")
    kind, content = worker.Trial(folder, seed).write(number)
    fault = "does not come back" if code == -9 else f"signal {-code}"
    worker.keep(folder, seed, number, kind, content, fault)
    counters[0] = number + 1
    counters.tofile(folder / "counters")

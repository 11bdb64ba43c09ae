"""Plays any number of cases in processes of their own, and survives them.

Owns the counting: signals, hangs, faults, each with its seed. A worker that dies or hangs is
replaced by one that goes on after the seed at which that happened. Must not know what a case is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.worker import SEED

TESTS = Path(__file__).parents[1]
WORKER = (sys.executable, "-m", "fuzz.worker")
BATCH = 20_000  # cases of one process
PATIENCE = 60.0  # seconds for one case
STARTING = 120.0  # and to come to the first one


@dataclass(frozen=True)
class Trouble:
    """A seed and what came of it; the text may have several lines."""

    seed: int
    kind: str  # "signal", "hang", "fault"
    text: str

    def __str__(self) -> str:
        again = f"cd tests && python -m fuzz --replay {self.seed}"
        return f"{self.kind} of seed {self.seed}: {self.text}\n  {again}"


@dataclass
class Tally:
    """What has come of so many cases."""

    cases: int = 0
    troubles: list[Trouble] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """How many of one kind."""
        return sum(trouble.kind == kind for trouble in self.troubles)

    def __str__(self) -> str:
        counts = ", ".join(f"{self.count(kind)} {kind}s" for kind in ("signal", "hang", "fault"))
        return f"{self.cases:,} cases, {counts}"


class Worker:
    """One process at work on the seeds from ``first`` to ``last - 1``."""

    def __init__(self, first: int, last: int, folder: str, command: Sequence[str]) -> None:
        self.first, self.last = first, last
        self._at = Path(folder) / f"at-{first}"
        self._at.write_bytes(SEED.pack(first - 1))  # not at any yet
        self._out, self._err = (Path(f"{self._at}.{end}") for end in ("out", "err"))
        arguments = [*command, str(first), str(last - first), str(self._at)]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                arguments, stdout=out, stderr=err, cwd=TESTS, env=environment()
            )
        self._seen, self._since = first - 1, time.monotonic()

    def seed(self) -> int:
        """The seed being played; the one before the first as long as none is."""
        return int(SEED.unpack(self._at.read_bytes())[0])

    def running(self) -> bool:
        return self._process.poll() is None

    def hangs(self, patience: float) -> bool:
        """Whether it has been at one seed for too long; it is ended then."""
        seed = self.seed()
        if seed != self._seen:
            self._seen, self._since = seed, time.monotonic()
        limit = patience if seed >= self.first else STARTING
        if time.monotonic() - self._since < limit:
            return False
        self._process.kill()
        self._process.wait()
        return True

    def troubles(self, hung: bool) -> list[Trouble]:
        """What happened in it, once it has ended."""
        found, code, seed = [], self._process.returncode, self.seed()
        for line in self._out.read_text().splitlines():
            fault = json.loads(line)
            found.append(Trouble(fault["seed"], "fault", f"{fault['kind']}: {fault['text']}"))
        said = shortened(self._err.read_text(errors="replace"))
        if hung:
            found.append(Trouble(seed, "hang", said))
        elif code or seed != self.last:
            # A sanitizer, too, ends the process; with a code of its own.
            found.append(Trouble(seed, "signal", f"code {code}\n{said}"))
        return found


def shortened(text: str) -> str:
    """What stands at both ends: a sanitizer says it first, Python last."""
    return text if len(text) <= 8000 else f"{text[:4000]}\n...\n{text[-4000:]}"


def environment() -> dict[str, str]:
    """That of this process, with the modules of the tests to be found, and an end of memory.

    The limit that ``cases`` sets is none to a sanitizer, which reserves more addresses.
    """
    paths = [str(TESTS), os.environ.get("PYTHONPATH", "")]
    options = ["max_allocation_size_mb=512", os.environ.get("ASAN_OPTIONS", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "ASAN_OPTIONS": ":".join(filter(None, options)),
    }


def run(
    first: int,
    count: int,
    workers: int = 1,
    *,
    progress: Callable[[int], object] = lambda done: None,
    report: Callable[[Trouble], object] = print,
    command: Sequence[str] = WORKER,
    batch: int = BATCH,
    patience: float = PATIENCE,
) -> Tally:
    """Play the cases of ``count`` seeds; ``progress`` is told how many are done."""
    tally = Tally()
    waiting = [(s, min(s + batch, first + count)) for s in range(first, first + count, batch)]
    waiting.reverse()
    with tempfile.TemporaryDirectory() as folder:
        active: list[Worker] = []
        while waiting or active:
            while waiting and len(active) < workers:
                active.append(Worker(*waiting.pop(), folder, command))
            time.sleep(0.05)
            for worker in list(active):
                hung = worker.running() and worker.hangs(patience)
                if worker.running():
                    continue
                active.remove(worker)
                troubles = worker.troubles(hung)
                if worker.seed() < worker.first:
                    raise RuntimeError(f"a worker came to no case at all:\n{troubles[0].text}")
                for trouble in troubles:
                    tally.troubles.append(trouble)
                    report(trouble)
                played = min(worker.seed() + 1, worker.last)
                tally.cases += played - worker.first
                if played < worker.last:
                    waiting.append((played, worker.last))
            progress(tally.cases + sum(max(worker.seed() - worker.first, 0) for worker in active))
    return tally

"""What four workers with one network hold in memory: ``python -m bench.sharing``.

Owns three ways to give a network to processes, and the sum of what they have resident, each page
divided by those who share it (PSS). Linux only: it reads ``/proc``.
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

import lstm_native
from lstm_native import LSTM, save

WAYS = {
    "each loads the file": "spawn",
    "forked after the first call": "fork",
    "each maps a packed file": "spawn",
}
WORKERS = 4
UNITS = 1800  # 149 MiB of parameters
QUICK_UNITS, NOTHING = 400, 8
INPUTS, STEPS = 64, 8


def proportional() -> float:
    """Give this process's PSS, in MiB."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def write(folder: Path, units: int) -> int:
    """Write the network in every form that `network` reads; the bytes of its parameters."""
    lstm_native.manual_seed(0)
    lstm = LSTM(INPUTS, units, 2).eval()
    save(folder / "plain.safetensors", lstm)
    save(folder / "packed.safetensors", lstm, packed=True)
    return lstm.flat_parameters.nbytes


def network(way: str, folder: Path) -> LSTM:
    """Make the network, as a worker does it."""
    if way == "each maps a packed file":
        return LSTM.from_file(folder / "packed.safetensors", mmap=True)
    return LSTM.from_file(folder / "plain.safetensors")


def serve(make: Callable[[], LSTM], there: Connection) -> None:
    """Be a worker: call the network, say how long that takes, wait for the others, and measure."""
    lstm_native.set_num_threads(1)
    lstm, x = make(), np.ones((STEPS, 1, INPUTS), np.float32)
    lstm(x)
    there.send(None)
    there.recv()
    times = []
    for _ in range(5):
        start = time.perf_counter()
        lstm(x)
        times.append(time.perf_counter() - start)
    there.send(min(times))
    there.recv()
    there.send(proportional())
    there.recv()


class Made:
    """A network made before: what a forked worker inherits."""

    def __init__(self, lstm: LSTM) -> None:
        self._lstm = lstm

    def __call__(self) -> LSTM:
        return self._lstm


class Making:
    """A network still to be made; its pickle is a name."""

    def __init__(self, way: str, folder: Path) -> None:
        self._way, self._folder = way, folder

    def __call__(self) -> LSTM:
        return network(self._way, self._folder)


def measure(way: str, folder: Path) -> dict[str, float]:
    """Start the workers one way: MiB of all processes together, and ms of a call in a worker."""
    context = multiprocessing.get_context(WAYS[way])
    make: Callable[[], LSTM] = Making(way, folder)
    if WAYS[way] == "fork":
        make = Made(make())
        make()(np.ones((1, 1, INPUTS), np.float32))
    workers = []
    for _ in range(WORKERS):
        here, there = context.Pipe()
        # The contexts have no common type that makes processes.
        process: Any = context.Process  # type: ignore[attr-defined]
        worker = process(target=serve, args=(make, there))
        worker.start()
        there.close()  # so that a worker's death is the end of the pipe, not silence
        workers.append((worker, here))
    for _, pipe in workers:
        pipe.recv()
    seconds = []
    for _, pipe in workers:  # one at a time: caches are not to be shared
        pipe.send(None)
        seconds.append(pipe.recv())
    for _, pipe in workers:
        pipe.send(None)
    total = proportional() + sum(pipe.recv() for _, pipe in workers)
    for worker, pipe in workers:
        pipe.send(None)
        worker.join()
    return {"mib": round(total, 1), "call_ms": round(1e3 * float(np.median(seconds)), 2)}


def all_ways(units: int) -> dict[str, Any]:
    """Measure every way, less what processes hold that have next to no network.

    Each in a process of its own, from which the workers come.
    """
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="sharing-") as name:
        large, small = Path(name, "large"), Path(name, "small")
        for folder in (large, small):
            folder.mkdir()
        bytes_of = write(large, units)
        write(small, NOTHING)
        for way in WAYS:
            found = {}
            for folder in (large, small):
                command = [sys.executable, "-m", "bench.sharing", "--way", way, str(folder)]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                found[folder] = json.loads(done.stdout)
            added = found[large]["mib"] - found[small]["mib"]
            rows[way] = {"mib": round(added, 1), "call_ms": found[large]["call_ms"]}
    return {"workers": WORKERS, "parameters_mib": round(bytes_of / 2**20, 1), "ways": rows}


def table(found: dict[str, Any]) -> str:
    """Draw the table, in Markdown."""
    size = found["parameters_mib"]
    lines = [
        f"| {found['workers']} workers, a network of {size:.0f} MiB | MiB together | of its size "
        f"| ms a call |",
        "| --- | --- | --- | --- |",
    ]
    for way in WAYS:
        row = found["ways"][way]
        lines.append(f"| {way} | {row['mib']:.0f} | {row['mib'] / size:.1f} | {row['call_ms']} |")
    return "\n".join(lines)


def main() -> int:
    """Measure what workers hold that share a network, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.sharing", description=main.__doc__)
    parser.add_argument("--quick", action="store_true", help="a small network")
    parser.add_argument("--way", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.way:
        print(json.dumps(measure(given.way[0], Path(given.way[1]))))
        return 0
    print(table(all_ways(QUICK_UNITS if given.quick else UNITS)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

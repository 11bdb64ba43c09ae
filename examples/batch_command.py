"""The command of the examples of batch inference: one process, one worker, two workers.

Owns options, what is printed and written, and the comparison with one process. Must not know which
engine has the workers.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from tqdm import tqdm

import batches
import lstm_native
from batches import BATCH, Corpus, Floats

# Reads a corpus with so many workers: all states in their order, and the figures.
Reading: TypeAlias = Callable[[Corpus, int], tuple[Floats, dict[str, Any]]]

QUICK, FULL = (640, 64), (6000, 256)  # sequences, units


def in_one_process(corpus: Corpus, threads: int) -> tuple[Floats, dict[str, Any]]:
    """Read all sequences here: their states (N, H), and the figures."""
    before = lstm_native.get_num_threads()
    lstm_native.set_num_threads(threads)
    try:
        lstm, states = corpus.network(), []
        batches.read(lstm, corpus.frames[: corpus.lengths[0]], corpus.lengths[:1])
        start = time.perf_counter()
        for first in tqdm(
            range(0, len(corpus), BATCH), desc="one process", unit="batch", disable=None
        ):
            rows = np.arange(first, min(first + BATCH, len(corpus)))
            states.append(batches.read(lstm, corpus.sequences(rows), corpus.lengths[rows]))
        seconds = time.perf_counter() - start
    finally:
        lstm_native.set_num_threads(before)
    return np.concatenate(states), corpus.figures(seconds, 1, threads)


def run(
    name: str, engine: AbstractContextManager[Reading], quick: bool, output: Path
) -> dict[str, Any]:
    """Make sequences, read them in every way, compare, print and write.

    Parameters
    ----------
    name : str
        Of the engine, and of the JSON file.
    engine : context manager
        Has workers on this machine for as long as it is entered, and gives what reads with them.
    quick : bool
        Few sequences and a small network.
    output : Path
        Where ``batch_<name>.json`` goes.

    Returns
    -------
    dict
        The figures, as in the file.
    """
    count, units = QUICK if quick else FULL
    runs: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="batches-") as folder:
        corpus = batches.make(Path(folder), count, units)
        frames = int(corpus.lengths.sum())
        parameters = corpus.network().flat_parameters.size
        print(f"data      {count} sequences, {frames} frames", flush=True)

        def note(title: str, figures: dict[str, Any]) -> None:
            runs[title] = figures
            rate = figures["frames per second"]
            print(f"{title:<24} {figures['seconds']:8.2f} s  {rate:>9,} frames/s", flush=True)

        expected, figures = in_one_process(corpus, 1)
        note("one process, 1 thread", figures)
        states, figures = in_one_process(corpus, 2)
        note("one process, 2 threads", figures)
        same = np.array_equal(states, expected)
        with engine as read:
            for workers in (1, 2):
                states, figures = read(corpus, workers)
                note(f"{name}, {workers} worker" + "s" * (workers > 1), figures)
                same = same and np.array_equal(states, expected)
    rates = [each["frames per second"] for each in runs.values()]
    one, threaded, single, double = rates
    print(f"gain      2 workers {double / single:.2f} of one, 2 threads {threaded / one:.2f}")
    print(f"bits      {'the same everywhere' if same else 'DIFFERENT'}")
    result = {
        "quick": quick,
        "sequences": count,
        "frames": frames,
        "parameters": parameters,
        "same bits": same,
        "runs": runs,
    }
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"batch_{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"written   {path}")
    return result


def main(
    name: str, engine: Callable[[], AbstractContextManager[Reading]], arguments: list[str] | None
) -> int:
    """Run the command; 1 if an answer differs from that of one process, else 0."""
    parser = argparse.ArgumentParser(description=f"Read ragged sequences with workers of {name}.")
    parser.add_argument("--quick", action="store_true", help="few sequences, in seconds")
    parser.add_argument(
        "--output", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)"
    )
    given = parser.parse_args(arguments)
    return 0 if run(name, engine(), given.quick, given.output)["same bits"] else 1

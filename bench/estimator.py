"""Where the time of an estimator's fit goes: ``python -m bench.estimator``.

Owns the shapes, and the share of a fit that is spent in the compiled core: the rest is NumPy and
Python. Must not know how the estimators work, but that they call ``functional.record`` and
``functional.backward``.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import lstm_native
from bench import machine
from bench.sides import ours
from lstm_native import functional
from lstm_native.sklearn import LSTMClassifier

COLUMNS = ("I", "H", "steps", "pooling", "sequences/s", "in the core")


@dataclass(frozen=True)
class Shape:
    """Sequences of a length drawn from `steps`, and the network that reads them."""

    I: int  # noqa: E741 - the house's alphabet
    H: int
    steps: tuple[int, int]
    pooling: str = "last"


SHAPES = (
    Shape(8, 64, (8, 8)),
    Shape(12, 64, (7, 29)),
    Shape(12, 64, (7, 29), "mean"),
    Shape(12, 64, (7, 29), "max"),
    Shape(40, 128, (50, 150)),
    Shape(40, 128, (50, 150), "mean"),
    Shape(40, 256, (50, 150)),
)


@contextmanager
def clocked(spent: list[float]) -> Iterator[None]:
    """Add up the seconds of all calls of the core within the block."""

    def clock(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = function(*args, **kwargs)
            spent.append(time.perf_counter() - start)
            return result

        return call

    with (
        patch.object(functional, "record", clock(functional.record)),
        patch.object(functional, "backward", clock(functional.backward)),
    ):
        yield


def measure(shape: Shape, sequences: int, epochs: int, repeats: int) -> dict[str, Any]:
    """Fit to random sequences: a row of `COLUMNS`, of the quickest fit."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(shape.steps[0], shape.steps[1] + 1, sequences)
    X = [rng.standard_normal((n, shape.I), np.float32) for n in lengths]
    y = rng.integers(0, 10, sequences)
    classifier = LSTMClassifier(
        shape.H, pooling=shape.pooling, max_iter=epochs, learning_rate="linear",
        n_iter_no_change=None, random_state=0,
    )  # fmt: skip
    fits = []
    for _ in range(repeats + 1):  # the first warms up
        spent: list[float] = []
        with clocked(spent):
            start = time.perf_counter()
            classifier.fit(X, y)
            fits.append((time.perf_counter() - start, sum(spent)))
    seconds, core = min(fits[1:])
    return {
        "I": shape.I, "H": shape.H, "steps": "-".join(str(n) for n in sorted(set(shape.steps))),
        "pooling": shape.pooling, "sequences/s": sequences * epochs / seconds,
        "in the core": core / seconds,
    }  # fmt: skip


def line(row: dict[str, Any]) -> str:
    """One row of the table, in Markdown."""
    cells = [str(row[name]) for name in COLUMNS[:-2]]
    return f"| {' | '.join(cells)} | {row['sequences/s']:,.0f} | {row['in the core']:.0%} |"


def table(result: dict[str, Any]) -> str:
    """The whole table, in Markdown."""
    head = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
    return "\n".join([*head, *map(line, result["rows"])])


def main() -> int:
    """Measure what share of an estimator's fit is spent in the core, and print it as a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.estimator", description=main.__doc__)
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write JSON")
    parser.add_argument("--quick", action="store_true", help="few sequences, to see that it runs")
    arguments = parser.parse_args()
    sequences, epochs, repeats = (64, 1, 1) if arguments.quick else (1000, 3, 5)
    threads = lstm_native.get_num_threads()
    facts = machine.facts([ours.SIDE], [threads])
    facts["command"] = " ".join(["python -m bench.estimator", *sys.argv[1:]])
    rows = [measure(shape, sequences, epochs, repeats) for shape in SHAPES]
    result = {"machine": facts, "threads": threads, "rows": rows}
    print(table(result))
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

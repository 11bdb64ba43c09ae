"""The constants of the cost model, measured on this machine: ``python -m bench.constants``.

Owns one small experiment for each constant of ``cpp/plan.cpp`` and shows what it found beside what
stands there. Every experiment is a network of a shape where that constant decides, dealt out in a
given way; what the model already explains is taken off. Nothing is changed by running this: who
ports the library to another machine compares, and edits the constants.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import lstm_native
from bench import machine
from lstm_native import _core

PLAN = Path(__file__).parents[1] / "cpp" / "plan.cpp"


def in_plan(text: str) -> dict[str, float]:
    """Read the constants of the cost model out of its source."""
    found = re.findall(r"^constexpr (?:double|Index) (\w+) = ([^;]+);", text, re.MULTILINE)
    return {name: _value(expression) for name, expression in found}


def _value(expression: str) -> float:
    number, _, shift = expression.partition("<<")
    return float(number) * 2.0 ** int(shift or 0)


@contextmanager
def dealt(dealing: str, threads: int) -> Iterator[None]:
    """Deal every call out in one way while the block runs."""
    before = lstm_native.get_num_threads()
    lstm_native.set_num_threads(threads)
    _core.force_dealing(dealing)
    try:
        yield
    finally:
        _core.force_dealing("any")
        lstm_native.set_num_threads(before)


def nanoseconds(call: Callable[[], Any], pause: float = 0.0) -> float:
    """Time one call: the lower quartile of half a second of calls, `pause` seconds apart."""
    times: list[int] = []
    call()
    end = time.perf_counter() + (0.5 if not pause else 100 * pause)
    while time.perf_counter() < end or len(times) < 9:
        if pause:
            time.sleep(pause)
        start = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - start)
    return float(np.quantile(times, 0.25))


def of_network(steps: int, rows: int, inputs: int, hidden: int, pause: float = 0.0) -> float:
    """Time one call of a network of one layer."""
    lstm = lstm_native.LSTM(inputs, hidden).eval()
    x = np.random.default_rng(0).standard_normal((steps, rows, inputs)).astype(np.float32)
    return nanoseconds(lambda: lstm(x), pause)


def lanes() -> int:
    """Scalars of float32 in a packet."""
    return {"baseline": 4, "avx2": 8}.get(lstm_native.isa(), 16)


def measure() -> Iterator[tuple[str, float, str]]:
    """Run the experiments: name of the constant, value, and how it was found."""
    width, read_cost = lanes(), in_plan(PLAN.read_text(encoding="utf-8"))["read_cost"]
    with dealt("alone", 1):
        flops = 8 * 512 * 1024 * 40 * 96
        rate = flops / of_network(40, 96, 512, 512) / width
        yield "flops_per_lane", rate, "40 steps, 96 rows, 512 to 512"

        frames, hidden = 400 * 96, 2 * width
        product = 8 * hidden * (hidden + 1) * frames / (rate * width)
        cell = (of_network(400, 96, 1, hidden) - product) / (frames * 2)
        yield "cell_time", cell, f"400 steps, 96 rows, 1 to {hidden}"

        def step(hidden: int) -> float:
            return of_network(1000, 1, 1, hidden) / 1000

        def explained(hidden: int) -> float:
            compute = 8 * hidden * (hidden + 1) / (rate * width)
            return read_cost * compute + hidden / width * cell

        latency = step(width) - cell
        yield "step_time", latency, f"1000 steps of one row, 1 to {width}"
        for name, hidden in (("l1", 32), ("l2", 192), ("l3", 512)):
            read = step(hidden) - latency - explained(hidden)
            kilobytes = 16 * hidden * hidden / 1024
            how = f"1000 steps of one row, 1 to {hidden}: {kilobytes:.0f} KB of weights"
            yield f"{name}_bandwidth", 16 * hidden * hidden / read, how
        alone = step(2 * width)
        call = of_network(1, 1, 1, width)
        sparse = of_network(1, 1, 1, width, 0.01)
    with dealt("units", 2):
        shared = of_network(1000, 1, 1, 2 * width) / 1000
        together = of_network(1, 1, 1, width)
        sparse_together = of_network(1, 1, 1, width, 0.01)
    wait = shared - alone + (alone - latency) / 2
    yield "wait_time", wait, f"1000 steps of one row, 1 to {2 * width}, units on two threads"
    often, seldom = together - call, sparse_together - sparse
    yield (
        "team_time",
        often,
        f"one step of one row, calls one after another; {seldom:.0f} ns at 10 ms",
    )


def main() -> int:
    """Measure all constants and print them beside those of the source."""
    parser = argparse.ArgumentParser(prog="python -m bench.constants", description=main.__doc__)
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write JSON")
    arguments = parser.parse_args()
    written = in_plan(PLAN.read_text(encoding="utf-8"))
    rows = {}
    print(f"{'constant':<16}{'plan.cpp':>10}{'here':>10}  how")
    for name, value, how in measure():
        rows[name] = {"plan": written[name], "here": value, "how": how}
        print(f"{name:<16}{written[name]:>10.4g}{value:>10.4g}  {how}", flush=True)
    if arguments.output:
        result = {"machine": machine.facts([], [1, 2]), "constants": rows}
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What subnormal numbers cost: ``python -m bench.subnormal``.

Owns the comparison of a network fed ordinary numbers with the same network fed numbers below the
smallest normal one, for us and for torch as it comes. What they cost differs from CPU to CPU. Of
many times the lower quartile counts: what else the machine does only adds.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import lstm_native
from bench import machine, timing
from bench.sides.pytorch import PyTorch

STEPS, BATCH, SIZE = 200, 16, 64
THREADS = 1


def inputs() -> dict[str, np.ndarray]:
    """Ordinary numbers, and those that hurt."""
    rng = np.random.default_rng(0)
    ordinary = rng.standard_normal((STEPS, BATCH, SIZE), np.float32)
    return {"ordinary": ordinary, "subnormal": ordinary * np.float32(1e-39)}


def networks() -> tuple[lstm_native.LSTM, torch.nn.LSTM]:
    """The same network twice; without biases, so that what is small stays small."""
    theirs = torch.nn.LSTM(SIZE, SIZE, bias=False)
    ours = lstm_native.LSTM(SIZE, SIZE, bias=False)
    ours.load_state_dict({k: w.numpy() for k, w in theirs.state_dict().items()})
    return ours, theirs


def calls() -> dict[str, Callable[[], object]]:
    """One call of each side and kind, by the name of its figure."""
    ours, theirs = networks()
    ours.eval()

    def training_step(x: np.ndarray) -> Callable[[], object]:
        def step() -> None:
            output, _, tape = ours.record(x)
            ours.backward(tape, output)

        return step

    def torch_step(x: torch.Tensor) -> Callable[[], object]:
        def step() -> None:
            theirs.zero_grad(set_to_none=True)
            output = theirs(x)[0]
            output.backward(output.detach())

        return step

    timed: dict[str, Callable[[], object]] = {}
    for kind, x in inputs().items():
        there = torch.from_numpy(x)
        timed[f"ours forward {kind}"] = lambda x=x: ours(x)  # type: ignore[misc]
        timed[f"torch forward {kind}"] = torch.no_grad()(lambda there=there: theirs(there))
        timed[f"ours training {kind}"] = training_step(x)
        timed[f"torch training {kind}"] = torch_step(there)
    return timed


def main() -> int:
    """Time ordinary and subnormal numbers in turns and print the ratios."""
    parser = argparse.ArgumentParser(prog="python -m bench.subnormal", description=main.__doc__)
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write JSON")
    arguments = parser.parse_args()
    lstm_native.set_num_threads(THREADS)
    torch.set_num_threads(THREADS)
    effort = timing.Effort(samples=100, seconds=2.0, limit=10.0, turns=20)
    times = {name: time.low for name, time in timing.interleave(calls(), effort).items()}
    rows: dict[str, dict[str, Any]] = {}
    print(f"{'side':<18}{'ordinary, ms':>14}{'subnormal, ms':>15}{'ratio':>8}")
    for name in ("ours forward", "torch forward", "ours training", "torch training"):
        ordinary, subnormal = (1e3 * times[f"{name} {kind}"] for kind in inputs())
        rows[name] = {
            "ordinary_ms": round(ordinary, 3),
            "subnormal_ms": round(subnormal, 3),
            "ratio": round(subnormal / ordinary, 2),
        }
        print(f"{name:<18}{ordinary:>14.3f}{subnormal:>15.3f}{subnormal / ordinary:>8.2f}")
    if arguments.output:
        result = {"machine": machine.facts([PyTorch()], [THREADS]), "rows": rows}
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The memory of a training step, as the system counts it: ``python -m bench.memory``.

Owns one process for each side, in which a network of the issue's shape takes three steps, and the
table of what that added to the resident memory at its peak. Linux only: it reads ``/proc``.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine

STATUS = Path("/proc/self/status")
SHAPE = {"T": 500, "N": 32, "I": 512, "H": 512, "L": 2, "D": 1}
CHECKPOINTS = (25, 100)
STEPS = 3


def floats(shape: dict[str, int]) -> dict[str, int]:
    """Count the float32 numbers of a step that keeps everything, by what they are."""
    T, N, inputs, H, L, D = (shape[name] for name in "TNIHLD")
    frames = T * N
    layer_inputs = [inputs, *[D * H] * (L - 1)]
    parameters = sum(D * 4 * H * (width + H + 2) for width in layer_inputs)
    return {
        "tape": 5 * frames * H * L * D,
        "outputs": frames * H * L * D,
        "input gradient": frames * inputs,
        "gradients of parameters": parameters,
    }


def kilobytes(field: str) -> int:
    """Read a field of this process's status: VmRSS is what is resident, VmHWM its peak."""
    lines = STATUS.read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def step_of(side: str) -> Callable[[], None]:
    """Build the network, and what makes one training step of it."""
    T, N, inputs, H, L, D = (SHAPE[name] for name in "TNIHLD")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((T, N, inputs), np.float32)
    grad_output = rng.standard_normal((T, N, D * H), np.float32)
    if side == "torch":
        import torch

        network = torch.nn.LSTM(inputs, H, L, bidirectional=D == 2)
        there, grad = torch.from_numpy(x).requires_grad_(), torch.from_numpy(grad_output)

        def torch_step() -> None:
            network.zero_grad(set_to_none=True)
            there.grad = None
            network(there)[0].backward(grad)

        return torch_step
    import lstm_native

    lstm = lstm_native.LSTM(inputs, H, L, bidirectional=D == 2)
    checkpoint = int(side.partition("=")[2] or 0) or None

    def step() -> None:
        _, _, tape = lstm.record(x, checkpoint=checkpoint)
        lstm.backward(tape, grad_output)

    return step


def run_side(side: str) -> dict[str, float]:
    """Measure one side, in this process: peaks in MB, and the quickest step in ms."""
    step = step_of(side)
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # the peak begins here
    before = kilobytes("VmRSS")
    times = []
    for _ in range(STEPS):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    peak = kilobytes("VmHWM")
    return {
        "added_mb": round((peak - before) / 1024, 1),
        "peak_mb": round(peak / 1024, 1),
        "step_ms": round(1e3 * min(times), 1),
    }


def main() -> int:
    """Measure the peak memory of a training step and print it beside torch's."""
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=main.__doc__)
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write JSON")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(run_side(arguments.side)))
        return 0
    parts = {name: round(4 * count / 2**20, 1) for name, count in floats(SHAPE).items()}
    print(f"{SHAPE}: MB {parts}, together {sum(parts.values()):.1f}")
    sides: dict[str, Any] = {}
    print(f"{'side':<18}{'added, MB':>11}{'peak, MB':>11}{'step, ms':>11}{'of torch':>10}")
    for side in ("torch", "ours", *(f"checkpoint={steps}" for steps in CHECKPOINTS)):
        command = [sys.executable, "-m", "bench.memory", "--side", side]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        row = sides[side] = json.loads(done.stdout)
        ratio = row["added_mb"] / sides["torch"]["added_mb"]
        print(
            f"{side:<18}{row['added_mb']:>11}{row['peak_mb']:>11}{row['step_ms']:>11}{ratio:>10.2f}",
            flush=True,
        )
    if arguments.output:
        facts = machine.facts([], [2])
        result = {"machine": facts, "shape": SHAPE, "parts_mb": parts, "sides": sides}
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Resident memory over many calls: ``python tests/memory/growth.py --calls 100000``.

Owns the measurement: forward and backward over random shapes, networks made and dropped, and calls
that end in an error, each after as many as it takes for Python and NumPy to have what they keep.
Prints kilobytes by kind; more than a megabyte is a failure.
"""

import argparse
import contextlib
import gc
import resource
import sys
from collections.abc import Callable

import numpy as np

import lstm_native
from lstm_native import LSTM, LSTMCell

MOST = 1024  # kilobytes
WARM_UP = 1000


def resident() -> int:
    """Kilobytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


class Calls:
    """One call each, of the next random shape."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.networks = [
            LSTM(5, 8),
            LSTM(5, 7, 2, bidirectional=True, dropout=0.2),
            LSTM(5, 9, 2, proj_size=4, dtype=np.float64),
        ]
        self.evaluating = LSTM(5, 8).eval()

    def forward_backward(self) -> None:
        network = self.networks[self.rng.integers(3)]
        steps, rows = self.rng.integers(1, 20, 2)
        x = self.rng.standard_normal((steps, rows, 5)).astype(network.dtype)
        lengths = self.rng.integers(0, steps + 1, rows) if rows % 2 else None
        output, _, tape = network.record(x, lengths=lengths)
        network.backward(tape, output)
        self.evaluating(x.astype(np.float32))

    def network(self) -> None:
        layers, hidden, rows = self.rng.integers(1, 4, 3)
        network = LSTM(int(layers), int(hidden), int(layers)).eval()
        network(np.zeros((2, rows, layers), np.float32))
        network.stream(int(rows))
        LSTMCell(int(layers), int(hidden))

    def error(self) -> None:
        network, x = self.networks[0], np.zeros((3, 2, 5), np.float32)
        tape = network.record(x)[2]
        network.backward(tape)
        for wrong in (
            lambda: network(x[..., :4]),
            lambda: network(x, (x, x)),
            lambda: network(x, lengths=[4, 1]),
            lambda: network.backward(tape),
            lambda: network.load_state_dict({"weight_ih_l0": x}),
            lambda: LSTM(5, 4, proj_size=4),
            lambda: LSTM(1 << 40, 1 << 40),
            lambda: network.stream(),
            lambda: lstm_native.load(__file__),
        ):
            with contextlib.suppress(ValueError, RuntimeError, TypeError, MemoryError):
                wrong()
                raise AssertionError("no error")


def growth(call: Callable[[], None], count: int) -> int:
    """Kilobytes that stay after so many calls."""
    for _ in range(WARM_UP):
        call()
    gc.collect()
    before = resident()
    for _ in range(count):
        call()
    gc.collect()
    return resident() - before


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--networks", type=int, default=10_000)
    parser.add_argument("--errors", type=int, default=10_000)
    counts = parser.parse_args()
    calls = Calls()
    kept = {
        f"{counts.calls} forward and backward passes": growth(calls.forward_backward, counts.calls),
        f"{counts.networks} networks made and dropped": growth(calls.network, counts.networks),
        f"{counts.errors} rounds of nine errors": growth(calls.error, counts.errors),
    }
    for what, kilobytes in kept.items():
        print(f"{what}: {kilobytes:+d} KB")
    return any(kilobytes > MOST for kilobytes in kept.values())


if __name__ == "__main__":
    sys.exit(main())

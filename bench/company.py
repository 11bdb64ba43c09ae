"""What other libraries in the process cost a call: ``python -m bench.company``.

Owns the orders in which torch, ONNX Runtime and scikit-learn are imported beside this package, one
process for each, and the comparison with a process that has none of them. Each brings an OpenMP
runtime or a thread pool of its own, and has used it once. Ends with an error when an order costs
more than a tenth. The bits are compared in ``tests/test_company.py``.
"""

import argparse
import importlib
import json
import subprocess
import sys
import time
from typing import Any

import numpy as np

ALONE = ("lstm_native",)
ORDERS = (
    ("lstm_native", "torch", "onnxruntime", "sklearn"),
    ("torch", "lstm_native", "onnxruntime", "sklearn"),
    ("onnxruntime", "sklearn", "lstm_native", "torch"),
    ("torch", "onnxruntime", "sklearn", "lstm_native"),
)
CALLS = {
    "one step": {"T": 1, "N": 1, "I": 64, "H": 128, "train": False},
    "forward": {"T": 100, "N": 32, "I": 128, "H": 256, "train": False},
    "one row": {"T": 100, "N": 1, "I": 128, "H": 256, "train": False},
    "forward and backward": {"T": 50, "N": 32, "I": 128, "H": 256, "train": True},
}
WINDOW = 0.012  # seconds that are timed at once, of short calls
MOST = 1.1  # times the time alone
SECONDS = 0.3  # for each call and process


def bring(order: tuple[str, ...]) -> None:
    """Import some libraries in this order, and let those that have threads use them.

    Parameters
    ----------
    order : tuple of str
        Names of packages.
    """
    for name in order:
        module: Any = importlib.import_module(name)
        if name == "torch":
            square = module.ones(512, 512)
            (square @ square).tanh()
        elif name == "sklearn":
            cluster: Any = importlib.import_module("sklearn.cluster")
            cluster.KMeans(2, n_init=1).fit(np.random.default_rng(0).normal(size=(2000, 8)))


def times() -> dict[str, float]:
    """Time every call in this process.

    Returns
    -------
    dict of str to float
        The shortest time of a call, in seconds: whatever else the machine does can only add to it.
    """
    from lstm_native import LSTM  # not before `bring`

    found = {}
    for name, call in CALLS.items():
        lstm = LSTM(call["I"], call["H"])
        x = np.ones((call["T"], call["N"], call["I"]), np.float32)
        if not call["train"]:
            lstm.eval()

        def one(lstm: LSTM = lstm, x: Any = x, train: bool = bool(call["train"])) -> None:
            if train:
                output, _, tape = lstm.record(x)
                lstm.backward(tape, output)
            else:
                lstm(x)

        taken = []
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            start, calls = time.perf_counter(), 0
            while time.perf_counter() - start < WINDOW or not calls:
                one()
                calls += 1
            taken.append((time.perf_counter() - start) / calls)
        found[name] = min(taken)
    return found


def in_process(order: tuple[str, ...]) -> dict[str, float]:
    """Time every call in a process of its own that has imported `order`."""
    code = (
        "import json; from bench import company; "
        f"company.bring({order!r}); print(json.dumps(company.times()))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    found: dict[str, float] = json.loads(subprocess.check_output(command, text=True))
    return found


def main() -> int:
    """Run the command.

    Returns
    -------
    int
        1 when an order costs more than a tenth of a call's time.
    """
    parser = argparse.ArgumentParser(prog="python -m bench.company", description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="processes of each order")
    rounds = parser.parse_args().rounds
    taken: dict[tuple[str, ...], list[dict[str, float]]] = {o: [] for o in (ALONE, *ORDERS)}
    for _ in range(rounds):
        for order, found in taken.items():
            found.append(in_process(order))
    best = {
        order: {name: min(one[name] for one in found) for name in CALLS}
        for order, found in taken.items()
    }
    alone = best.pop(ALONE)
    print(f"{'alone, in microseconds':48}", *(f"{name} {t * 1e6:.1f}" for name, t in alone.items()))
    worst = 0.0
    for order, found_best in best.items():
        ratios = {name: found_best[name] / alone[name] for name in CALLS}
        worst = max(worst, *ratios.values())
        print(f"{', '.join(order):48}", *(f"{name} {r:.3f}" for name, r in ratios.items()))
    print(f"the largest ratio is {worst:.3f}, of {MOST} allowed")
    return 0 if worst <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())

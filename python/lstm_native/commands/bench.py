"""``bench``: how long a network of given sizes takes here.

Owns a short measurement of this package alone. Comparing with others, and with the machine's
limits, is the work of the repository's ``python -m bench``.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

from lstm_native.commands.options import add_json, positive, print_json

SECONDS = 0.5  # for each of the two figures, so that the machine's moods even out


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``bench``."""
    parser = commands.add_parser(
        "bench",
        help="time a network of given sizes on this machine",
        description="Time inference, and one step of training (forward and backward), of a network "
        "of the given sizes; medians. The repository's python -m bench compares with others.",
    )
    for name, default, what in (
        ("steps", 100, "T: steps of each sequence"),
        ("batch", 1, "N: sequences"),
        ("input-size", 64, "I: input features"),
        ("hidden-size", 128, "H: hidden units"),
        ("layers", 1, "L: layers"),
    ):
        text = f"{what} (default: {default})"
        parser.add_argument(f"--{name}", type=positive, default=default, help=text)
    parser.add_argument("--bidirectional", action="store_true", help="both directions")
    parser.add_argument("--threads", type=positive, help="at most so many (default: all)")
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the times; 0."""
    import numpy as np

    from lstm_native import runtime
    from lstm_native.lstm import LSTM

    if arguments.threads:
        runtime.set_num_threads(arguments.threads)
    lstm = LSTM(
        arguments.input_size,
        arguments.hidden_size,
        arguments.layers,
        bidirectional=arguments.bidirectional,
    )
    x = np.random.default_rng(0).standard_normal(
        (arguments.steps, arguments.batch, arguments.input_size), np.float32
    )

    def train() -> None:
        output, _, tape = lstm.record(x)
        lstm.backward(tape, output)

    training = _median(train)
    lstm.eval()
    inference = _median(lambda: lstm(x))
    weights = sum(array.size for name, array in lstm.named_parameters() if "weight" in name)
    flops = 2.0 * weights * arguments.steps * arguments.batch
    result: dict[str, Any] = {
        "network": repr(lstm),
        "steps": arguments.steps,
        "batch": arguments.batch,
        "isa": runtime.isa(),
        "threads": runtime.get_num_threads(),
        "inference": {"seconds": inference, "gflops": flops / inference / 1e9},
        "training": {"seconds": training, "gflops": 3 * flops / training / 1e9},
    }
    if arguments.json:
        print_json(result)
        return 0
    print(f"{lstm}, {arguments.steps} steps, batch {arguments.batch}")
    print(f"{runtime.isa()}, at most {runtime.get_num_threads()} threads, float32; medians")
    for name in ("inference", "training"):
        figures = result[name]
        print(f"{name:9}  {figures['seconds'] * 1e3:10.4f} ms  {figures['gflops']:8.1f} GF/s")
    return 0


def _median(call: Callable[[], Any]) -> float:
    """The median time of a call in seconds."""
    times: list[float] = []
    call()
    end = time.perf_counter() + SECONDS
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]

"""What the torch bridge itself costs: ``python -m bench.bridge``.

Owns the comparison of a call inside torch with the same call of ``lstm_native.LSTM``: same weights,
one thread, sizes at which arithmetic is small. Beside both stands an empty function, which shows
what torch takes for any function written in Python. Must not know how the bridge works.

A call's results are dropped within its time. What a backward pass needs is made outside it.
"""

import argparse
import gc
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import lstm_native
from bench import machine
from bench.sides import ours, pytorch
from lstm_native.bridges.torch import LSTM

SIZE = 8  # input features, hidden units
COLUMNS = ("network", "call", "bridge", "own class", "gross", "empty function", "net")


@dataclass(frozen=True)
class Network:
    """A network and the shape of its input: `lengths` is None for a dense one of one step."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    lengths: tuple[int, ...] | None = None


NETWORKS = (
    Network("one layer"),
    Network("two layers, both directions", {"num_layers": 2, "bidirectional": True}),
    Network("one layer, packed input", lengths=(2, 3)),
    Network("two layers, dropout", {"num_layers": 2, "dropout": 0.2}),
)


class Timed(NamedTuple):
    """A call to time, and what makes its argument beforehand."""

    prepare: Callable[[], Any]
    run: Callable[[Any], object]


class Empty(torch.autograd.Function):
    """``results = Empty.apply(results, gradients, *tensors)``: saves the tensors, computes nothing.

    `gradients` holds one tuple, for one backward pass; taken out of the list, lest torch copies
    gradients that someone else still refers to.
    """

    @staticmethod
    def forward(
        ctx: Any, results: tuple[Tensor, ...], gradients: list[tuple[Tensor, ...]], *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)
        ctx.gradients = gradients
        return results

    @staticmethod
    def backward(ctx: Any, *given: Tensor | None) -> tuple[Tensor | None, ...]:
        return None, None, *ctx.gradients.pop()


class Pair:
    """One network twice, inside torch and of our own class, with the input of each."""

    def __init__(self, network: Network) -> None:
        self.bridge = LSTM(SIZE, SIZE, **network.options)
        self.own = lstm_native.LSTM(SIZE, SIZE, **network.options)
        self.own.load_state_dict({k: w.numpy() for k, w in self.bridge.state_dict().items()})
        self.leaf = torch.randn(1, 1, SIZE, requires_grad=True)
        self.input: Any = self.leaf
        self.array: Any = self.leaf.detach().numpy()
        if network.lengths is not None:
            padded = torch.randn(max(network.lengths), len(network.lengths), SIZE)
            packed = pack_padded_sequence(padded, list(network.lengths), enforce_sorted=False)
            self.leaf = packed.data.requires_grad_()
            self.input = packed._replace(data=self.leaf)
            arrays: list[Any] = [None if t is None else t.detach().numpy() for t in self.input]
            self.array = lstm_native.PackedSequence(*arrays)
        self.leaves: list[Any] = [self.leaf, *self.bridge.parameters()]
        self.results = self.bridge(self.input)
        self.grad = torch.ones_like(data(self.results[0]))

    def train(self, mode: bool) -> None:
        """Set the mode of both."""
        self.bridge.train(mode)
        self.own.train(mode)

    def forward(self, training: bool) -> dict[str, Timed]:
        """The calls of one forward pass; for training with what a backward pass will need."""
        own = self.own.record if training else self.own
        timed = {
            "bridge": Timed(nothing, lambda _: self.bridge(self.input)),
            "own class": Timed(nothing, lambda _: own(self.array)),
        }
        if training:
            timed["empty function"] = Timed(self.ready, self.empty)
        return timed

    def backward(self) -> dict[str, Timed]:
        """The calls of one backward pass."""

        def bridge() -> Tensor:
            self.forget()
            return data(self.bridge(self.input)[0])

        def empty() -> Any:
            self.forget()
            return self.empty(self.ready())[0]

        own, grad = self.own, self.grad.numpy()
        return {
            "bridge": Timed(bridge, lambda output: output.backward(self.grad)),
            "own class": Timed(
                lambda: own.record(self.array)[2], lambda tape: own.backward(tape, grad)
            ),
            "empty function": Timed(empty, lambda output: output.backward(self.grad)),
        }

    def ready(self) -> Any:
        """Results and gradients, new ones as a function would give."""
        output, (h_n, c_n) = self.results
        results = tuple(torch.empty_like(t.detach()) for t in (data(output), h_n, c_n))
        leaf, *weights = (torch.empty_like(leaf.detach()) for leaf in self.leaves)
        return results, [(leaf, None, None, *weights)]

    def empty(self, ready: Any) -> Any:
        """Call the empty function with what the bridge gives to its own."""
        leaf, *weights = self.leaves
        return Empty.apply(*ready, leaf, None, None, *weights)  # type: ignore[no-untyped-call]

    def forget(self) -> None:
        """Drop the gradients, as ``zero_grad()`` does: new ones are then kept, not added."""
        for leaf in self.leaves:
            leaf.grad = None


def nothing() -> None:
    """Prepare nothing."""


def data(output: Tensor | PackedSequence) -> Tensor:
    """The frames of an output."""
    return output.data if isinstance(output, PackedSequence) else output


def medians(timed: dict[str, Timed], calls: int) -> dict[str, float]:
    """Time so many calls of each, in turns of one call.

    So all find the processor's caches as the others left them: none is timed in a loop of its own,
    which no program is.

    Returns
    -------
    dict of str to float
        The median of each, in microseconds.
    """
    times: dict[str, list[int]] = {name: [] for name in timed}
    gc.collect()
    gc.disable()
    try:
        for _ in range(calls):
            for name, (prepare, run) in timed.items():
                argument = prepare()
                start = time.perf_counter_ns()
                run(argument)
                times[name].append(time.perf_counter_ns() - start)
    finally:
        gc.enable()
    return {name: float(np.median(values)) / 1e3 for name, values in times.items()}


def measure(calls: int) -> Iterator[dict[str, Any]]:
    """Measure every call of every network: a row each, of `COLUMNS`."""
    for network in NETWORKS:
        pair = Pair(network)
        for call in ("inference", "training, forward", "training, backward"):
            pair.train(call != "inference")
            if call == "training, backward":
                timed = pair.backward()
            else:
                timed = pair.forward(call != "inference")
            with torch.set_grad_enabled(call != "inference"):
                times = medians(timed, calls)
            gross = times["bridge"] - times["own class"]
            empty = times.setdefault("empty function", 0.0)
            row = {"network": network.name, "call": call, **times}
            yield row | {"gross": gross, "net": gross - empty}


def packed_sequence(calls: int) -> float:
    """Time torch's making of a PackedSequence out of tensors that are there, in microseconds."""
    fields = pack_padded_sequence(torch.randn(3, 2, SIZE), [2, 3], enforce_sorted=False)
    timed = Timed(nothing, lambda _: PackedSequence(*fields))
    return medians({"torch": timed}, calls)["torch"]


def line(row: dict[str, Any]) -> str:
    """One row of the table, in Markdown."""
    cells = [row[name] for name in COLUMNS]
    texts = [cell if isinstance(cell, str) else f"{cell:.1f}" for cell in cells]
    return f"| {' | '.join(texts)} |"


def tables(result: dict[str, Any]) -> str:
    """The whole table, in Markdown, and the sentence under it."""
    head = [f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"]
    return "\n".join([*head, *map(line, result["rows"]), "", sentence(result)])


def sentence(result: dict[str, Any]) -> str:
    """What torch takes for a PackedSequence."""
    return f"torch's constructor of a `PackedSequence` takes {result['packed sequence']:.1f} us."


@contextmanager
def one_thread() -> Iterator[None]:
    """Run the block on one thread, torch's part and ours."""
    before = torch.get_num_threads(), lstm_native.get_num_threads()
    torch.set_num_threads(1)
    lstm_native.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        lstm_native.set_num_threads(before[1])


def main() -> int:
    """Measure the cost of the torch bridge, in microseconds per call, and print it as a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.bridge", description=main.__doc__)
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write JSON")
    parser.add_argument("--quick", action="store_true", help="few calls, to see that it runs")
    arguments = parser.parse_args()
    calls = 3 if arguments.quick else 5000
    torch.manual_seed(0)
    with one_thread():
        facts = machine.facts([ours.SIDE, pytorch.SIDE], [1])
        facts["command"] = " ".join(["python -m bench.bridge", *sys.argv[1:]])
        rows = list(measure(calls))
        made = packed_sequence(calls)
    result = {"machine": facts, "rows": rows, "packed sequence": made}
    print(tables(result))
    if arguments.output:
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

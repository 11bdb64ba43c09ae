"""What may run out of memory: the operations whose allocations are made to fail.

Owns the operations of the public API, and the core's own. Must not know how allocations fail.
"""

import os
import pickle
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import lstm_native
from lstm_native import LSTM, LSTMCell, _core

# The least allocation of a file's reader whose failure must be MemoryError. Below it are CPython's
# parser, which takes what it cannot have for a syntax error, and the Rust under safetensors, which
# ends the process.
LEAST_OF_FILES = 4096


class Operation(NamedTuple):
    """`run` is given what `prepare` returns, which is made with memory to spare."""

    name: str
    run: Callable[[Any], Any]
    prepare: Callable[[], Any] = lambda: None
    least: int = 0  # bytes of an allocation that fails


class World:
    """Networks and data that the operations share, and that none of them may change."""

    def __init__(self, folder: str) -> None:
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((4, 3, 5), np.float32)
        self.resets = np.zeros((4, 3), np.bool_)
        self.resets[1:, 1] = True
        self.training = LSTM(5, 6, 3, dropout=0.4, bidirectional=True, proj_size=4)
        self.evaluating = LSTM(5, 6, 3, bidirectional=True, proj_size=4).eval()
        self.forwards = LSTM(5, 6, 2).eval()
        self.cell = LSTMCell(5, 6).eval()
        self.large = LSTM(40, 40)  # parameters of 51 KB
        self.packed = lstm_native.pack_padded_sequence(self.x, [4, 1, 3], enforce_sorted=False)
        self.files = [os.path.join(folder, f"large.{kind}") for kind in ("npz", "safetensors")]
        for path in self.files:
            lstm_native.save(path, self.large)
        self.mapped = os.path.join(folder, "mapped.safetensors")
        lstm_native.save(self.mapped, self.evaluating, packed=True)
        self.held: list[Any] = []

    def bits(self) -> list[bytes]:
        """All that a failure must leave alone: numbers, and who may write to them."""
        networks = (self.training, self.evaluating, self.forwards, self.cell, self.large)
        generator = lstm_native.random.default_generator.get_state()
        buffers = [network.flat_parameters.base for network in networks]
        return [
            generator.tobytes(),
            bytes(buffer.flags.writeable for buffer in buffers),
            *(buffer.tobytes() for buffer in buffers),
        ]

    def hold(self) -> None:
        """Take and keep the blocks that the core has in store: the next call maps new ones."""
        self.held.append(self.large.record(np.zeros((70, 5, 40), np.float32)))


def public(world: World) -> Iterator[Operation]:
    """The operations of the public API."""
    x, training, evaluating = world.x, world.training, world.evaluating
    long = np.zeros((70, 5, 40), np.float32)
    saved = pickle.dumps(evaluating)
    before = {name: value.copy() for name, value in evaluating.state_dict().items()}
    after = {name: value + 1 for name, value in before.items()}

    def copy() -> LSTM:
        return pickle.loads(saved)

    def recorded(**how: Any) -> Callable[[], Any]:
        return lambda: training.record(x, **how)

    everything = {"return_layers": True, "return_cells": True}

    def backward(record: Any) -> Any:
        output, *_, tape = record
        return training.backward(tape, np.ones_like(output))

    yield Operation("create", lambda _: LSTM(5, 6, 2, bidirectional=True, proj_size=3))
    yield Operation("create a cell", lambda _: LSTMCell(5, 6))
    yield Operation("forward in training mode", lambda _: training(x))
    yield Operation("forward", lambda _: evaluating(x), lambda: evaluating(x))
    yield Operation("forward, the first", lambda network: network(x), copy)
    yield Operation("forward, ragged", lambda _: evaluating(x, lengths=[4, 1, 3]))
    yield Operation("forward, packed", lambda _: evaluating(world.packed))
    yield Operation("forward, resets", lambda _: evaluating(x, resets=world.resets))
    yield Operation("record", lambda _: training.record(x))
    yield Operation("record, checkpoints", lambda _: training.record(x, checkpoint=1))
    yield Operation("record, mapped", lambda _: world.large.record(long), world.hold)
    yield Operation("record, all layers", lambda _: training.record(x, **everything))
    yield Operation("backward", backward, recorded())
    yield Operation("backward, all layers", backward, recorded(**everything))
    yield Operation("backward, checkpoints", backward, recorded(checkpoint=1))
    yield Operation("backward, ragged", backward, recorded(lengths=[4, 1, 3]))
    yield Operation("backward, resets", backward, recorded(resets=world.resets))
    yield Operation("cell", lambda _: world.cell(x[0]))
    yield Operation("stream", lambda _: world.forwards.stream(3))
    yield Operation("step", lambda s: s.step(x[0]), lambda: world.forwards.stream(3))
    yield Operation(
        "load_state_dict",
        lambda _: evaluating.load_state_dict(after),
        lambda: evaluating.load_state_dict(before),
    )
    yield Operation("pickle", lambda _: pickle.dumps(evaluating))
    yield Operation("unpickle", pickle.loads, lambda: saved)
    for path in world.files:
        kind = path.rsplit(".")[-1]
        yield Operation(f"load {kind}", lambda _, p=path: lstm_native.load(p), least=LEAST_OF_FILES)
        yield Operation(
            f"from_file {kind}", lambda _, p=path: LSTM.from_file(p), least=LEAST_OF_FILES
        )

    def mapped() -> LSTM:
        return LSTM.from_file(world.mapped, mmap=True)

    yield Operation("forward, mapped", lambda network: network(x), mapped)
    yield Operation("train, mapped", lambda network: network.train(), mapped)


def core(world: World) -> Iterator[Operation]:
    """The compiled core's functions, called without the Python above them."""
    x, parameters = world.x, world.forwards.flat_parameters
    sizes = (5, 6, 2, True, False, 0)
    weights = _core.pack(parameters, *sizes)
    cell = _core.pack(world.cell.flat_parameters, 5, 6, 1, True, False, 0)
    y, dx = np.empty((4, 3, 6), np.float32), np.empty_like(x)
    h, c = (np.zeros((2, 3, 6), np.float32) for _ in range(2))
    gradients = np.empty_like(parameters)
    generator = _core.Generator(1)

    def record() -> Any:
        return _core.record(weights, x, y, h, c, None, None, None, 0.0, None, None)

    def stream() -> Any:
        return _core.Stream(weights, h.copy(), c.copy())

    def dropping(_: object) -> Any:
        return _core.record(weights, x, y, h, c, None, None, None, 0.5, generator, 1)

    def backward(tape: Any) -> None:
        _core.backward(tape, y, dx, h, c, gradients, False)

    yield Operation("pack", lambda _: _core.pack(parameters, *sizes))
    yield Operation("use_packed", lambda p: _core.use_packed(p, *sizes), weights.panels)
    yield Operation("panels", lambda _: weights.panels())
    yield Operation("infer", lambda _: _core.infer(weights, x, None, False, -1))
    yield Operation("infer_cell", lambda _: _core.infer_cell(cell, x[0], None, -1))
    yield Operation("record", lambda _: record())
    yield Operation("record, dropping", dropping)
    yield Operation("backward", backward, record)
    yield Operation("Stream", lambda _: stream())
    yield Operation("Stream.step", lambda s: s.step(x[0], None), stream)
    yield Operation("Generator", lambda _: _core.Generator(1))
    yield Operation("Generator.get_state", lambda _: generator.get_state())


def team(world: World) -> Iterator[Operation]:
    """Two threads, which have met before: libgomp ends a process without memory for a new team."""
    network, x = world.large, np.ones((20, 6, 40), np.float32)

    def backward(record: Any) -> Any:
        output, _, tape = record
        return network.backward(tape, output)

    lstm_native.set_num_threads(2)
    _core.force_dealing("units")
    backward(network.record(x))
    yield Operation("forward by two threads", lambda _: network(x))
    yield Operation("record by two threads", lambda _: network.record(x))
    yield Operation("backward by two threads", backward, lambda: network.record(x))
    _core.force_dealing("any")
    lstm_native.set_num_threads(1)

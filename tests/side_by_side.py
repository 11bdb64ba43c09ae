"""Eight threads that share what may be shared, all compared by bits.

Owns what the threads do: one network in evaluation mode is called by all, dense, ragged and as
streams, and packed anew now and then; one is flipped between its modes; one generator is drawn
from; each thread trains a network of its own, and all fight over tapes; the count of threads of a
call changes meanwhile. ``test_threads.py`` and its long form, ``exhaustive/threads.py``, use it.
Must not import anything but NumPy beside the project.
"""

import itertools
import sys
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import lstm_native
from builders import Case, bits, network, problem, ragged_lengths, run

THREADS = 8
SHARED = Case(T=20, N=8, I=24, H=48, L=2)
SEPARATE = Case(T=10, N=12, I=20, H=40, L=2, D=2, proj=16, dropout=0.3)

Job = Callable[[], None]


class Count(NamedTuple):
    """How many jobs were done and what went wrong."""

    jobs: int
    faults: list[str]


class Shared:
    """What all threads use, and the bits it must give."""

    def __init__(self) -> None:
        rng = np.random.default_rng(11)
        self.lstm, self.data = network(SHARED, rng).eval(), problem(SHARED, rng)
        self.lengths = ragged_lengths(SHARED, rng)
        self.state = {name: array.copy() for name, array in self.lstm.state_dict().items()}
        self.flipped = network(SHARED, rng)
        self.generator = lstm_native.Generator()
        self.counts = itertools.count()
        self.dense = self.call(self.lstm)
        self.ragged = self.call(self.lstm, self.lengths)
        self.in_turn = self.call(self.flipped)
        self.tapes: list[lstm_native.Tape] = []
        self.gradients = self.differentiate(self.flipped.record(self.data.x)[2])

    def call(self, lstm: lstm_native.LSTM, lengths: np.ndarray | None = None) -> list[bytes]:
        """Return the bits of a call's results."""
        output, state = lstm(self.data.x, self.data.state, lengths=lengths)
        return [bits(array) for array in (output, *state)]

    def differentiate(self, tape: lstm_native.Tape) -> list[bytes]:
        """Return the bits of the gradients, of a tape of the model between its modes."""
        return [bits(array) for array in self.flipped.backward(tape, self.data.d_output)]


def same(got: object, expected: object, what: str) -> None:
    if got != expected:
        raise AssertionError(f"{what}: other bits")


def jobs(shared: Shared, seed: int) -> list[Job]:
    """List what one thread does in turn; one in four flips, loads and sets counts too."""
    own = network(SEPARATE, np.random.default_rng(seed))
    own.generator = lstm_native.Generator().manual_seed(seed)
    data = problem(SEPARATE, np.random.default_rng(seed))
    first = trained(own, seed, data)

    def evaluate() -> None:
        same(shared.call(shared.lstm), shared.dense, "shared model")
        same(shared.call(shared.lstm, shared.lengths), shared.ragged, "shared model, ragged")
        same(shared.call(shared.flipped), shared.in_turn, "model between its modes")

    def stream() -> None:
        steps = shared.lstm.stream(SHARED.N)
        steps.state = shared.data.state
        output = np.stack([steps.step(frame) for frame in shared.data.x])
        same(bits(output), shared.dense[0], "stream")

    def train() -> None:
        same(trained(own, seed, data), first, "training")

    def draw() -> None:
        shared.generator.get_state()
        lstm_native.LSTM(9, 8, dropout=0.0)
        shared.generator.manual_seed(seed)

    def differentiate() -> None:
        recorded = shared.flipped.record(shared.data.x)[2]
        shared.tapes.append(recorded)
        tape = next(iter(shared.tapes), recorded)
        try:
            same(shared.differentiate(tape), shared.gradients, "gradients")
            shared.tapes.remove(tape)
        except (RuntimeError, ValueError):  # another thread had it
            if not tape.consumed:
                raise

    def change() -> None:
        shared.flipped.train(not shared.flipped.training)
        shared.lstm.load_state_dict(shared.state)
        lstm_native.set_num_threads(1 + next(shared.counts) % 4)

    return [evaluate, stream, train, draw, differentiate, *([change] if seed % 4 == 0 else [])]


def trained(lstm: lstm_native.LSTM, seed: int, data) -> list[bytes]:
    """Take a few steps from the network's present parameters; return their bits, and go back."""
    before = lstm.flat_parameters.copy()
    lstm.generator.manual_seed(seed)
    history = []
    for _ in range(3):
        lstm.flat_parameters[...] -= 0.01 * run(lstm, *data).d_parameters
        history.append(bits(lstm.flat_parameters))
    lstm.flat_parameters[...] = before
    return history


def race(seconds: float) -> Count:
    """Let eight threads work for a time, changing over as often as Python can."""
    shared, faults, done = Shared(), [], []
    works = [jobs(shared, seed) for seed in range(THREADS)]
    end = time.perf_counter() + seconds

    def work(own: list[Job]) -> None:
        count = 0
        try:
            while time.perf_counter() < end and not faults:
                own[count % len(own)]()
                count += 1
        except Exception as error:
            faults.append(f"{own[count % len(own)].__name__}: {type(error).__name__}: {error}")
        done.append(count)

    threads = [threading.Thread(target=work, args=(own,)) for own in works]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    return Count(sum(done), faults)

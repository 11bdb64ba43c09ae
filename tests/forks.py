"""A busy process that forks, and children that compute.

Owns how a child is made and asked, what keeps the parent busy, and what a child must get right.
``test_forks.py`` and its long form, ``exhaustive/forks.py``, use it. Must not import torch.
"""

import contextlib
import hashlib
import os
import select
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

import lstm_native
from builders import Case, bits, network, problem, run
from lstm_native.random import default_generator
from machine import SANITIZED

SHARED = Case(T=20, N=32, I=64, H=96, D=2)  # two threads share it
DRAWN = Case(I=256, H=256)  # a millisecond of random numbers
LIMIT = 20.0 if SANITIZED else 2.0  # seconds that a child may take


class Answer(NamedTuple):
    """What a child said within its time (empty if nothing), and how long it took."""

    digest: bytes
    seconds: float


def in_child(work: Callable[[], bytes], seconds: float = LIMIT) -> Answer:
    """Fork, run ``work`` in the child and return its 32 bytes; kill it when it takes longer."""
    reader, writer = os.pipe()
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a process with threads
        child = os.fork()
    if child == 0:
        try:
            os.write(writer, work())
        finally:
            os._exit(0)
    os.close(writer)
    try:
        ready, _, _ = select.select([reader], [], [], seconds)
        return Answer(os.read(reader, 32) if ready else b"", time.perf_counter() - start)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)


class Work:
    """Everything a child does: it draws, packs, computes forward and backward, and evaluates."""

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        self.lstm, self.data = network(SHARED, rng), problem(SHARED, rng)
        self.served = network(SHARED, rng).eval()
        self.state = {name: array.copy() for name, array in self.served.state_dict().items()}

    def __call__(self) -> bytes:
        """Compute, and return a digest of all results."""
        results = run(self.lstm, *self.data)
        evaluated, _ = self.served(self.data.x)
        lstm_native.manual_seed(5)
        drawn = network_drawn()
        arrays = (*results, evaluated, *self.served.parameters(), drawn)
        return hashlib.sha256(b"".join(map(bits, arrays))).digest()


def network_drawn() -> np.ndarray:
    """Initial weights, out of the default generator."""
    return lstm_native.LSTM(DRAWN.I, DRAWN.H).flat_parameters


# --- what keeps the parent busy ---


def nothing(_: Work) -> None:
    time.sleep(0.001)


def computing(work: Work) -> None:
    run(work.lstm, *work.data)


def drawing(_: Work) -> None:
    default_generator._engine.uniform(np.empty(200_000, np.float32), 0.0, 1.0)


def making(_: Work) -> None:
    network_drawn()
    lstm_native.Generator()


def loading(work: Work) -> None:
    """Write and pack the parameters of the network that children evaluate: the same values."""
    work.served.load_state_dict(work.state)
    work.served(work.data.x[:1])


BUSY = (nothing, computing, drawing, making, loading)


@contextlib.contextmanager
def busy(what: Callable[[Work], None], work: Work, threads: int = 2) -> Iterator[None]:
    """Repeat something in threads of their own while the block runs."""
    done = threading.Event()

    def repeat() -> None:
        while not done.is_set():
            what(work)

    workers = [threading.Thread(target=repeat) for _ in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        done.set()
        for worker in workers:
            worker.join()

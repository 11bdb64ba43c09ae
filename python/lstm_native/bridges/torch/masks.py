"""Dropout masks out of torch's own generator.

Owns the loan of torch's default CPU generator: our engine starts in its state and leaves it where
torch would have. Must not know what is drawn.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from lstm_native import functional
from lstm_native.functional import Engine

# Between the two halves of a loan no other call of ours may borrow the same state, or the engine.
_lock = threading.Lock()
_engine = functional.generator(0)


def engine_at(state: bytes) -> Engine:
    """An engine in the state that ``torch.get_rng_state()`` gave."""
    engine = functional.generator(0)
    engine.set_state(state)
    return engine


def state_now() -> bytes:
    """The state of torch's default CPU generator."""
    return bytes(torch.get_rng_state().numpy().data)


def as_tensor(state: bytes) -> Tensor:
    """A state as ``torch.set_rng_state()`` takes it."""
    return torch.from_numpy(np.frombuffer(bytearray(state), np.uint8))


@contextmanager
def borrowed() -> Iterator[tuple[Engine, bytes]]:
    """An engine for the block, and its state before it; torch's generator ends where it ends."""
    with _lock:
        before = state_now()
        _engine.set_state(before)
        yield _engine, before
        torch.set_rng_state(as_tensor(_engine.get_state()))

"""Dropout masks out of torch's own generator.

Owns the loan of torch's default CPU generator: our engine starts in its state and leaves it where
torch would have. Must not know what is drawn.
"""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from lstm_native import _forks, functional
from lstm_native.functional import Engine

Result = TypeVar("Result")

# Between the two halves of a loan no other call of ours may borrow the same state.
_lock = _forks.lock()


def engine_at(state: bytes) -> Engine:
    """An engine in the state that ``torch.get_rng_state()`` gave."""
    engine = functional.generator(0)
    engine.set_state(state)
    return engine


def state_now() -> bytes:
    """The state of torch's default CPU generator."""
    return torch.get_rng_state().numpy().tobytes()


def as_tensor(state: bytes) -> Tensor:
    """A state as ``torch.set_rng_state()`` takes it."""
    return torch.frombuffer(bytearray(state), dtype=torch.uint8)


def borrowed(draw: Callable[[Engine], Result]) -> tuple[Result, bytes]:
    """Call `draw` with an engine; its result, and the engine's state before it.

    torch's generator ends where the engine does.
    """
    with _lock:
        before = state_now()
        engine = engine_at(before)
        result = draw(engine)
        torch.set_rng_state(as_tensor(engine.get_state()))
    return result, before

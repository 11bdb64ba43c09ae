"""Sizes past every memory are refused at once: ValueError or MemoryError, and no time lost.

Nothing here is so small that a machine could have it: 2**48 bytes are more than an address reaches.
"""

import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import lstm_native
from lstm_native import LSTM, LSTMCell, PackedSequence, _core, optim, pack_padded_sequence

AT_ONCE = 0.010  # seconds
PAST_MEMORY = 2**48  # bytes
REFUSED = (ValueError, MemoryError)

ABSURD = st.sampled_from([2**40, 2**46, 2**60, 2**62, 2**63 - 1, 2**63, 2**64, 10**30])
SIZE = st.one_of(st.integers(1, 5), ABSURD)


def refused_at_once(
    call: Callable[..., Any],
    *arguments: Any,
    refused: tuple[type[Exception], ...] = REFUSED,
    **options: Any,
) -> None:
    """Try a few times: others may be at work on this machine."""
    for last in (False, False, True):
        start = time.perf_counter()
        with pytest.raises(refused):
            call(*arguments, **options)
        took = time.perf_counter() - start
        if took < AT_ONCE:
            return
        assert not last, f"{took * 1e3:.0f} ms"


def quick(test: Any) -> Any:
    return settings(
        max_examples=100, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
    )(test)


def parameters(inputs: int, hidden: int, layers: int, directions: int, proj: int) -> int:
    later = directions * (proj or hidden)
    one = lambda i: 4 * hidden * (i + (proj or hidden) + 2) + proj * hidden  # noqa: E731
    return directions * (one(inputs) + (layers - 1) * one(later))


@quick
@given(SIZE, SIZE, SIZE, st.booleans(), st.integers(0, 2))
def test_networks(inputs: int, hidden: int, layers: int, both: bool, proj: int) -> None:
    sizes = inputs, hidden, layers
    assume(proj < hidden and parameters(*sizes, 1 + both, proj) * 4 >= PAST_MEMORY)
    options = {"bidirectional": both, "proj_size": proj}
    refused_at_once(LSTM, *sizes, **options)
    for count in (_core.parameter_count, lambda *a: _core.pack(np.zeros(9, np.float32), *a)):
        try:
            count(*sizes, True, both, proj)
        except (*REFUSED, OverflowError):
            continue
        assert count is _core.parameter_count  # which can count what nobody can have


@quick
@given(SIZE, SIZE)
def test_cells(inputs: int, hidden: int) -> None:
    assume(parameters(inputs, hidden, 1, 1, 0) * 4 >= PAST_MEMORY)
    refused_at_once(LSTMCell, inputs, hidden)


EXTENTS = st.sampled_from([2**46, 2**48, 2**57])


def absurd(choice: int, extent: int, *shape: int, dtype: Any = np.float32) -> np.ndarray:
    """An array of one number that says it is that long along one axis."""
    extents = list(shape)
    extents[choice % len(extents)] = extent
    return np.broadcast_to(np.zeros((), dtype), extents)


@quick
@given(EXTENTS, st.integers(0, 1), st.booleans(), st.booleans(), st.booleans())
def test_steps_and_rows(extent: int, axis: int, first: bool, training: bool, given: bool) -> None:
    lstm = LSTM(3, 4, batch_first=first).train(training)
    x = absurd(axis, extent, 2, 2, 3)
    rows = x.shape[0 if first else 1]
    hx = (absurd(1, rows, 1, 1, 4),) * 2 if given else None
    refused_at_once(lstm, x, hx)
    refused_at_once(lstm.record, x, hx)
    lengths = absurd(0, rows, 1, dtype=np.int64)
    refused_at_once(lstm, x, hx, lengths=lengths)
    one = absurd(0, extent, 2, 3)
    refused_at_once(lstm, one)
    refused_at_once(LSTMCell(3, 4).train(training), one)


def test_an_output_much_larger_than_its_input() -> None:
    lstm = LSTM(1, 2**8)
    x = np.zeros((1, 1, 1), np.float32)
    refused_at_once(lstm, np.broadcast_to(x, (2**40, 1, 1)))
    refused_at_once(lstm, np.broadcast_to(x, (2**50, 2**10, 1)))


@quick
@given(st.sampled_from([2**46, 2**60, 2**63 - 1, 2**63, 2**70]))
def test_streams_and_generators(size: int) -> None:
    lstm = LSTM(3, 4).eval()
    refused_at_once(lstm.stream, size)
    stream = lstm.stream()
    refused_at_once(stream.reset, size, refused=(IndexError, ValueError, TypeError))
    if size < 2**63:
        state = np.broadcast_to(np.zeros((), np.uint8), size)
        refused_at_once(lstm_native.Generator().set_state, state, refused=(RuntimeError,))


@quick
@given(EXTENTS, st.booleans())
def test_ragged_batches(extent: int, sort: bool) -> None:
    long = absurd(0, extent, 1, 2, 1)
    lengths = np.array([extent, extent])
    refused_at_once(pack_padded_sequence, long, lengths, enforce_sorted=not sort)
    refused_at_once(pack_padded_sequence, long[:3], lengths, enforce_sorted=not sort)
    refused_at_once(lstm_native.pad_sequence, [long])
    refused_at_once(lstm_native.unpad_sequence, long, lengths)
    packed = pack_padded_sequence(np.zeros((2, 2, 3), np.float32), [2, 1])
    for total in (extent, 2**63 - 1, 2**63, 2**70):
        refused_at_once(lstm_native.pad_packed_sequence, packed, total_length=total)
    ones = np.broadcast_to(np.ones((), np.int64), extent)
    for sizes in (ones, np.array([2**62] * 4), np.array([extent, 1])):
        forged = packed._replace(batch_sizes=sizes)
        refused_at_once(LSTM(3, 4), forged)
        refused_at_once(PackedSequence, packed.data, sizes)


@quick
@given(EXTENTS)
def test_optimizers(extent: int) -> None:
    array = np.broadcast_to(np.zeros((), np.float32), extent)
    refused_at_once(optim.Adam, array)
    refused_at_once(optim.Adam(np.zeros(3)).step, array, refused=(ValueError,))


def test_state_dicts() -> None:
    lstm = LSTM(3, 4)
    huge = np.broadcast_to(np.zeros((), np.float32), (2**40, 2**10))
    for name in lstm.state_dict():
        state = {**lstm.state_dict(), name: huge}
        refused_at_once(LSTM.from_state_dict, state)
        refused_at_once(lstm.load_state_dict, state, refused=(RuntimeError,))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_axes_of_no_extent_beside_huge_ones(order: tuple[int, ...]) -> None:
    """Nothing is to be done, or it is refused; either at once."""
    shape = tuple(np.array([0, 2**40, 3])[list(order)])
    x = np.zeros(shape, np.float32)
    for first in (False, True):
        lstm = LSTM(shape[-1] or 3, 4, batch_first=first) if shape[-1] < 9 else LSTM(3, 4)
        start = time.perf_counter()
        try:
            output, _ = lstm(x)
        except (ValueError, RuntimeError, MemoryError):
            output = None
        assert time.perf_counter() - start < 1
        assert output is None or output.shape == (*shape[:2], 4)

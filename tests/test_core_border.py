"""Faults once found at the border of the compiled core, each tried directly: no argument may crash
the process, whatever Python's own checks would have said before."""

import struct
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from lstm_native import LSTM, _core

WORDS = 624


def generator_state(left: int, next_word: int) -> bytes:
    state = bytearray(_core.Generator(1).get_state())
    struct.pack_into("<iiQ", state, 8, left, 1, next_word)
    return bytes(state)


@pytest.mark.parametrize(("left", "next_word"), [(1, 0), (1, WORDS), (WORDS, 1), (2, WORDS - 1)])
def test_generator_states_that_stay_within_the_words(left: int, next_word: int) -> None:
    generator = _core.Generator(1)
    generator.set_state(generator_state(left, next_word))
    out = np.empty(2 * WORDS, np.float32)
    generator.uniform(out, 0, 1)
    assert ((out >= 0) & (out < 1)).all()


@pytest.mark.parametrize(
    ("left", "next_word"), [(600, 600), (2, WORDS), (WORDS, 2), (0, 0), (WORDS + 1, 0), (1, 625)]
)
def test_generator_states_that_would_run_past_the_words(left: int, next_word: int) -> None:
    generator = _core.Generator(1)
    before = generator.get_state()
    with pytest.raises((ValueError, RuntimeError)):
        generator.set_state(generator_state(left, next_word))
    assert generator.get_state() == before


@pytest.mark.parametrize("kind", [_core.Generator, _core.Stream, _core.Tape, _core.Weights])
def test_objects_without_a_value(kind: Any) -> None:
    blank = kind.__new__(kind)
    for name in ("initial_seed", "consumed", "nbytes"):
        if hasattr(kind, name):
            with pytest.raises(TypeError, match="without a value"):
                getattr(blank, name)
    x = np.zeros((1, 1, 1), np.float32)
    with pytest.raises(TypeError):
        _core.forward(blank, x, x, x, x, None, None, None, 0.5, blank)


def test_arrays_of_no_dimension() -> None:
    out = np.array(7.0)
    _core.Generator(1).uniform(out, 0, 1)
    assert 0 <= out < 1
    with pytest.raises(ValueError, match="dimensions"):
        _core.pack(np.array(1.0), 1, 1, 1, True, False, 0)


def test_a_tape_remembers_the_shapes_it_was_recorded_with() -> None:
    lstm, x = LSTM(3, 4), np.ones((2, 8, 3), np.float32)
    y, _, tape = lstm.record(x)
    expected = lstm.backward(tape, np.ones_like(y)).input
    _, _, tape = lstm.record(x)
    x.shape = (16, 1, 3)
    assert_array_equal(lstm.backward(tape, np.ones_like(y)).input, expected)


def test_many_steps_of_no_rows_cost_nothing() -> None:
    output, _ = LSTM(3, 4)(np.empty((2**40, 0, 3), np.float32))
    assert output.shape == (2**40, 0, 4)


OUT_OF_MEMORY = """
import resource
import numpy as np
import lstm_native
from lstm_native import LSTM

lstm = LSTM(3, 64, 2, dropout=0.5)
x = np.zeros((400_000, 1, 3), np.float32)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000,) * 2)
lstm_native.manual_seed(1)
before = lstm_native.random.default_generator.get_state()
try:
    lstm.record(x)  # the output takes 100 MB, the tape a gigabyte
except MemoryError:
    assert (lstm_native.random.default_generator.get_state() == before).all()
    lstm(x[:1000])
    print("recovered")
"""


def test_a_call_that_runs_out_of_memory_draws_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY], capture_output=True, text=True, check=True
    )
    assert done.stdout == "recovered\n"


class Interrupting:
    def __float__(self) -> float:
        raise KeyboardInterrupt


def test_errors_that_are_no_wrong_type_pass_through() -> None:
    x, y = np.zeros((1, 1, 3), np.float32), np.zeros((1, 1, 4), np.float32)
    weights = LSTM(3, 4)._weights()
    with pytest.raises(KeyboardInterrupt):
        _core.forward(weights, x, y, y.copy(), y.copy(), None, None, None, Interrupting(), None)


@pytest.mark.parametrize(
    ("lengths", "batch_sizes", "order", "message"),
    [
        ([3], None, None, "lengths should be from 0 to 2"),
        ([-1], None, None, "lengths should be from 0 to 2"),
        ([1, 1], None, None, "shape"),
        (None, [1, 2], None, "never grow"),
        (None, [1, 0], None, "positive"),
        (None, [1], None, "sum to the 2 rows"),
        (None, [1, 1], [1], "permutation"),
        (None, [1, 1], [-1], "permutation"),
        (None, [2], [1, 1], "permutation"),
        (None, None, [0], "order goes with batch_sizes"),
        ([1], [1, 1], None, "exclude"),
    ],
)
def test_index_arrays(lengths: Any, batch_sizes: Any, order: Any, message: str) -> None:
    shape = (2,) if batch_sizes else (2, 1)
    x, y = np.zeros((*shape, 3), np.float32), np.zeros((*shape, 4), np.float32)
    state = np.zeros((1, 1, 4), np.float32)
    arrays = [None if v is None else np.array(v, np.int64) for v in (lengths, batch_sizes, order)]
    with pytest.raises(ValueError, match=message):
        _core.forward(LSTM(3, 4)._weights(), x, y, state, state.copy(), *arrays, 0.0, None)


def test_packed_sequences_of_no_steps() -> None:
    """They have no first step that says how many rows there are: there are none."""
    none, some = (np.zeros((1, batch, 4), np.float32) for batch in (0, 1))
    x, y, nothing = (
        np.zeros((0, 3), np.float32),
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.int64),
    )
    weights = LSTM(3, 4)._weights()
    for order in (None, nothing):
        packed = (None, nothing, order, 0.0, None)
        _core.forward(weights, x, y, none, none.copy(), *packed)
        with pytest.raises(ValueError, match="shape"):
            _core.forward(weights, x, y, some, some.copy(), *packed)


def test_strides_between_elements() -> None:
    """Steps of 13 bytes, as in an array of records: the kernels step over whole numbers."""
    x = np.ndarray((2, 1, 3), np.float32, bytes(13 + 12), strides=(13, 12, 4))
    y, state = np.zeros((2, 1, 4), np.float32), np.zeros((1, 1, 4), np.float32)
    with pytest.raises(ValueError, match="x should have strides of whole elements"):
        _core.forward(LSTM(3, 4)._weights(), x, y, state, state.copy(), None, None, None, 0.0, None)


@pytest.mark.parametrize(
    "sizes", [(-1, 4, 1, 0), (3, 0, 1, 0), (3, 4, 0, 0), (3, 4, 1, -1), (3, 4, 1, 4), (3, 4, 1, 5)]
)
def test_sizes(sizes: tuple[int, int, int, int]) -> None:
    inputs, hidden, layers, projected = sizes
    with pytest.raises(ValueError, match="hidden_size >= 1, num_layers >= 1 and"):
        _core.pack(np.zeros(1, np.float32), inputs, hidden, layers, True, False, projected)


@pytest.mark.parametrize("count", [-2, 0, 2**31, 2**62])
def test_thread_counts(count: int) -> None:
    before = _core.get_num_threads()
    with pytest.raises(ValueError, match=f"count should be -1 .all. or from 1 to .* got: {count}"):
        _core.set_num_threads(count)
    assert _core.get_num_threads() == before


def test_names_of_no_dealing() -> None:
    with pytest.raises(ValueError, match="name of a Dealing"):
        _core.force_dealing("by moonlight")


@pytest.mark.parametrize("name", ["higher", "", b"high", 2, None])
def test_names_of_no_precision(name: Any) -> None:
    before = _core.get_precision()
    with pytest.raises(ValueError, match="precision should be one of 'highest', 'high', 'medium'"):
        _core.set_precision(name)
    assert _core.get_precision() == before


def test_segments_of_no_steps() -> None:
    x, y = np.zeros((2, 1, 3), np.float32), np.zeros((2, 1, 4), np.float32)
    state, none = np.zeros((1, 1, 4), np.float32), (None, None, None)
    with pytest.raises(ValueError, match="checkpoint should be at least 1"):
        _core.record(LSTM(3, 4)._weights(), x, y, state, state.copy(), *none, 0.0, None, 0)


def test_streams_of_no_rows() -> None:
    empty = np.zeros((1, 0, 4), np.float32)
    with pytest.raises(ValueError, match="h should have at least one row"):
        _core.Stream(LSTM(3, 4)._weights(), empty, empty.copy())


def test_packed_weights_of_more_layers_than_there_are() -> None:
    """They are counted at once, not layer by layer."""
    panels = _core.pack(np.zeros(4 * 4 * (3 + 4 + 2), np.float32), 3, 4, 1, True, False, 0).panels()
    with pytest.raises(ValueError, match="panels"):
        _core.use_packed(panels, 3, 4, 2**40, True, False, 0)
    with pytest.raises(ValueError, match="sizes overflow"):
        _core.use_packed(panels, 3, 4, 2**62, True, False, 0)


@pytest.mark.parametrize("storage", ["int4", "", 8, b"int8", ["int8"], True])
def test_storages_that_there_are_not(storage: Any) -> None:
    flat = np.zeros(4 * 4 * (3 + 4 + 2), np.float32)
    with pytest.raises(ValueError, match="storage should be"):
        _core.pack(flat, 3, 4, 1, True, False, 0, storage)
    with pytest.raises(ValueError, match="storage should be"):
        _core.use_packed(flat, 3, 4, 1, True, False, 0, storage)


@pytest.mark.parametrize("storage", ["bfloat16", "int8"])
def test_storages_that_cannot_be(storage: str) -> None:
    flat = np.zeros(4 * 4 * (3 + 4 + 2))
    with pytest.raises(ValueError, match="None for float64"):
        _core.pack(flat, 3, 4, 1, True, False, 0, storage)
    rounded = _core.pack(flat.astype(np.float32), 3, 4, 1, True, False, 0, storage)
    x, state = np.zeros((1, 1, 3), np.float32), np.zeros((1, 1, 4), np.float32)
    with pytest.raises(ValueError, match="with storage None"):
        _core.record(
            rounded, x, np.zeros((1, 1, 4), np.float32), state, state.copy(), None, None, None, 0.0,
            None, None,
        )  # fmt: skip


@pytest.mark.parametrize(
    "sizes",
    [
        (133_145, 1, 1, True, False, 0),
        (1, 66_573, 2, True, True, 0),  # what the second layer reads, of both directions
        (1, 133_145, 1, True, False, 1),  # what the projection reads
    ],
)
def test_sums_of_too_many_bytes(sizes: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="'int8' is for at most 133144 features and units"):
        _core.pack(np.zeros(1, np.float32), *sizes, "int8")


def test_rounded_weights_are_of_their_own_size() -> None:
    """Panels of one storage are not taken for those of another."""
    flat = np.zeros(4 * 4 * (3 + 4 + 2), np.float32)
    sizes = (3, 4, 1, True, False, 0)
    for packed in (None, "bfloat16", "int8"):
        panels = _core.pack(flat, *sizes, packed).panels()
        for used in {None, "bfloat16", "int8"} - {packed}:
            if panels.size != _core.pack(flat, *sizes, used).panels().size:
                with pytest.raises(ValueError, match="panels"):
                    _core.use_packed(panels, *sizes, used)

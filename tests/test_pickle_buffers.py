"""Pickles out of band: one buffer, which nobody writes to and no network keeps.

What two processes are to share is mapped from a file: see test_shared_weights.py."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_native
from lstm_native import LSTM
from mapping import SIZES, answers, mapped, network


def dumped(lstm: LSTM) -> tuple[bytes, list[pickle.PickleBuffer]]:
    buffers: list[pickle.PickleBuffer] = []
    return pickle.dumps(lstm, 5, buffer_callback=buffers.append), buffers


@pytest.mark.parametrize("options", SIZES)
@pytest.mark.parametrize("training", [True, False])
def test_parameters_are_one_buffer_out_of_band(options: dict[str, Any], training: bool) -> None:
    lstm = network(**options).train(training)
    head, buffers = dumped(lstm)
    assert len(head) < 1000
    (buffer,) = buffers
    assert bytes(buffer.raw()) == lstm.flat_parameters.tobytes()
    memory = bytearray(buffer.raw())
    expected = answers(lstm)
    # A view that is read-only is no promise: whoever has the memory may write to it.
    for given in (memory, memoryview(memory).toreadonly(), bytes(memory)):
        twin = pickle.loads(head, buffers=[given])
        assert (repr(twin), twin.training) == (repr(lstm), training)
        assert not np.shares_memory(twin.flat_parameters, np.frombuffer(given, np.uint8))
        assert twin.flat_parameters.flags.writeable is training
        answers(twin)
        kept, memory[:] = bytes(memory), bytes(len(memory))
        assert answers(twin) == expected
        memory[:] = kept
        twin.train().flat_parameters[:] = 1
        assert bytes(given) == lstm.flat_parameters.tobytes()


def test_buffers_are_a_snapshot() -> None:
    lstm = network()
    head, buffers = dumped(lstm)
    expected = answers(lstm)
    lstm.train().flat_parameters[:] = 0
    assert answers(pickle.loads(head, buffers=buffers)) == expected


def test_a_buffer_may_lie_at_an_odd_address() -> None:
    lstm = network()
    head, buffers = dumped(lstm)
    raw = bytes(buffers[0].raw())
    moved = memoryview(b"\0" + raw)[1:]
    twin = pickle.loads(head, buffers=[moved])
    assert answers(twin) == answers(lstm)


def test_a_mapped_network_is_pickled_as_any(tmp_path: Path) -> None:
    """Its copies have memory of their own."""
    lstm = network()
    path = tmp_path / "model.safetensors"
    twin = mapped(path, lstm)
    head, buffers = dumped(twin)
    path.unlink()
    assert answers(pickle.loads(head, buffers=buffers)) == answers(lstm)
    for protocol in range(2, 6):
        assert answers(pickle.loads(pickle.dumps(twin, protocol))) == answers(lstm)
    for copied in (copy.copy(twin), copy.deepcopy(twin)):
        assert not copied._borrowed
        assert not np.shares_memory(copied.flat_parameters, twin.flat_parameters)
        assert answers(copied) == answers(lstm)


def test_dropout_goes_on_where_the_pickle_was_made() -> None:
    lstm = LSTM(7, 13, 2, dropout=0.5)
    lstm.generator = lstm_native.Generator().manual_seed(3)
    head, buffers = dumped(lstm)
    twin = pickle.loads(head, buffers=buffers)
    assert twin.generator is not lstm.generator
    assert answers(twin) == answers(lstm)

"""Weights that several processes hold once, mapped from a file.

What such a network computes, what happens at its first change, what its memory is, and every reason
for which a file cannot be mapped."""

import copy
import gc
import json
import os
import subprocess
import sys
import textwrap
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_native
from lstm_native import LSTM, LSTMCell, functional, load, optim, parameters, save
from lstm_native._panels import ARRAY, NOTE, borrowed, packing
from lstm_native.checkpoints import read
from lstm_native.checkpoints.safetensors_file import write_in_order
from mapping import SIZES, answers, mapped, network

MB = 2**20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


# --- a file ---


@pytest.mark.parametrize("options", SIZES)
def test_a_mapped_network_has_the_same_bits(options: dict[str, Any], path: Path) -> None:
    lstm = network(**options)
    twin = mapped(path, lstm)
    assert repr(twin) == repr(lstm)
    assert not twin.training
    assert twin.flat_parameters.tobytes() == lstm.flat_parameters.tobytes()
    assert not any(array.flags.writeable for array in twin.state_dict().values())
    assert answers(twin) == answers(lstm)
    assert LSTM.from_file(path).flat_parameters.tobytes() == lstm.flat_parameters.tobytes()
    if not lstm.bidirectional:
        frame = np.ones(7, lstm.dtype)
        np.testing.assert_array_equal(twin.stream().step(frame), lstm.stream().step(frame))


def test_a_mapped_cell(path: Path) -> None:
    cell = LSTMCell(3, 5).eval()
    save(path, cell, packed=True)
    x = np.ones((2, 3), np.float32)
    for one, other in zip(LSTMCell.from_file(path, mmap=True)(x), cell(x), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("bias", [True, False])
def test_a_mapped_cell_without_inputs(bias: bool, path: Path) -> None:
    cell = LSTMCell(0, 5, bias).eval()
    save(path, cell, packed=True)
    twin = LSTMCell.from_file(path, mmap=True)
    assert twin._borrowed
    x = np.ones((2, 0), np.float32)
    for one, other in zip(twin(x), cell(x), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("options", SIZES)
def test_the_file_is_one_for_everybody(options: dict[str, Any], path: Path) -> None:
    """Other readers see an array more than the parameters; the file repeats to the byte."""
    numpy = pytest.importorskip("safetensors.numpy")
    lstm = network(**options)
    save(path, lstm, packed=True)
    first = path.read_bytes()
    assert (8 + int.from_bytes(first[:8], "little")) % 4096 == 0
    for arrays, more in ((numpy.load_file(path), {ARRAY}), (load(path), set())):
        assert arrays.keys() == more | lstm.state_dict().keys()
        for name, parameter in lstm.state_dict().items():
            np.testing.assert_array_equal(arrays[name], parameter)
    assert not network(**options).load_state_dict(load(path)).unexpected_keys
    save(path, copy.deepcopy(lstm), packed=True)
    assert path.read_bytes() == first


def test_changes_move_the_parameters_and_leave_the_file(path: Path) -> None:
    lstm = network()
    save(path, lstm, packed=True)
    before = path.read_bytes()

    def trained(twin: LSTM) -> None:
        twin.train().flat_parameters[:] *= 2

    def assigned(twin: LSTM) -> None:
        twin.weight_hh_l0 = 2 * twin.weight_hh_l0

    def loaded(twin: LSTM) -> None:
        twin.load_state_dict(network().state_dict())

    for change in (trained, assigned, loaded, LSTM.reset_parameters):
        twin = LSTM.from_file(path, mmap=True)
        held = twin.weight_hh_l0
        copied = held.copy()
        change(twin)
        fresh = LSTM.from_state_dict(twin.state_dict())
        assert not np.array_equal(twin.weight_hh_l0, copied)
        np.testing.assert_array_equal(held, copied)
        assert answers(twin) == answers(fresh)
        assert twin.flat_parameters.flags.writeable is twin.training
        assert twin.weight_hh_l0.flags.writeable is twin.training
        assert np.shares_memory(twin.weight_hh_l0, twin.flat_parameters)
        with pytest.raises(ValueError, match="read-only"):
            held[0] = 1
    assert path.read_bytes() == before


def test_a_mapped_network_learns_like_any_other(path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((5, 3, 7)).astype(np.float32)

    def learn(lstm: LSTM) -> bytes:
        adam = optim.Adam(lstm.flat_parameters, lr=0.1)
        for _ in range(3):
            output, _, tape = lstm.record(x)
            adam.step(lstm.backward(tape, output).parameters)
        return lstm.eval().flat_parameters.tobytes()

    lstm = network()
    assert learn(mapped(path, lstm).train()) == learn(lstm.train())


def test_a_slice_made_in_training_is_seen_afterwards(path: Path) -> None:
    """The rule of every network holds after the move: packed weights do not go stale."""
    lstm = mapped(path, network()).train()
    part = lstm.flat_parameters[:50]
    before = answers(lstm.eval())
    part[:] += 1
    assert answers(lstm) != before
    assert answers(lstm) == answers(LSTM.from_state_dict(lstm.state_dict()))


def test_the_memory_lives_as_long_as_anybody_reads_it(path: Path) -> None:
    lstm = mapped(path, network(hidden_size=256))
    frame = np.ones(7, np.float32)
    expected = lstm.stream().step(frame)
    stream, view = lstm.stream(), lstm.weight_ih_l0
    copied = view.copy()
    gone = weakref.ref(lstm)
    del lstm
    gc.collect()
    assert gone() is None
    path.unlink()
    np.testing.assert_array_equal(stream.step(frame), expected)
    np.testing.assert_array_equal(view, copied)


def test_a_tape_may_be_the_last_to_hold_them(path: Path) -> None:
    """Its weights are let go inside `backward`, where the thread has no GIL."""
    lstm = mapped(path, network(hidden_size=256))
    x = np.ones((50, 3, 7), np.float32)
    output, _, tape = lstm.record(x)
    expected = LSTM.from_state_dict(lstm.state_dict())
    lstm.load_state_dict(lstm.state_dict())
    gradients = lstm.backward(tape, output)
    output, _, tape = expected.record(x)
    assert gradients.parameters.tobytes() == expected.backward(tape, output).parameters.tobytes()


def test_replacing_the_file_does_no_harm(path: Path) -> None:
    lstm, other = network(hidden_size=300), network(hidden_size=300)
    twin = mapped(path, lstm)
    save(path, other, packed=True)
    assert answers(twin) == answers(lstm)
    assert answers(LSTM.from_file(path, mmap=True)) == answers(other)


def test_views_of_a_mapped_network_cost_nothing(path: Path) -> None:
    """Nobody may write to them, so the packed copy of the file stays."""
    lstm = mapped(path, network())
    packed, part = lstm._packed, lstm.flat_parameters[3:]
    answers(lstm)
    assert lstm._packed is packed is not None
    for array in (part, lstm.flat_parameters, lstm.weight_hh_l0):
        with pytest.raises(ValueError, match="cannot set WRITEABLE flag"):
            array.flags.writeable = True


def test_a_signal_handler_may_move_them_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs anywhere, in the middle of the same move too."""
    lstm, expected = mapped(path, network()), network()
    views, handled = parameters.views, []

    def interrupted(*arguments: Any, **options: Any) -> Any:
        monkeypatch.undo()
        lstm.train().weight_hh_l0[:] = 7
        handled.append(lstm.flat_parameters)
        return views(*arguments, **options)

    monkeypatch.setattr(parameters, "views", interrupted)
    lstm.train()
    assert lstm.flat_parameters is handled[0]
    assert (lstm.weight_hh_l0 == 7).all()
    part = lstm.flat_parameters[:50]
    answers(lstm.eval())
    part[:] += 1
    expected.load_state_dict(lstm.state_dict())
    assert answers(lstm) == answers(expected)


# --- what cannot be mapped, or saved to be ---


def test_a_file_without_a_packed_copy(path: Path) -> None:
    save(path, network())
    with pytest.raises(
        ValueError, match=r"mmap=True needs a packed copy, and there is none: .*True"
    ):
        LSTM.from_file(path, mmap=True)


def edited(path: Path, edit: Any) -> None:
    """Write the file again with another header; `edit` changes it in place."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    edit(header)
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % 4096)
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])


def test_weights_packed_for_another_cpu(path: Path) -> None:
    save(path, network(), packed=True)
    edited(path, lambda header: header["__metadata__"].update({NOTE: "avx3 float32 0123"}))
    with pytest.raises(ValueError, match=r"packed for 'float32 .*', and these are for 'avx3"):
        LSTM.from_file(path, mmap=True)
    # Written again here with its notes, it is for this one.
    contents = read(path)
    lstm = LSTM.from_file(path)
    save(path, lstm, contents.notes, packed=True)
    assert read(path).notes[NOTE] == packing(lstm.dtype)
    assert answers(LSTM.from_file(path, mmap=True)) == answers(lstm)


def test_a_packed_copy_is_of_the_parameters_beside_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if they change while it is made."""
    lstm = network(dtype="float64").train()
    packing(lstm.dtype)  # packs, too, and is kept
    pack = functional.pack

    def packed_late(*arguments: Any) -> Any:
        lstm.flat_parameters[:] += 1
        weights = pack(*arguments)
        lstm.flat_parameters[:] += 1
        return weights

    monkeypatch.setattr(functional, "pack", packed_late)
    save(path, lstm, packed=True)
    monkeypatch.undo()
    twin = LSTM.from_file(path, mmap=True)
    assert answers(twin) == answers(LSTM.from_file(path))


def test_the_name_of_the_order_tells_orders_and_dtypes_apart() -> None:
    single, double = (packing(np.dtype(name)) for name in ("float32", "float64"))
    assert single.startswith("float32 ")
    assert single.split()[-1] != double.split()[-1]
    for name in ("bfloat16", "int8"):
        rounded = packing(np.dtype("float32"), name)
        assert rounded.startswith(f"{name} ")
        assert rounded.split()[-1] != single.split()[-1]
    code = (
        "import numpy as np; from lstm_native import _panels as p; print(p.packing(np.dtype('f4')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"LSTM_NATIVE_ISA": "baseline"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.startswith("float32 ")
    if lstm_native.isa() != "baseline":
        assert done.stdout.split()[-1] != single.split()[-1]


def test_a_packed_copy_of_the_wrong_size(path: Path) -> None:
    save(path, network(), packed=True)

    def shorten(header: dict[str, Any]) -> None:
        entry = header[ARRAY]
        start, stop = entry["data_offsets"]
        (count,) = entry["shape"]
        # What is left goes to an array of its own: a file has no holes.
        header["rest"] = entry | {"shape": [1], "data_offsets": [stop - 4, stop]}
        header[ARRAY] = entry | {"shape": [count - 1], "data_offsets": [start, stop - 4]}

    edited(path, shorten)
    with pytest.raises(ValueError, match=r"model.safetensors: its packed copy is damaged: panels"):
        LSTM.from_file(path, mmap=True)


def test_a_packed_copy_of_another_dtype(path: Path) -> None:
    """As many elements as it should have, and the right note."""
    single, double = network(), network(dtype="float64")
    panels = double._packed_state()[0][ARRAY]
    arrays = {ARRAY: panels, **single.state_dict()}
    write_in_order(str(path), arrays, single._packed_state()[1])
    with pytest.raises(ValueError, match=r"damaged: panels: expected float32, got float64"):
        LSTM.from_file(path, mmap=True)


def test_parameters_in_another_order(path: Path) -> None:
    save(path, network(), packed=True)

    def exchange(header: dict[str, Any]) -> None:
        one, other = header["bias_ih_l0"], header["bias_hh_l0"]
        header |= {"bias_ih_l0": other, "bias_hh_l0": one}

    edited(path, exchange)
    with pytest.raises(ValueError, match="parameters that lie in one piece"):
        LSTM.from_file(path, mmap=True)


def test_parameters_that_are_converted(path: Path) -> None:
    lstm = network(dtype="float64")
    arrays, notes = lstm._packed_state()
    arrays["weight_ih_l0"] = lstm.weight_ih_l0.astype(np.float32)
    write_in_order(str(path), arrays, notes)
    with pytest.raises(ValueError, match="parameters that lie in one piece"):
        LSTM.from_file(path, mmap=True)
    pieces = [np.ones(3), np.ones(3)]
    with pytest.raises(ValueError, match="need no conversion"):
        borrowed(pieces[:1], np.dtype(float))
    with pytest.raises(ValueError, match="lie in one piece"):
        borrowed([np.ones(6)[:3], *pieces], np.dtype(float))


def test_files_in_order_hold_what_others_hold(path: Path) -> None:
    file = pytest.importorskip("safetensors.numpy")
    dtypes = ["?", "u1", "i1", "i8", "f2", "f4", "f8", "c8"]
    arrays = {dtype: np.ones((2, 3), dtype) for dtype in dtypes}
    write_in_order(str(path), arrays, None)
    for name, array in file.load_file(path).items():
        assert array.dtype == arrays[name].dtype
        np.testing.assert_array_equal(array, arrays[name])
    with pytest.raises(TypeError, match=r"state\['a'\]: a safetensors file cannot hold complex128"):
        write_in_order(str(path), {"a": np.ones(2, complex)}, None)
    with pytest.raises(ValueError, match="cannot hold an array named '__metadata__'"):
        write_in_order(str(path), {"__metadata__": np.ones(2)}, None)


def test_what_cannot_be_saved_packed(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="needs a network, got dict"):
        save(tmp_path / "a.safetensors", network().state_dict(), packed=True)
    with pytest.raises(ValueError, match=r"the suffix should be .safetensors, got '.npz'"):
        save(tmp_path / "a.npz", network(), packed=True)
    with pytest.raises(ValueError, match="a cell of no hidden units has nothing to pack"):
        save(tmp_path / "a.safetensors", LSTMCell(3, 0), packed=True)
    with pytest.raises(TypeError, match="packed should be of type bool"):
        save(tmp_path / "a.safetensors", network(), packed=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="mmap should be of type bool"):
        LSTM.from_file(tmp_path / "a.safetensors", mmap=1)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


# --- memory ---


def test_a_mapped_network_has_no_memory_of_its_own(path: Path) -> None:
    """14 MB of weights, which calls read: a private copy would be seen."""
    save(path, LSTM(256, 900, dtype=np.float32).eval(), packed=True)
    code = f"""
        import numpy as np
        from lstm_native import LSTM
        def private():
            lines = open("/proc/self/smaps_rollup").read().splitlines()[1:]
            kb = {{line.split(":")[0]: int(line.split()[1]) for line in lines}}
            return kb["Private_Dirty"]
        x = np.ones((1, 1, 256), np.float32)
        LSTM.from_file({str(path)!r}, mmap=True)(x)
        before = private()
        lstm = LSTM.from_file({str(path)!r}, mmap={{mmap}})
        for _ in range(3):
            lstm(x)
        print(private() - before)
    """
    grown = {}
    for mmap in (True, False):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code).replace("{mmap}", str(mmap))],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        grown[mmap] = int(done.stdout) * 1024
    assert grown[True] < 2 * MB
    assert grown[False] > 2 * 14 * MB

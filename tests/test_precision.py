"""The precision of products: who follows the setting for all, who has one of their own, and what
never rounds. The numbers are in test_quantized.
"""

import copy
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import lstm_native
from lstm_native import LSTM, LSTMCell, float32_matmul_precision, save
from lstm_native.__main__ import main
from lstm_native.runtime import packing

F32 = np.float32
ROUNDS = packing("medium") is not None  # whether "medium" is not "highest" here
TILES = packing("high") is not None  # nor "high"


@pytest.fixture(autouse=True)
def _highest_afterwards() -> Iterator[None]:
    yield
    lstm_native.set_float32_matmul_precision("highest")


@pytest.fixture
def lstm() -> LSTM:
    return LSTM(6, 40, 2, bidirectional=True, proj_size=9).eval()


@pytest.fixture
def x(rng: np.random.Generator) -> NDArray[F32]:
    return rng.standard_normal((5, 3, 6), F32)


def differ(ours: NDArray[Any], theirs: NDArray[Any]) -> bool:
    """Whether bits do; where there is no instruction for it, nothing may."""
    same = ours.tobytes() == theirs.tobytes()
    assert same or ROUNDS
    return not same


def rounded(ours: NDArray[Any], exact: NDArray[Any]) -> bool:
    return differ(ours, exact) or not ROUNDS


def test_networks_follow_the_setting(lstm: LSTM, x: NDArray[F32]) -> None:
    assert lstm_native.get_float32_matmul_precision() == "highest"
    exact, _ = lstm(x)
    lstm_native.set_float32_matmul_precision("medium")
    assert lstm_native.get_float32_matmul_precision() == "medium"
    medium, _ = lstm(x)
    assert rounded(medium, exact)
    lstm_native.set_float32_matmul_precision("high")
    high, _ = lstm(x)
    assert (high.tobytes() == exact.tobytes()) is not TILES
    np.testing.assert_allclose(medium, exact, rtol=0, atol=0.02)
    np.testing.assert_allclose(high, exact, rtol=0, atol=2e-5)


WITHOUT_PAIRS = """
import numpy as np
from lstm_native import LSTM, _core, float32_matmul_precision

lstm, x = LSTM(6, 40).eval(), np.ones((5, 3, 6), np.float32)
exact, _ = lstm(x)
with float32_matmul_precision("medium"):
    assert lstm(x)[0].tobytes() == exact.tobytes()
try:
    _core.pack(lstm.flat_parameters, 6, 40, 1, True, False, 0, "bfloat16 pairs")
except ValueError as error:
    print(error)
"""


def test_an_isa_without_the_instruction() -> None:
    """The setting rounds nothing, and nobody packs what no kernel would read."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PAIRS], env=os.environ | {"LSTM_NATIVE_ISA": "baseline"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "storage 'bfloat16 pairs' cannot be multiplied with the ISA baseline\n"


def test_a_block(lstm: LSTM, x: NDArray[F32]) -> None:
    lstm_native.set_float32_matmul_precision("high")
    before, _ = lstm(x)
    with suppress(KeyError), float32_matmul_precision("medium"):
        assert rounded(lstm(x)[0], before)
        raise KeyError
    assert lstm_native.get_float32_matmul_precision() == "high"
    assert not differ(lstm(x)[0], before)


def test_a_network_with_one_of_its_own(lstm: LSTM, x: NDArray[F32]) -> None:
    exact, _ = lstm(x)
    lstm.precision = "medium"
    assert rounded(lstm(x)[0], exact)
    lstm.precision = "highest"
    with float32_matmul_precision("medium"):
        assert not differ(lstm(x)[0], exact)
        lstm.precision = None
        assert rounded(lstm(x)[0], exact)
    assert not differ(lstm(x)[0], exact)


def test_the_constructors(x: NDArray[F32]) -> None:
    lstm = LSTM(6, 40, precision="medium")
    assert lstm.precision == "medium"
    assert repr(lstm) == "LSTM(6, 40, precision='medium')"
    cell = LSTMCell(6, 40, precision="medium")
    assert repr(cell) == "LSTMCell(6, 40, precision='medium')"
    names = {f"{name}_l0": array for name, array in cell.state_dict().items()}
    _, (h, c) = LSTM.from_state_dict(names)(x[:1])
    medium = cell.eval()(x[0])
    assert rounded(medium[0], h[0])
    assert rounded(medium[1], c[0])


def test_training_is_never_rounded(lstm: LSTM, x: NDArray[F32]) -> None:
    exact, _ = lstm(x)
    lstm.precision = "medium"
    lstm(x)  # packs
    output, _, tape = lstm.record(x)
    assert not differ(output, exact)
    gradients = lstm.backward(tape, np.ones_like(output))
    lstm.precision = None
    _, _, tape = lstm.record(x)
    assert not differ(gradients.parameters, lstm.backward(tape, np.ones_like(output)).parameters)
    lstm.precision = "medium"
    assert not differ(lstm.train()(x)[0], exact)


def test_float64_is_never_rounded(x: NDArray[F32]) -> None:
    lstm = LSTM(6, 40, dtype=np.float64).eval()
    wide = x.astype(np.float64)
    exact, _ = lstm(wide)
    lstm.precision = "medium"
    np.testing.assert_array_equal(lstm(wide)[0], exact)


def test_quantized_weights_are_multiplied_as_they_say(lstm: LSTM, x: NDArray[F32]) -> None:
    for storage in ("bfloat16", "int8"):
        expected, _ = lstm.quantize(storage)(x)  # type: ignore[arg-type]
        with float32_matmul_precision("medium"):
            np.testing.assert_array_equal(lstm(x)[0], expected)


def test_streams_go_on_as_they_were_made(x: NDArray[F32]) -> None:
    lstm = LSTM(6, 40).eval()
    exact, _ = lstm(x)
    stream = lstm.stream(3)
    lstm_native.set_float32_matmul_precision("medium")
    medium, _ = lstm(x)
    newer = lstm.stream(3)
    assert not differ(np.stack([stream.step(frame) for frame in x]), exact)
    np.testing.assert_array_equal(np.stack([newer.step(frame) for frame in x]), medium)


def test_copies_pickles_and_files_keep_their_own(
    lstm: LSTM, x: NDArray[F32], tmp_path: Path
) -> None:
    lstm.precision = "medium"
    save(tmp_path / "plain.safetensors", lstm)
    save(tmp_path / "packed.safetensors", lstm, packed=True)
    others = [
        copy.deepcopy(lstm),
        pickle.loads(pickle.dumps(lstm)),
        LSTM.from_file(tmp_path / "plain.safetensors"),
        LSTM.from_file(tmp_path / "packed.safetensors"),
        LSTM.from_file(tmp_path / "packed.safetensors", mmap=True),
    ]
    for other in others:
        assert other.precision == "medium"
        np.testing.assert_array_equal(other(x)[0], lstm(x)[0])
    other = LSTM.from_file(tmp_path / "plain.safetensors", precision=None)
    assert not differ(other(x)[0], lstm.train()(x)[0])
    lstm.precision = None
    assert lstm.metadata().keys() == {"batch_first", "dropout"}


def test_a_mapped_network_follows_and_comes_back(
    lstm: LSTM, x: NDArray[F32], tmp_path: Path
) -> None:
    """What is packed in the file is used wherever it is what is asked for."""
    path = tmp_path / "packed.safetensors"
    for storage in (None, "bfloat16", "int8"):
        save(path, lstm.quantize(storage), packed=True)  # type: ignore[arg-type]
        lstm_native.set_float32_matmul_precision("medium")
        mapped = LSTM.from_file(path, mmap=True)
        in_file = mapped._adopted
        assert in_file is not None
        for precision in ("medium", "high", "highest"):
            lstm_native.set_float32_matmul_precision(precision)
            np.testing.assert_array_equal(mapped(x)[0], lstm(x)[0])
            rounds = storage is None and packing(precision) is not None  # type: ignore[arg-type]
            assert (mapped._packed is in_file) is not rounds
        mapped.precision = "highest"
        lstm_native.set_float32_matmul_precision("medium")
        mapped(x)
        assert mapped._packed is in_file
    assert LSTM.from_file(path, mmap=True, precision="highest")._weights() is not None
    mapped.train()
    assert mapped._adopted is None


def test_notes_of_others_are_left_alone(tmp_path: Path) -> None:
    save(tmp_path / "plain.npz", LSTM(3, 4), {"precision": '"fp16"', "quantized": "true"})
    lstm = LSTM.from_file(tmp_path / "plain.npz")
    assert (lstm.precision, lstm.quantized) == (None, None)


def test_networks_that_are_compared_or_not_hashed(x: NDArray[F32]) -> None:
    class Equal(LSTM):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    networks = [Equal(6, 40).eval() for _ in range(2)]
    exact = [network(x)[0] for network in networks]
    lstm_native.set_float32_matmul_precision("medium")
    for network, before in zip(networks, exact, strict=True):
        assert rounded(network(x)[0], before)


def test_recording_beside_a_writer(x: NDArray[F32]) -> None:
    """What is recorded is of one state of the parameters."""
    lstm = LSTM(6, 200, precision="medium").eval()
    states = [{n: np.full_like(a, v) for n, a in lstm.state_dict().items()} for v in (0.01, 0.1)]
    possible = []
    for state in states:
        lstm.load_state_dict(state)
        possible.append(lstm.record(x)[0].tobytes())
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            for state in states:
                lstm.load_state_dict(state)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = {lstm.record(x)[0].tobytes() for _ in range(300)}
    finally:
        over.set()
        writer.join()
    assert found <= set(possible)


def test_what_is_recorded_is_kept(x: NDArray[F32]) -> None:
    lstm = LSTM(6, 40).eval()
    lstm.record(x)
    kept = lstm._packed
    assert kept is not None
    lstm.record(x)
    lstm(x)
    assert lstm._packed is kept


@pytest.mark.parametrize("name", ["low", "", 1, True, None, b"medium", ["medium"]])
def test_other_names(name: Any, lstm: LSTM) -> None:
    lstm_native.set_float32_matmul_precision("high")
    text = "precision should be 'highest', 'high' or 'medium', got: "
    with pytest.raises(ValueError, match=text):
        lstm_native.set_float32_matmul_precision(name)
    with pytest.raises(ValueError, match=text), float32_matmul_precision(name):
        pass
    assert lstm_native.get_float32_matmul_precision() == "high"
    if name is not None:
        with pytest.raises(ValueError, match=text):
            lstm.precision = name
        with pytest.raises(ValueError, match=text):
            LSTM(3, 4, precision=name)
    assert lstm.precision is None


def test_what_show_config_says() -> None:
    said = {
        None: "of float32",
        "bfloat16 pairs": "of bfloat16",
        "one part": "of bfloat16, on tiles",
        "two parts": "of two parts of bfloat16, on tiles",
    }
    for name in ("highest", "high", "medium"):
        text = said[packing(name)]  # type: ignore[arg-type, index]
        with float32_matmul_precision(name):  # type: ignore[arg-type]
            told = lstm_native.show_config("dicts")["float32 matmul precision"]
        assert told == f"{name} (products {text})"


def test_a_call_after_recording_is_rounded_again(x: NDArray[F32]) -> None:
    """Also where nothing was packed before, and whoever says it."""
    for own in ("medium", None):
        lstm = LSTM(6, 40).eval()
        exact, _ = lstm(x)
        lstm.precision = own  # type: ignore[assignment]
        with float32_matmul_precision("medium"):
            recorded, _, _ = lstm.record(x)
            assert not differ(recorded, exact)
            assert rounded(lstm(x)[0], exact)


def test_what_a_plain_call_is_told() -> None:
    """The number of the network's own precision, or after them that of the one set for all.

    Else a network that says it itself would go the long way whenever another one is set.
    """
    lstm = LSTM(6, 40)
    assert lstm._precision_number == 3
    for number, name in enumerate(("highest", "high", "medium")):
        lstm.precision = name  # type: ignore[assignment]
        assert lstm._precision_number == number
    assert lstm.quantize("int8")._precision_number == -1
    lstm.precision = None
    assert lstm.quantize(None)._precision_number == 3
    assert LSTM(6, 40, dtype=np.float64)._precision_number == -1


def test_converting_keeps_what_the_file_tells(tmp_path: Path) -> None:
    lstm = LSTM(6, 40, precision="medium").quantize("int8")
    save(tmp_path / "a.npz", lstm.state_dict(prefix="enc."), lstm.metadata("enc."))
    given = ["convert", f"{tmp_path / 'a.npz'}", f"{tmp_path / 'b.npz'}", "--prefix", "enc."]
    assert main(given) == 0
    assert repr(LSTM.from_file(tmp_path / "b.npz")) == repr(lstm)

"""The option of rounded weights: what keeps it, what does not heed it, what is refused.

Owns nothing about the numbers: those stand in ``test_quantized.py``.
"""

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rounded_products
from lstm_native import LSTM, LSTMCell, functional, load, save
from lstm_native._checks.arguments import storage
from lstm_native.checkpoints import read
from lstm_native.parameters import Config
from test_quantized import F32, NAMES


class TestMode:
    @pytest.mark.parametrize("name", NAMES)
    def test_training_knows_nothing_of_it(self, name: str, rng: np.random.Generator) -> None:
        plain = LSTM(6, 20)
        lstm = copy.deepcopy(plain).quantize(name)  # type: ignore[arg-type]
        x = rng.standard_normal((5, 3, 6), F32)
        np.testing.assert_array_equal(lstm(x)[0], plain(x)[0])
        output, _, tape = lstm.record(x)
        lstm.backward(tape, output)
        assert not np.array_equal(lstm.eval()(x)[0], plain(x)[0])
        np.testing.assert_array_equal(lstm.flat_parameters, plain.flat_parameters)
        with pytest.raises(RuntimeError, match=r"quantize\(None\) first"):
            lstm.record(x)
        np.testing.assert_array_equal(lstm.quantize(None)(x)[0], plain(x)[0])

    def test_new_parameters_are_rounded_anew(self, rng: np.random.Generator) -> None:
        lstm = LSTM(6, 20).eval().quantize("int8")
        x = rng.standard_normal((5, 3, 6), F32)
        before, _ = lstm(x)
        lstm.weight_hh_l0 = lstm.weight_hh_l0 * F32(0.5)
        after, _ = lstm(x)
        assert not np.array_equal(before, after)
        state = np.zeros((1, 3, 20), F32), np.zeros((1, 3, 20), F32)
        for ours, expected in rounded_products.steps(lstm, x, state, rounded_products.of_bytes):
            np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-6)

    @pytest.mark.parametrize("name", NAMES)
    def test_copies_pickles_and_files_keep_it(
        self, name: str, tmp_path: Path, rng: np.random.Generator
    ) -> None:
        lstm = LSTM(6, 20, batch_first=True).eval().quantize(name)  # type: ignore[arg-type]
        x = rng.standard_normal((3, 5, 6), F32)
        save(tmp_path / "plain.npz", lstm)
        save(tmp_path / "packed.safetensors", lstm, packed=True)
        others = [
            copy.deepcopy(lstm),
            pickle.loads(pickle.dumps(lstm)),
            LSTM.from_file(tmp_path / "plain.npz"),
            LSTM.from_file(tmp_path / "packed.safetensors"),
            LSTM.from_file(tmp_path / "packed.safetensors", mmap=True),
        ]
        for other in others:
            assert other.quantized == name
            assert repr(other) == f"LSTM(6, 20, batch_first=True, quantized={name!r})"
            np.testing.assert_array_equal(other(x)[0], lstm(x)[0])
        np.testing.assert_array_equal(
            LSTM.from_file(tmp_path / "plain.npz", quantized=None)(x)[0], lstm.quantize(None)(x)[0]
        )
        np.testing.assert_array_equal(load(tmp_path / "plain.npz")["bias_ih_l0"], lstm.bias_ih_l0)

    @pytest.mark.parametrize("name", NAMES)
    def test_cells_keep_it_too(self, name: str, tmp_path: Path, rng: np.random.Generator) -> None:
        cell = LSTMCell(6, 20).eval()
        cell.quantized = name  # type: ignore[assignment]
        x = rng.standard_normal((3, 6), F32)
        save(tmp_path / "plain.npz", cell)
        save(tmp_path / "packed.safetensors", cell, packed=True)
        others = [
            copy.deepcopy(cell),
            pickle.loads(pickle.dumps(cell)),
            LSTMCell.from_file(tmp_path / "plain.npz"),
            LSTMCell.from_file(tmp_path / "packed.safetensors", mmap=True),
        ]
        for other in others:
            assert other.quantized == name
            np.testing.assert_array_equal(other(x), cell(x))
        mapped = LSTMCell.from_file(tmp_path / "packed.safetensors", mmap=True, quantized=None)
        np.testing.assert_array_equal(mapped(x), cell.quantize(None)(x))
        with pytest.raises(RuntimeError, match=r"quantize\(None\) first"):
            cell.quantize(name).record(x)  # type: ignore[arg-type]

    @pytest.mark.parametrize(("name", "part"), [("bfloat16", 0.55), ("int8", 0.32)])
    def test_the_packed_copy_is_smaller(self, name: str, part: float, tmp_path: Path) -> None:
        lstm, path = LSTM(256, 256).eval(), tmp_path / "packed.safetensors"
        sizes = []
        for chosen in (None, name):
            save(path, lstm.quantize(chosen), packed=True)  # type: ignore[arg-type]
            sizes.append(read(path).arrays["lstm_native.packed"].nbytes)
        assert sizes[1] < part * sizes[0]

    def test_a_mapped_network_changes_its_mind(
        self, tmp_path: Path, rng: np.random.Generator
    ) -> None:
        path = tmp_path / "packed.safetensors"
        plain = LSTM(6, 20).eval()
        save(path, copy.deepcopy(plain).quantize("int8"), packed=True)
        mapped = LSTM.from_file(path, mmap=True)
        x = rng.standard_normal((5, 3, 6), F32)
        for name in (None, "bfloat16", "int8", None):
            expected, _ = plain.quantize(name)(x)  # type: ignore[arg-type]
            np.testing.assert_array_equal(mapped.quantize(name)(x)[0], expected)  # type: ignore[arg-type]
            packed = mapped._packed
            mapped(x)
            assert mapped._packed is packed is not None
        mapped.quantize("int8").train()
        np.testing.assert_array_equal(mapped(x)[0], plain.quantize(None)(x)[0])

    def test_a_signal_handler_may_round_them_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It runs anywhere, in the middle of packing too."""
        lstm, x, pack = LSTM(6, 20).eval(), np.ones((5, 3, 6), F32), functional.pack

        def interrupted(*arguments: Any) -> Any:
            monkeypatch.undo()
            packed = pack(*arguments)
            lstm.quantize("int8")
            return packed

        monkeypatch.setattr(functional, "pack", interrupted)
        lstm(x)
        np.testing.assert_array_equal(lstm(x)[0], copy.deepcopy(lstm)(x)[0])

    def test_a_copy_of_another_kind_is_not_mapped(self, tmp_path: Path) -> None:
        path = tmp_path / "packed.safetensors"
        save(path, LSTM(6, 20).eval(), {"lstm_native.quantized": json.dumps("int8")}, packed=True)
        with pytest.raises(ValueError, match=r"int8 .*float32 "):
            LSTM.from_file(path, mmap=True)


class TestRefusals:
    @pytest.mark.parametrize(
        "name",
        ["int4", "", "\ud800", "INT8", 8, True, np.int8, b"int8", ["int8"], np.array(["int8"])],
    )
    def test_other_names(self, name: Any) -> None:
        lstm = LSTM(3, 4).eval().quantize("int8")
        with pytest.raises(ValueError, match=r"'bfloat16', 'int8' or None, got: "):
            lstm.quantize(name)
        assert lstm.quantized == "int8"

    @pytest.mark.parametrize("name", NAMES)
    def test_float64(self, name: Any) -> None:
        with pytest.raises(ValueError, match=f"float64 cannot be rounded to {name}"):
            LSTM(3, 4, dtype=np.float64).quantize(name)

    def test_sums_that_would_not_fit(self) -> None:
        with pytest.raises(ValueError, match="at most 133144 features and units"):
            LSTM(133_145, 1).quantize("int8")
        assert LSTM(133_144, 1).quantize("int8").quantized == "int8"
        assert LSTM(133_145, 1).quantize("bfloat16").quantized == "bfloat16"
        both = Config(1, 66_573, bidirectional=True)
        for config in (Config(133_145, 1), Config(1, 133_145, proj_size=1), both):
            with pytest.raises(ValueError, match="at most 133144 features and units"):
                storage("int8", config, np.dtype(F32))
            assert storage("bfloat16", config, np.dtype(F32)) == "bfloat16"

    def test_a_note_that_is_none(self, tmp_path: Path) -> None:
        path = tmp_path / "network.safetensors"
        save(path, LSTM(3, 4), {"lstm_native.quantized": json.dumps("int3")})
        with pytest.raises(ValueError, match=r"network\.safetensors: weights should be"):
            LSTM.from_file(path)

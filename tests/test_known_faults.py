"""What once crashed, or was taken without a word, in libraries of this field: refused here.

One test per fault, in its reporter's own words where they are few. Each ends with a call that is
right, since nothing may be left half done.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_native
from lstm_native import LSTM, LSTMCell, PackedSequence, _core


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "hx",
    [
        np.zeros((2, 3, 3), np.float32),
        (np.zeros((3, 3), np.float32),) * 2,
        (np.zeros((2, 3, 3), np.float32),) * 2,
        (np.zeros((1, 3), np.float32),) * 2,
    ],
)
def test_torch_193823(hx: Any, training: bool) -> None:
    """``torch.nn.LSTMCell(3, 3)(torch.randn(3), torch.zeros(2, 3, 3))`` is a segmentation fault."""
    cell = LSTMCell(3, 3).train(training)
    for call in (cell, cell.record):
        with pytest.raises((TypeError, ValueError, RuntimeError), match="hx"):
            call(normal(3), hx)
    assert cell(normal(3))[0].shape == (3,)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("features", [1, 2, 4, 100])
def test_torch_195803(features: int, training: bool) -> None:
    """Packed input of a wrong feature size, or with a wrong state, is read past its end."""
    lstm = LSTM(3, 4).train(training)
    sizes = np.array([2, 2, 1])
    right, wrong = PackedSequence(normal(5, 3), sizes), PackedSequence(normal(5, features), sizes)
    for call in (lstm, lstm.record):
        with pytest.raises(RuntimeError, match=f"Expected 3, got {features}"):
            call(wrong)
        for shape in ((1, 2, features + 4), (1, features + 2, 4), (features + 1, 2, 4)):
            with pytest.raises(RuntimeError, match=r"Expected hidden\[0\] size \(1, 2, 4\)"):
                call(right, (normal(*shape), normal(*shape)))
    assert lstm(right)[0].data.shape == (5, 4)


def changing(state: dict[str, Any], **changed: tuple[int, ...]) -> dict[str, Any]:
    return {**state, **{name: np.ones(shape, np.float32) for name, shape in changed.items()}}


UNFIT: list[dict[str, tuple[int, ...]]] = [
    {"weight_hh_l0": (16, 400)},
    {"weight_hh_l0": (16, 3)},
    {"weight_ih_l0": (12, 3)},
    {"weight_ih_l0": (1600, 3)},
    {"bias_ih_l0": (15,)},
    {"bias_hh_l0": (16, 1)},
    {"weight_ih_l1": (16, 5)},
    {"weight_hr_l0": (2, 400)},
]


@pytest.mark.parametrize("changed", UNFIT, ids=str)
def test_onnxruntime_29595(changed: dict[str, tuple[int, ...]], tmp_path: Path) -> None:
    """Weights that do not match the hidden size are read past their end.

    For ONNX files themselves see test_onnx_files.py.
    """
    lstm = LSTM(3, 4)
    state = changing(lstm.state_dict(), **changed)
    with pytest.raises(ValueError, match="are not one LSTM"):
        LSTM.from_state_dict(state)
    for suffix in (".npz", ".safetensors"):
        path = tmp_path / f"unfit{suffix}"
        lstm_native.save(path, state)
        with pytest.raises(ValueError, match="are not one LSTM"):
            LSTM.from_file(path, "")
    before = lstm.flat_parameters.copy()
    with pytest.raises(RuntimeError, match=r"size mismatch|Unexpected key"):
        lstm.load_state_dict(state)
    np.testing.assert_array_equal(lstm.flat_parameters, before)


@pytest.mark.parametrize("count", [0, 1, 143, 145, 10_000])
def test_ctranslate2_2068(count: int) -> None:
    """Sizes that promise more numbers than there are overflow the heap when a model is loaded."""
    with pytest.raises(ValueError, match="parameters should have shape"):
        _core.pack(np.ones(count, np.float32), 3, 4, 1, True, False, 0)
    for flat in (np.ones((2, 72), np.float32), np.ones(144, np.float32)[::-1]):
        with pytest.raises(ValueError, match="parameters should"):
            _core.pack(flat, 3, 4, 1, True, False, 0)
    assert _core.pack(np.ones(144, np.float32), 3, 4, 1, True, False, 0).nbytes > 0


ZERO: list[tuple[Callable[[], Any], str]] = [
    (lambda: LSTM(3, 0), "hidden_size must be greater than zero"),
    (lambda: LSTM(0, 4), "input_size must be greater than zero"),
    (lambda: LSTM(3, 4, num_layers=0), "num_layers must be greater than zero"),
    (lambda: LSTM.from_state_dict(of_sizes(3, 0)), "hidden_size must be greater than zero"),
    (lambda: LSTM.from_state_dict(of_sizes(0, 4)), "input_size must be greater than zero"),
    (lambda: LSTM.from_state_dict(of_sizes(0, 0)), "input_size must be greater than zero"),
    (lambda: _core.parameter_count(3, 0, 1, True, False, 0), "hidden_size >= 1"),
    (lambda: _core.pack(np.ones(0, np.float32), 3, 0, 1, True, False, 0), "hidden_size >= 1"),
    (lambda: _core.pack(np.ones(9, np.float32), 3, 4, 0, True, False, 0), "num_layers >= 1"),
]


def of_sizes(inputs: int, hidden: int) -> dict[str, Any]:
    return {f"{name}_l0": value for name, value in LSTMCell(inputs, hidden).state_dict().items()}


@pytest.mark.parametrize(("call", "text"), ZERO)
def test_ctranslate2_2065(call: Callable[[], Any], text: str) -> None:
    """A size of zero in a model is divided by when it is loaded."""
    with pytest.raises(ValueError, match=text):
        call()

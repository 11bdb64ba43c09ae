"""``set_reproducible(False)``: "highest" by three parts of bfloat16, where there are tiles.

Elsewhere it changes nothing, which is looked at as well. How exact three parts are, and that their
bits depend on nobody, tests/native has.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import lstm_native
from lstm_native import LSTM
from lstm_native.runtime import packing

F32 = np.float32
TILES = packing("high") is not None


def asked(text: str) -> tuple[int, str]:
    """Whether a process with this in its environment is reproducible, or its error."""
    done = subprocess.run(
        [sys.executable, "-c", "import lstm_native; print(lstm_native.get_reproducible())"],
        env=os.environ | {"LSTM_NATIVE_REPRODUCIBLE": text},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, (done.stdout + done.stderr).strip()


@pytest.fixture(autouse=True)
def _reproducible_afterwards() -> Iterator[None]:
    yield
    lstm_native.set_reproducible(True)


@pytest.mark.parametrize("own", ["highest", None])
def test_from_the_next_call_on(own: Any, rng: np.random.Generator) -> None:
    lstm = LSTM(70, 64, 2, precision=own).eval()
    x = rng.standard_normal((6, 40, 70), F32)
    exact, _ = lstm(x)
    for reproducible in (False, True, False):
        lstm_native.set_reproducible(reproducible)
        assert lstm_native.get_reproducible() is reproducible
        output, _ = lstm(x)
        assert (output.tobytes() != exact.tobytes()) is (TILES and not reproducible)
        np.testing.assert_allclose(output, exact, rtol=0, atol=1e-6)
        assert lstm.record(x)[0].tobytes() == exact.tobytes()
    packed = lstm._packed
    lstm(x)
    assert lstm._packed is packed


@pytest.mark.parametrize("name", ["medium", "high"])
def test_other_precisions_stay(name: Any, rng: np.random.Generator) -> None:
    lstm = LSTM(70, 64, precision=name).eval()
    x = rng.standard_normal((6, 40, 70), F32)
    expected, _ = lstm(x)
    lstm_native.set_reproducible(False)
    assert lstm(x)[0].tobytes() == expected.tobytes()


def test_networks_that_are_too_small_or_hold_odd_weights(rng: np.random.Generator) -> None:
    """They are multiplied as ever, and do not pack anew at each call."""
    small, odd = LSTM(63, 64).eval(), LSTM(64, 64)
    odd.weight_hh_l0[3, 4] = 1e-35
    x = rng.standard_normal((3, 5, 64), F32)
    for lstm in (small, odd.eval()):
        given = x[..., : lstm.input_size]
        exact, _ = lstm(given)
        lstm_native.set_reproducible(False)
        assert lstm(given)[0].tobytes() == exact.tobytes()
        packed = lstm._packed
        lstm(given)
        assert lstm._packed is packed
        lstm_native.set_reproducible(True)


def test_rows_that_parts_cannot_hold(rng: np.random.Generator) -> None:
    lstm = LSTM(70, 64).eval()
    x = rng.standard_normal((4, 20, 70), F32)
    lstm_native.set_reproducible(False)
    clean, _ = lstm(x)
    for bad in (np.inf, -np.inf, np.nan, 3.4e38, 1e20, 1e-33):
        x[1, 3, 5] = bad
        output, _ = lstm(x)
        lstm_native.set_reproducible(True)
        expected, _ = lstm(x)
        lstm_native.set_reproducible(False)
        np.testing.assert_allclose(output[:, 3], expected[:, 3], rtol=0, atol=1e-6)
        others = np.arange(20) != 3
        np.testing.assert_array_equal(output[:, others], clean[:, others])


@pytest.mark.parametrize(("precision", "reproducible"), [("high", True), ("highest", False)])
def test_a_signal_handler_that_calls_a_network(
    precision: Any, reproducible: bool, rng: np.random.Generator
) -> None:
    """Its call has tiles of its own, and leaves none behind for the call it interrupted."""
    lstm_native.set_reproducible(reproducible)
    lstm = LSTM(64, 64, precision=precision).eval()
    x = rng.standard_normal((100, 16, 64), F32)
    lstm_native.set_num_threads(1)
    expected, _ = lstm(x)
    handled = []
    before = signal.signal(signal.SIGALRM, lambda *_: handled.append(lstm(x[:1, :1])))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        while not handled:
            output, _ = lstm(x)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert output.tobytes() == expected.tobytes()


@pytest.mark.parametrize("value", [0, 1, None, "no"])
def test_not_a_bool(value: Any) -> None:
    with pytest.raises(TypeError, match="reproducible should be of type bool"):
        lstm_native.set_reproducible(value)
    assert lstm_native.get_reproducible()


@pytest.mark.parametrize(("text", "said"), [("0", "False"), ("1", "True"), ("", "True")])
def test_by_the_environment(text: str, said: str) -> None:
    assert asked(text) == (0, said)


@pytest.mark.parametrize("text", ["no", "2", " 1", "True"])
def test_other_values_in_the_environment(text: str) -> None:
    code, told = asked(text)
    assert code == 1
    assert told.endswith(f"LSTM_NATIVE_REPRODUCIBLE should be 0 or 1, got: {text}")

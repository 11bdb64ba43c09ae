"""sigmoid and tanh against a wider type, on every ISA: within the stated bounds, special values
kept, small results right to the last places and not just close to zero.

All float32 values are too many for a test: ``nox -s ulp`` goes through them and records the worst.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

import lstm_native
from exhaustive.ulp import FUNCTIONS, computing, errors, read_record
from lstm_native import _core
from machine import HAS_WIDER_FLOAT, X86

MOST_ULP = {"float32": 2.6, "float64": 2.7}
MOST_STEPS_OF_A_SUBNORMAL = 1.1
MEASURABLE = list(MOST_ULP) if HAS_WIDER_FLOAT else ["float32"]

each_function = pytest.mark.parametrize("name", FUNCTIONS)
each_dtype = pytest.mark.parametrize("dtype", MOST_ULP)


def call(name: str, x: np.ndarray) -> np.ndarray:
    y = np.full_like(x, 7)
    getattr(_core, name)(x, y)
    return y


def samples(dtype: str) -> np.ndarray:
    """Floats of every exponent and both signs, and a dense grid where the functions bend."""
    rng = np.random.default_rng(0)
    if dtype == "float32":
        wide = np.arange(0, 2**32, 9973, dtype=np.uint64).astype(np.uint32).view(np.float32)
    else:
        wide = rng.integers(0, 2**64, 400_000, dtype=np.uint64).view(np.float64)
    ranges = [(-800, 0), (-105, -87), (-100, 100), (-20, 20), (-3, 3), (-1, 1)]
    grids = [rng.uniform(low, high, 200_000).astype(dtype) for low, high in ranges]
    return np.concatenate([wide[np.isfinite(wide)], *grids])


@each_dtype
@each_function
def test_error_within_the_stated_bound(name: str, dtype: str) -> None:
    if dtype not in MEASURABLE:
        pytest.skip("there is no float wider than float64 to measure with")
    x = samples(dtype)
    error, subnormal = errors(name, x)
    assert subnormal.sum() > 100
    for kind, most in ((~subnormal, MOST_ULP[dtype]), (subnormal, MOST_STEPS_OF_A_SUBNORMAL)):
        worst = np.argmax(error * kind)
        assert error[worst] <= most, f"{name}({x[worst]!r}) is off by {error[worst]:.2f} ULP"


def test_recorded_errors_within_the_stated_bound() -> None:
    rows = read_record()
    assert len(rows) == len({row["isa"] for row in rows}) * len(FUNCTIONS) * len(MOST_ULP) * 2
    for row in rows:
        normal = row["results"] == "normal"
        assert float(row["ulp"]) <= (
            MOST_ULP[row["dtype"]] if normal else MOST_STEPS_OF_A_SUBNORMAL
        )


@pytest.mark.skipif(not X86, reason="the record names the ISAs of x86-64")
def test_record_is_of_this_code() -> None:
    rows = [row for row in read_record() if row["isa"] == computing(lstm_native.isa())]
    assert rows, "run nox -s ulp"
    for row in (row for row in rows if row["dtype"] in MEASURABLE):
        error, subnormal = errors(row["function"], np.array([float(row["at"])], row["dtype"]))
        assert subnormal[0] == (row["results"] == "subnormal")
        assert error[0] == pytest.approx(float(row["ulp"]), abs=0.002), "run nox -s ulp"


@each_dtype
@pytest.mark.parametrize("lanes", range(1, 18))
def test_special_values_in_every_lane(dtype: str, lanes: int) -> None:
    for name, low in (("sigmoid", 0.0), ("tanh", -1.0)):
        largest = np.finfo(dtype).max
        for value, want in (
            (np.nan, np.nan), (np.inf, 1.0), (-np.inf, low), (largest, 1.0), (-largest, low)
        ):  # fmt: skip
            x = np.zeros(lanes, dtype)
            x[-1] = value
            got = call(name, x)
            np.testing.assert_array_equal(got[-1], np.array(want, dtype))
            np.testing.assert_array_equal(
                got[:-1], np.array(0.5 if name == "sigmoid" else 0, dtype)
            )


@each_dtype
def test_results_in_range(dtype: str) -> None:
    x = samples(dtype)
    assert np.abs(call("tanh", x)).max() == 1
    assert call("sigmoid", x).min() == 0
    assert call("sigmoid", x).max() == 1


@each_dtype
def test_tanh_is_odd_and_keeps_the_sign_of_zero(dtype: str) -> None:
    x = np.append(samples(dtype), np.zeros(1, dtype))
    assert (-call("tanh", x)).tobytes() == call("tanh", -x).tobytes()
    assert np.signbit(call("tanh", -x)[-1])


@each_dtype
def test_tanh_of_a_tiny_number_is_the_number(dtype: str) -> None:
    smallest = np.finfo(dtype).smallest_subnormal
    x = np.concatenate([smallest * np.arange(100, dtype=dtype), np.geomspace(1e-37, 1e-9, 5000)])
    x = x.astype(dtype)
    np.testing.assert_array_equal(call("tanh", x), x)


@each_dtype
def test_the_cell_computes_these_functions(dtype: str) -> None:
    """With no weights and no state, c = sigmoid(i) tanh(g) and h = sigmoid(o) tanh(c)."""
    lstm = lstm_native.LSTM(1, 500, dtype=dtype, bias=True)
    z = np.random.default_rng(0).uniform(-6, 6, 2000).astype(dtype)
    for name, value in lstm.state_dict().items():
        value[...] = z if name == "bias_ih_l0" else 0
    output, (_, c) = lstm(np.zeros((1, 1, 1), dtype))
    i, _, g, o = np.split(z, 4)
    want = call("sigmoid", i) * call("tanh", g)
    np.testing.assert_array_equal(c[0, 0], want)
    np.testing.assert_array_equal(output[0, 0], call("sigmoid", o) * call("tanh", want))


@pytest.mark.forced_isa
@pytest.mark.skipif("LSTM_NATIVE_ISA" in os.environ, reason="one instruction set was asked for")
@pytest.mark.parametrize(
    "isa", sorted(set(map(computing, _core.isas())) - {computing(lstm_native.isa())})
)
def test_on_every_other_isa(isa: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
        env=os.environ | {"LSTM_NATIVE_ISA": isa},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]

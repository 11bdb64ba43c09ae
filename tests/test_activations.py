"""sigmoid and tanh of every ISA against float64 truth: at most 3 ULP, NaN kept, and small
sigmoid values right to the last places, not just close to zero."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from lstm_native import _core

MOST_ULP = 3


def samples(dtype: type[np.floating]) -> np.ndarray:
    """Floats of every exponent and both signs, and a dense grid where the functions bend."""
    rng = np.random.default_rng(0)
    if dtype is np.float32:
        words = np.concatenate([np.arange(0, 2**32, 9973, dtype=np.uint64).astype(np.uint32)])
        wide = words.view(np.float32)
    else:
        wide = rng.integers(0, 2**64, 400_000, dtype=np.uint64).view(np.float64)
    grid = rng.uniform(-100, 100, 400_000).astype(dtype)
    small = rng.uniform(-1, 1, 100_000).astype(dtype)
    return np.concatenate([wide[np.isfinite(wide)], grid, small])


def truth(name: str, x: np.ndarray) -> np.ndarray:
    x = x.astype(np.longdouble)
    with np.errstate(over="ignore", under="ignore"):
        if name == "tanh":
            return np.tanh(x)
        e = np.exp(-np.abs(x))
        return np.where(x < 0, e, 1) / (1 + e)


def largest_ulp(name: str, dtype: type[np.floating]) -> float:
    x = samples(dtype)
    got = np.empty_like(x)
    getattr(_core, name)(x, got)
    want = truth(name, x)
    unit = np.spacing(np.abs(want).astype(dtype)).astype(np.longdouble)
    return float(np.max(np.abs(got.astype(np.longdouble) - want) / unit))


@pytest.mark.parametrize("isa", _core.isas())
def test_accuracy_on_every_isa(isa: str) -> None:
    code = (
        "import json, numpy as np, test_activations as t\n"
        "print(json.dumps([[n, d.__name__, t.largest_ulp(n, d)]"
        " for n in ('sigmoid', 'tanh') for d in (np.float32, np.float64)]))"
    )
    environment = {**os.environ, "LSTM_NATIVE_ISA": isa, "PYTHONPATH": os.path.dirname(__file__)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    for name, dtype, ulp in json.loads(done.stdout):
        assert ulp <= MOST_ULP, f"{name} {dtype} on {isa}: {ulp:.2f} ULP"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lanes", range(1, 18))
def test_special_values_in_every_lane(dtype: type[np.floating], lanes: int) -> None:
    for name, low in (("sigmoid", 0.0), ("tanh", -1.0)):
        for value, want in ((np.nan, np.nan), (np.inf, 1.0), (-np.inf, low)):
            x = np.zeros(lanes, dtype)
            x[-1] = value
            got = np.full(lanes, 7, dtype)
            getattr(_core, name)(x, got)
            np.testing.assert_array_equal(got[-1], dtype(want))
            np.testing.assert_array_equal(got[:-1], dtype(0.5 if name == "sigmoid" else 0))

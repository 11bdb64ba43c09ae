"""Every instruction set the machine has, each forced in a process of its own.

Within one the promises of ``test_bits.py`` hold; between two the results agree within 1e-6 of
their size in float32. An unknown name is an error that lists the valid ones.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lstm_native
from builders import Case, Results, network, problem, ragged_lengths, run
from exhaustive.ulp import computing
from machine import SANITIZED

TESTS = Path(__file__).parent
AVAILABLE = lstm_native.show_config("dicts")["isas available"]
BITS = ("test_bits.py", "test_bits_anywhere.py")
TOLERANCE = {"float32": 1e-6, "float64": 1e-14}

PROBES = [
    Case(*sizes, dtype=dtype)
    for dtype in TOLERANCE
    for sizes in (
        (7, 5, 3, 4, 2, 2, 0),
        (30, 17, 64, 96, 2, 2, 0),
        (100, 1, 64, 130, 1, 1, 0),
        (30, 9, 33, 65, 2, 1, 32),
    )
]

pytestmark = pytest.mark.forced_isa


def start(isa: str, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"LSTM_NATIVE_ISA": isa, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(
        [sys.executable, *command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=2000 if SANITIZED else 280,
        cwd=TESTS,
    )


def probe() -> list[Results]:
    """Return the results of every probe, dense and ragged, in the instruction set in use."""
    results = []
    for case in PROBES:
        rng = np.random.default_rng(5)
        lstm, data = network(case, rng), problem(case, rng)
        results.append(run(lstm, *data))
        results.append(run(lstm, *data, lengths=ragged_lengths(case, rng)))
    return results


def write_probe(path: str) -> None:
    """Save the probe's results: what the forced processes below run."""
    arrays = {f"{n}/{k}": a for n, r in enumerate(probe()) for k, a in r._asdict().items()}
    np.savez(path, isa=np.array(lstm_native.isa()), **arrays)


@pytest.mark.parametrize("isa", [isa for isa in AVAILABLE if isa != lstm_native.isa()])
def test_agrees_with_the_one_in_use(isa, tmp_path) -> None:
    path = tmp_path / "probe.npz"
    done = start(isa, "-c", f"import test_isas; test_isas.write_probe({str(path)!r})")
    assert done.returncode == 0, done.stderr
    with np.load(path) as saved:
        assert str(saved["isa"]) == isa
        for number, expected in enumerate(probe()):
            for name, b in expected._asdict().items():
                error, size = np.abs(saved[f"{number}/{name}"] - b).max(), np.abs(b).max()
                allowed = TOLERANCE[str(b.dtype)] * size
                assert error <= allowed, f"{PROBES[number // 2]}: {name} off by {error / size:.1e}"


@pytest.mark.skipif("LSTM_NATIVE_ISA" in os.environ, reason="one instruction set was asked for")
@pytest.mark.parametrize("isa", [isa for isa in AVAILABLE if isa != lstm_native.isa()])
def test_same_bits_within(isa) -> None:
    # Where all but the kernels of rounded products are those in use, the others were tried already.
    own = computing(isa) != computing(lstm_native.isa())
    chosen = BITS if own else (BITS[0], "-k", "rounded")
    done = start(isa, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


@pytest.mark.parametrize("isa", AVAILABLE)
def test_is_the_one_asked_for(isa) -> None:
    done = start(isa, "-c", "import lstm_native; print(lstm_native.isa())")
    assert (done.returncode, done.stdout.strip()) == (0, isa), done.stderr


@pytest.mark.parametrize("name", ["avx1024", "AVX2", " avx2", "sse"])
def test_unknown_name_lists_the_valid_ones(name) -> None:
    done = start(name, "-c", "import lstm_native")
    assert done.returncode == 1, (done.returncode, done.stderr)
    last = done.stderr.strip().splitlines()[-1]
    assert name in last
    for isa in AVAILABLE:
        assert isa in last

"""Beside torch, ONNX Runtime and scikit-learn, whoever comes first, with the OpenMP runtimes that
each brings or with one for all: the same bits. What it costs is measured by ``bench.company``."""

import ctypes.util
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import company
from test_threads import digest

TESTS = Path(__file__).parent


@pytest.mark.parametrize("order", company.ORDERS, ids="-".join)
@pytest.mark.parametrize("one_openmp", [False, True], ids=["own", "one"])
def test_same_bits_in_every_order(order: tuple[str, ...], one_openmp: bool) -> None:
    for name in order:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    if one_openmp and order != company.ORDERS[-1]:
        pytest.skip("one order is enough")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    if one_openmp:
        environment["LD_PRELOAD"] = ctypes.util.find_library("gomp") or "libgomp.so.1"
    code = (
        f"from bench import company; company.bring({order!r})\n"
        "import lstm_native, test_threads\n"
        "lstm_native.set_num_threads(2)\n"
        "print(test_threads.digest())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment, cwd=TESTS, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, digest()), done.stderr

"""Beside torch, ONNX Runtime and scikit-learn, whoever comes first, with the OpenMP runtimes that
each brings or with one for all: the same bits. What it costs is measured by ``bench.company``."""

import ctypes.util
import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench import company
from test_threads import digest

TESTS = Path(__file__).parent
OPENMP = ctypes.util.find_library("gomp") or "libgomp.so.1"


def digest_beside(order: tuple[str, ...], **environment: str) -> str:
    """Compute in a process that has imported libraries in this order."""
    code = (
        f"from bench import company; company.bring({order!r})\n"
        "import lstm_native, test_threads\n"
        "lstm_native.set_num_threads(2)\n"
        "print(test_threads.digest())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | environment,
        cwd=TESTS, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.stdout.strip() or done.stderr


def test_same_bits_in_every_order() -> None:
    for name in company.ORDERS[0]:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    preloaded = " ".join([*os.environ.get("LD_PRELOAD", "").split(), OPENMP])
    with ThreadPoolExecutor(2) as pool:
        answers = {order: pool.submit(digest_beside, order) for order in company.ORDERS}
        answers["one OpenMP runtime", *company.ORDERS[-1]] = pool.submit(
            digest_beside, company.ORDERS[-1], LD_PRELOAD=preloaded
        )
    assert {order: answer.result() for order, answer in answers.items()} == dict.fromkeys(
        answers, digest()
    )

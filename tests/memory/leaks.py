"""A pytest plugin that fails a suite which leaks, for ``nox -s asan``: ``-p memory.leaks``.

Owns when leaks are looked for: at the end, but while the interpreter is still whole, since it
leaves much behind on purpose when it is taken apart. What is reported then can be reached from
nowhere any more. No Python function but the one that looks may run meanwhile: their local variables
stand in memory the sanitizer does not search. What other packages lose while they are imported is
theirs, so the modules of the tests are collected with the sanitizer looking away; ``leaks.supp``
names what they lose later.
"""

import atexit
import ctypes
import gc
import importlib
import os
from collections.abc import Iterator
from contextlib import suppress

import pytest

import lstm_native  # noqa: F401  # before collection, so that it is watched

SANITIZER = ctypes.CDLL(None)
LOSERS = ("onnxruntime", "scipy.interpolate")  # 48 and 128 bytes; some tests import them later


@pytest.hookimpl(hookwrapper=True)
def pytest_collection() -> Iterator[None]:
    SANITIZER.__lsan_disable()
    for name in LOSERS:
        with suppress(ImportError):
            importlib.import_module(name)
    yield
    SANITIZER.__lsan_enable()


@atexit.register
def look() -> None:
    gc.collect()
    if SANITIZER.__lsan_do_recoverable_leak_check():
        os._exit(1)
    print("no leaks", flush=True)

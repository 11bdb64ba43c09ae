"""A pytest plugin that fails a suite which leaks, for ``nox -s asan``: ``-p memory.leaks``.

Owns when leaks are looked for: while the interpreter is still whole, since it leaves much behind on
purpose when it ends. What is reported then can be reached from nowhere any more.
"""

import ctypes
import gc

import pytest


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    gc.collect()
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        if ctypes.CDLL(None).__lsan_do_recoverable_leak_check():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        else:
            print("\nno leaks", flush=True)

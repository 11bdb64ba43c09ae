"""Fixtures and rules of the whole suite: seeds, threads, optional torch, marks.

Must not hold builders (they stand in ``builders.py``) nor import torch before a test asks for it:
without torch every test but the parity tests runs.
"""

import importlib.util
import os
import zlib
from collections import Counter
from dataclasses import astuple, dataclass
from types import ModuleType
from typing import Any

# The reference multiplies matrices of a few rows: a second BLAS thread would only get in the way.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import pytest

import lstm_native
from machine import SANITIZED, WATCHED

MARKS = (
    "forced_isa: starts one process per instruction set the machine has",
    "undisturbed: its outcome is a time, so nothing else may run meanwhile",
    "unsanitized: its outcome is what a process needs, or it starts one that bears no sanitizer",
    "unwatched: the same, and it bears no counting of lines either",
)


@dataclass
class ParityCount:
    """How many combinations were compared with torch, and how many of them differed."""

    combinations: int = 0
    failures: int = 0


PARITY = pytest.StashKey[ParityCount]()
FILES = pytest.StashKey[Counter[str]]()


def pytest_configure(config: pytest.Config) -> None:
    for mark in MARKS:
        config.addinivalue_line("markers", mark)
    config.stash[PARITY] = ParityCount()
    config.stash[FILES] = Counter()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    barred = [n for n, b in (("unsanitized", SANITIZED), ("unwatched", WATCHED)) if b]
    for item in items:
        if any(map(item.get_closest_marker, barred)):
            item.add_marker(pytest.mark.skip(reason="under a sanitizer, or lines are counted"))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the counts of a worker of pytest-xdist to the process that prints them."""
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["parity"] = astuple(config.stash[PARITY])
        config.workeroutput["files"] = dict(config.stash[FILES])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what a worker counted, unless it crashed."""
    if not hasattr(node, "workeroutput"):
        return
    count, (combinations, failures) = node.config.stash[PARITY], node.workeroutput["parity"]
    count.combinations += combinations
    count.failures += failures
    node.config.stash[FILES].update(node.workeroutput["files"])


def pytest_make_parametrize_id(val: object) -> str | None:
    """Give every ``builders.Case`` its own short text as a test id."""
    return str(val) if type(val).__name__ == "Case" else None


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    count = config.stash[PARITY]
    if count.combinations:
        terminalreporter.write_line(
            f"parity with torch: {count.combinations} combinations, {count.failures} failures"
        )
    files = config.stash[FILES]
    if files:
        counts = ", ".join(f"{count} of {kind}" for kind, count in files.items())
        terminalreporter.write_line(f"networks in files of others, outputs compared: {counts}")


@pytest.fixture(scope="session")
def file_count(pytestconfig: pytest.Config) -> Counter[str]:
    """How many networks were read from a framework's file and gave its outputs, by framework."""
    return pytestconfig.stash[FILES]


@pytest.fixture(scope="session")
def parity_count(pytestconfig: pytest.Config) -> ParityCount:
    return pytestconfig.stash[PARITY]


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator seeded by the test's own name: the same data in every run and any order."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


def processors() -> int:
    """How many this process may run on; only Linux tells which."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@pytest.fixture(autouse=True)
def two_threads() -> None:
    """Every test starts with two threads (or the one there is), whatever the last one chose."""
    lstm_native.set_num_threads(min(2, processors()))


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    """PyTorch on one thread; a torch that is installed but broken is an error, not a skip."""
    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed: parity with it cannot be tried")
    module = importlib.import_module("torch")
    module.set_num_threads(1)
    return module

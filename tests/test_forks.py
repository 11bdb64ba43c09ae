"""Forked children compute the same bits in time, whatever the parent was doing.

A child has only the thread that forked. OpenMP's other threads are missing there, and so is whoever
held a lock; the child computes on one thread, and a fork waits for every lock.
"""

import concurrent.futures
import multiprocessing
import os
import threading
from typing import Any

import numpy as np
import pytest

import lstm_native
from forks import BUSY, Work, busy, in_child
from lstm_native import _forks, functional

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def work() -> Work:
    return Work()


@pytest.mark.parametrize("what", BUSY)
def test_child_of_a_busy_parent(what: Any, work: Work) -> None:
    expected = work()
    with busy(what, work):
        for _ in range(4):
            assert in_child(work).digest == expected
    assert work() == expected


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_child_after_another_count_of_threads(threads: int, work: Work) -> None:
    lstm_native.set_num_threads(threads)
    expected = work()
    assert in_child(work).digest == expected


def test_grandchild_and_new_thread_count(work: Work) -> None:
    def after_setting_threads() -> bytes:
        work()
        lstm_native.set_num_threads(2)
        return in_child(work).digest

    assert in_child(after_setting_threads, 4).digest == work()


def test_a_fork_waits_for_locks(work: Work) -> None:
    """A lock taken by a thread that does not come along is free in the child."""
    lock = _forks.lock()
    taken = threading.Event()

    def hold() -> None:
        with lock:
            taken.set()
            threading.Event().wait(0.2)

    holder = threading.Thread(target=hold)
    holder.start()
    taken.wait()

    def take() -> bytes:
        return bytes([lock.acquire(timeout=1)]) * 32

    assert in_child(take).digest == b"\1" * 32
    holder.join()
    with lock:  # whoever forks may hold it
        assert in_child(take).digest == b"\1" * 32


def test_a_fork_waits_for_generators() -> None:
    """The child's generator is not in the middle of a draw."""
    engine = functional.generator(3)
    out = np.empty(1_000_000, np.float32)
    drawer = threading.Thread(target=lambda: [engine.uniform(out, 0.0, 1.0) for _ in range(40)])
    drawer.start()
    counts = set()
    while drawer.is_alive():
        # After whole draws of a million words the position in the state is one of these.
        left = in_child(lambda: engine.get_state()[8:12] * 8).digest[:4]
        counts.add(int.from_bytes(left, "little"))
    assert counts <= {1 + -1_000_000 * n % 624 for n in range(41)}


def pool_work(_: int) -> bytes:
    return Work()()


def test_pool_of_forked_processes(work: Work) -> None:
    expected = work()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(pool_work, range(4)).get(10) == [expected] * 4


def test_executor_of_forked_processes(work: Work) -> None:
    expected = work()
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(2, context) as pool:
        assert list(pool.map(pool_work, range(4), timeout=10)) == [expected] * 4


def test_worker_of_torch(torch: Any, work: Work) -> None:
    expected = work()

    class Samples(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, _: int) -> Any:
            return torch.frombuffer(bytearray(work()), dtype=torch.uint8)

    loader = torch.utils.data.DataLoader(
        Samples(), batch_size=2, num_workers=2, timeout=10, multiprocessing_context="fork"
    )
    got = [bytes(row.tolist()) for batch in loader for row in batch]
    assert got == [expected] * 4

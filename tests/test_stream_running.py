"""Streams as they run: steps for which no memory need be had, threads, and the code in the docs."""

import contextlib
import re
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders import Case, network
from lstm_native import Stream, set_num_threads


def frames(rng, count):
    return rng.standard_normal((count, 3, 3)).astype(np.float32)


def same(one, two) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, two, strict=True))


# --- memory ---

# Once every free block has been taken and the system gives no more, only what takes none can go on.
WITHOUT_MEMORY = """
import ctypes, resource
import numpy as np
from lstm_native import LSTM, set_num_threads

set_num_threads(1)
lstm = LSTM(8, 24, num_layers=3, proj_size=16).eval()
x, out = np.ones((2, 8), np.float32), np.empty((2, 16), np.float32)
stream = lstm.stream(2)
stream.step(x, out)
lstm(x)
malloc = ctypes.CDLL(None).malloc
malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used, used))
sizes = [1 << bits for bits in range(30, 10, -1)] + list(range(1024, 0, -8))
for _ in range(2):
    for size in sizes:  # which stays: whoever is freed now leaves a block behind
        while malloc(size):
            pass
for _ in range(1000):
    stream.step(x, out)
try:
    lstm(x)
except MemoryError:
    print("no step took memory, and a call would have")
"""


def test_a_step_takes_no_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MEMORY], capture_output=True, text=True, check=False
    )
    assert done.stdout == "no step took memory, and a call would have\n", done.stderr


def test_a_step_makes_no_python_object_but_its_result(rng) -> None:
    stream = network(Case(L=2, proj=4), rng).eval().stream(3)
    x, out = frames(rng, 1)[0], np.empty((3, 4), np.float32)
    tracemalloc.start()
    try:
        for result, most in ((out, 0), (None, 512)):
            stream.step(x, result)
            before = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            for _ in range(1000):
                stream.step(x, result)
            after, peak = tracemalloc.get_traced_memory()
            # The loop's own counter and the call's method are objects of less than 100 bytes.
            assert after - before < 100
            assert peak - before < 200 + most
    finally:
        tracemalloc.stop()


# --- threads ---


@pytest.mark.parametrize("hidden", [16, 300], ids=["GIL kept", "GIL released"])
def test_two_streams_of_one_network_in_two_threads(hidden, rng) -> None:
    set_num_threads(1)
    lstm = network(Case(H=hidden), rng).eval()
    x = frames(rng, 200)
    expected = lstm(x)[0]
    got: dict[int, list] = {}

    def work(index) -> None:
        stream = lstm.stream(3)
        got[index] = [stream.step(frame) for frame in x]

    threads = [threading.Thread(target=work, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert same(got[0], expected)
    assert same(got[1], expected)


def test_one_stream_in_two_threads_is_refused(rng) -> None:
    set_num_threads(1)
    stream = network(Case(H=1000), rng).eval().stream(64)
    x = rng.standard_normal((64, 3)).astype(np.float32)
    said: list[str] = []
    deadline = time.monotonic() + 30

    def work() -> None:
        while not said and time.monotonic() < deadline:
            try:
                stream.step(x)
            except RuntimeError as error:
                said.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said
    assert "another thread is inside this stream" in said[0]
    stream.step(x)  # and nobody is left inside


@pytest.mark.parametrize(
    "meanwhile",
    [Stream.reset, lambda s: s.state, lambda s: setattr(s, "state", (s._h.copy(), s._c.copy()))],
    ids=["reset", "get", "set"],
)
def test_the_state_is_left_alone_while_a_step_goes_on(meanwhile, rng) -> None:
    set_num_threads(1)
    stream = network(Case(H=1000), rng).eval().stream(64)
    x = rng.standard_normal((64, 3)).astype(np.float32)
    refused: list[str] = []
    deadline = time.monotonic() + 30

    def work() -> None:
        while not refused and time.monotonic() < deadline:
            with contextlib.suppress(RuntimeError):  # the other thread may be the first, too
                stream.step(x)

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive() and not refused:
        try:
            meanwhile(stream)
        except RuntimeError as error:
            refused.append(str(error))
    thread.join()
    assert refused == ["another thread is inside this stream: give each its own"]
    meanwhile(stream)  # and nobody is left inside


def test_threads_are_those_of_when_it_was_made(rng) -> None:
    lstm = network(Case(H=512), rng).eval()
    x = frames(rng, 3)
    expected = lstm(x)[0]
    for before, after in ((1, 2), (2, 1)):
        set_num_threads(before)
        stream = lstm.stream(3)
        set_num_threads(after)
        assert same([stream.step(frame) for frame in x], expected)


# --- docs/streaming.md ---

TEXT = (Path(__file__).parents[1] / "docs" / "streaming.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("code", CODE, ids=range(len(CODE)))
def test_code_in_the_docs(code: str) -> None:
    names: dict[str, Any] = {}
    exec(code, names)

"""Streams as they run: in threads, and in the code of the docs."""

import contextlib
import re
import threading
import time
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

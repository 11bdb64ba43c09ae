"""Ctrl-C in long calls.

A thread sends SIGINT to its own process while a call works that would take seconds. The handler
runs on the main thread, inside the call; what it raises comes out of the call.
"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import lstm_native
from builders import bits

pytestmark = pytest.mark.undisturbed
SEEN_WITHIN = 0.2  # seconds
Call = Callable[[], object]


class Interrupted(Exception):
    """What the handler of these tests raises."""


@pytest.fixture
def handled() -> Iterator[list[float]]:
    """When the handler ran."""
    times: list[float] = []

    def handler(*_: object) -> None:
        times.append(time.perf_counter())
        raise Interrupted

    before = signal.signal(signal.SIGINT, handler)
    yield times
    signal.signal(signal.SIGINT, before)


def latency(call: Call, times: list[float], after: float = 0.05) -> float:
    """Interrupt a call; how long the handler had to wait, in seconds."""
    sent: list[float] = []

    def interrupt() -> None:
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(after, interrupt)
    timer.start()
    with pytest.raises(Interrupted):
        call()
    timer.join()
    return times[-1] - sent[0]


def least_latency(call: Call, times: list[float], tries: int = 3) -> float:
    """Of some tries: other load on the machine can only make it longer."""
    best = np.inf
    for _ in range(tries):
        best = min(best, latency(call, times))
        if best <= SEEN_WITHIN:
            break
    return float(best)


def zeros(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


def small_bits(lstm: lstm_native.LSTM) -> list[bytes]:
    x = np.ones((3, 2, lstm.input_size), np.float32)
    output, _, tape = lstm.record(x)
    return [bits(output), *(bits(part) for part in lstm.backward(tape, output))]


# name: T, N, I, H, L, options
LONG = {
    "many steps of one row": ((60_000, 1, 256, 256), {}),
    "many tiny steps": ((4_000_000, 1, 2, 2), {}),
    "many rows of one step": ((1, 100_000, 256, 512), {}),
    "a stack": ((1500, 64, 256, 256), {"num_layers": 3}),
    "both ways": ((3000, 64, 256, 256), {"bidirectional": True}),
    "projected": ((3000, 64, 256, 512), {"proj_size": 128}),
}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_call_is_given_up(name, threads, handled) -> None:
    (T, N, I, H), options = LONG[name]  # noqa: E741 - the project's alphabet
    lstm_native.set_num_threads(threads)
    lstm = lstm_native.LSTM(I, H, **options)
    before = small_bits(lstm), bits(lstm.flat_parameters)
    x = zeros(T, N, I)
    lstm.eval()
    assert least_latency(lambda: lstm(x), handled) <= SEEN_WITHIN
    lstm.train()
    assert (small_bits(lstm), bits(lstm.flat_parameters)) == before


@pytest.mark.parametrize("name", ["many steps of one row", "a stack", "projected"])
@pytest.mark.parametrize("checkpoint", [None, 100])
def test_a_training_step_is_given_up(name, checkpoint, handled) -> None:
    (T, N, I, H), options = LONG[name]  # noqa: E741 - the project's alphabet
    lstm = lstm_native.LSTM(I, H, **options)
    before = small_bits(lstm), bits(lstm.flat_parameters)
    x = zeros(T // 4, N, I)
    assert least_latency(lambda: lstm.record(x, checkpoint=checkpoint), handled) <= SEEN_WITHIN
    tapes: list[Any] = []

    def backward() -> None:
        lstm.backward(tapes[-1])

    best = np.inf
    for _ in range(3):
        tapes.append(lstm.record(x, checkpoint=checkpoint)[2])
        best = min(best, latency(backward, handled))
        assert tapes[-1].consumed
        assert tapes[-1].nbytes == 0
        with pytest.raises(RuntimeError, match="a second time"):
            backward()
        if best <= SEEN_WITHIN:
            break
    assert best <= SEEN_WITHIN
    assert (small_bits(lstm), bits(lstm.flat_parameters)) == before


def test_masks_are_given_up(handled) -> None:
    """Dropout draws before anything else is done, and at this size for seconds."""
    lstm = lstm_native.LSTM(1, 64, num_layers=2, dropout=0.5)
    assert least_latency(lambda: lstm(zeros(4_000_000, 1, 1)), handled) <= SEEN_WITHIN


def test_a_handler_that_returns_changes_nothing() -> None:
    lstm = lstm_native.LSTM(64, 128).eval()
    x = np.ones((20_000, 1, 64), np.float32)
    expected = bits(lstm(x)[0])
    calls: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: calls.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.005, 0.005)
    try:
        for _ in range(5):
            assert bits(lstm(x)[0]) == expected
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert calls


def test_a_handler_may_call_the_network() -> None:
    """From inside the call that it interrupts."""
    lstm = lstm_native.LSTM(64, 256).eval()
    x = np.ones((30_000, 1, 64), np.float32)
    expected = bits(lstm(x)[0])
    nested: list[bool] = []

    def handler(*_: object) -> None:
        nested.append(bits(lstm(x[:2000])[0]) == expected[: 2000 * 256 * 4])

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        assert bits(lstm(x)[0]) == expected
    finally:
        signal.signal(signal.SIGALRM, before)
    assert nested == [True]


@pytest.mark.parametrize("what", ["call", "record", "step", "draw"])
def test_a_handler_may_make_small_calls(what) -> None:
    """They are not the call that it interrupts, and ask nobody whether to go on."""
    lstm, small = lstm_native.LSTM(64, 256).eval(), lstm_native.LSTM(4, 4)
    x, frames = np.ones((30_000, 1, 64), np.float32), np.ones((5, 1, 4), np.float32)
    stream = lstm_native.LSTM(4, 4).eval().stream()
    calls = {
        "call": lambda: small(frames),
        "record": lambda: small.record(frames),
        "step": lambda: stream.step(frames[0]),
        "draw": small.reset_parameters,
    }
    expected, done = bits(lstm(x)[0]), []
    before = signal.signal(signal.SIGALRM, lambda *_: done.append(calls[what]()))
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        assert bits(lstm(x)[0]) == expected
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(done) == 1


def test_a_handler_computes_as_ever() -> None:
    """Subnormal numbers count as zeros within the call, not within what interrupts it."""
    lstm = lstm_native.LSTM(64, 256).eval()
    x, seen = np.ones((30_000, 1, 64), np.float32), []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(float("4e-320") / 2))
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        lstm(x)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert seen == [2e-320]


def test_initial_weights_are_given_up(handled) -> None:
    lstm = lstm_native.LSTM(2048, 4096)
    before = bits(lstm.flat_parameters)
    assert least_latency(lstm.reset_parameters, handled) <= SEEN_WITHIN
    assert bits(lstm.flat_parameters) == before


def test_only_the_main_thread_is_interrupted(handled) -> None:
    """As ever in Python: handlers run there. Calls of other threads go on and are right."""
    lstm = lstm_native.LSTM(64, 256).eval()
    x = np.ones((20_000, 1, 64), np.float32)
    expected = bits(lstm(x)[0])
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(lambda: bits(lstm(x)[0]))
        threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(Interrupted):
            time.sleep(5)
        assert other.result() == expected


def test_a_stream_finishes_its_step(handled) -> None:
    """Its state is its own: a step is made or not made, never by half."""
    lstm = lstm_native.LSTM(512, 512).eval()
    stream, expected = lstm.stream(batch_size=20_000), lstm.stream(batch_size=20_000)
    x = np.ones((20_000, 512), np.float32)
    expected.step(x)

    def step_and_wait() -> None:
        stream.step(x)
        time.sleep(5)

    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(Interrupted):
        step_and_wait()
    assert [bits(part) for part in stream.state] == [bits(part) for part in expected.state]

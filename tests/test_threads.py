"""Python threads, and tapes that live side by side."""

import hashlib
import os
import resource
import subprocess
import sys
import sysconfig
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import lstm_native
from builders import Case, Results, bits, differing, network, problem, ragged_lengths, run
from side_by_side import THREADS, race

SHARED = Case(T=20, N=8, I=24, H=48, L=2, D=2)
SEPARATE = Case(T=10, N=12, I=20, H=40, L=2, proj=16)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shared_model_in_eval_mode(dtype, rng) -> None:
    case = Case(**{**vars(SHARED), "dtype": dtype})
    lstm = network(case, rng).eval()
    inputs = []
    for n in range(32):
        own = Case(**{**vars(case), "N": 1 + n % 9, "T": 5 + n})
        lengths = ragged_lengths(own, rng) if n % 3 == 0 else None
        inputs.append((problem(own, rng), lengths))

    def forward(index: int) -> list[bytes]:
        data, lengths = inputs[index]
        output, state = lstm(data.x, data.state, lengths=lengths)
        return [bits(array) for array in (output, *state)]

    expected = [forward(index) for index in range(len(inputs))]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(forward, range(len(inputs)))) == expected


def train(seed: int) -> list[bytes]:
    """Train a network of its own for some steps; return its parameters after each."""
    rng = np.random.default_rng(seed)
    lstm = network(SEPARATE, rng)
    history = []
    for _ in range(8):
        data = problem(SEPARATE, rng)
        gradients = run(lstm, *data).d_parameters
        lstm.flat_parameters[...] -= 0.01 * gradients
        history.append(bits(lstm.flat_parameters))
    return history


def test_separate_models_train_side_by_side() -> None:
    expected = [train(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(train, range(8))) == expected


def test_thread_count_changed_meanwhile() -> None:
    expected = [train(seed) for seed in range(6)]
    done = threading.Event()

    def change() -> None:
        count = 0
        while not done.is_set():
            lstm_native.set_num_threads(1 + count % 4)
            count += 1
            time.sleep(0.001)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(train, range(6))) == expected
    finally:
        done.set()
        changer.join()


@pytest.mark.unwatched  # coverage takes offence at threads that begin while others do
def test_eight_threads_share_what_may_be_shared() -> None:
    count = race(2)
    assert not count.faults
    assert count.jobs > THREADS * 6


@pytest.mark.skipif(not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="there is a GIL")
def test_the_gil_stays_off() -> None:
    assert not sys._is_gil_enabled()


def test_the_process_may_end_while_a_thread_computes() -> None:
    code = """
        import threading, time
        import numpy as np
        from lstm_native import LSTM
        lstm, x, begun = LSTM(64, 256), np.ones((400, 16, 64), np.float32), threading.Event()
        def work():
            while True:
                lstm(x)
                begun.set()
        threading.Thread(target=work, daemon=True).start()
        begun.wait()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_process_may_end_before_mapped_weights_are_let_go(tmp_path: Path) -> None:
    """The last to hold them is a tape, inside `backward`, whose thread cannot have the GIL."""
    path = tmp_path / "model.safetensors"
    lstm_native.save(path, lstm_native.LSTM(64, 256), packed=True)
    code = f"""
        import sys, threading, time
        import numpy as np
        from lstm_native import LSTM
        begun, x = threading.Event(), np.ones((400, 16, 64), np.float32)
        class Late:  # keeps the interpreter at its end while the thread computes
            def __del__(self, sleep=time.sleep):
                sleep(1)
        sys.late = Late()
        def work():
            lstm = LSTM.from_file({str(path)!r}, mmap=True)
            output, _, tape = lstm.record(x)
            lstm.load_state_dict(lstm.state_dict())
            begun.set()
            lstm.backward(tape, output)
        threading.Thread(target=work, daemon=True).start()
        begun.wait()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_modes_and_calls_side_by_side(rng) -> None:
    """One thread flips a model between its modes while others call it."""
    lstm = network(SHARED, rng)
    data = problem(SHARED, rng)
    expected = bits(lstm(data.x, data.state)[0])
    done = threading.Event()

    def flip() -> None:
        while not done.is_set():
            lstm.eval()
            lstm.train()

    flipper = threading.Thread(target=flip)
    flipper.start()
    try:
        with ThreadPoolExecutor(3) as pool:
            outputs = pool.map(lambda _: bits(lstm(data.x, data.state)[0]), range(60))
            assert all(output == expected for output in outputs)
    finally:
        done.set()
        flipper.join()


def digest() -> str:
    """Hash the results of a run that two threads would share."""
    rng = np.random.default_rng(3)
    case = Case(T=20, N=32, I=64, H=96, D=2)
    results = run(network(case, rng), *problem(case, rng))
    return hashlib.sha256(b"".join(map(bits, results))).hexdigest()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OMP_THREAD_LIMIT", "1"),
        ("OMP_NUM_THREADS", "1"),
        ("OMP_NUM_THREADS", "3"),
        ("OMP_DYNAMIC", "true"),
        ("LSTM_NATIVE_NUM_THREADS", "1"),
    ],
)
@pytest.mark.parametrize("ask", ["", "lstm_native.set_num_threads(4); "])
def test_threads_that_the_system_grants(name, value, ask) -> None:
    """The bits are the same when OpenMP gives fewer threads than were asked for."""
    environment = os.environ | {name: value, "PYTHONPATH": os.pathsep.join(sys.path)}
    code = f"import lstm_native, test_threads; {ask}print(test_threads.digest())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout.strip()) == (0, digest()), done.stderr


@pytest.mark.unsanitized
def test_threads_that_the_system_refuses() -> None:
    """Stacks of 1 GB for 64 threads do not fit into 8 GB: fewer threads then, and the same bits."""
    code = """
        import resource, lstm_native, test_threads
        from lstm_native import _core
        lstm_native.set_num_threads(64)
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        _core.force_dealing("units")
        print(test_threads.digest())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"},
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (1 << 30, 1 << 30)),
    )
    assert (done.returncode, done.stdout.strip()) == (0, digest()), done.stderr


# --- tapes ---


def record(lstm, data):
    output, state, tape = lstm.record(data.x, data.state)
    return Results(output, *state, *[np.zeros(0)] * 4), tape


def gradients(lstm, tape, data) -> list[bytes]:
    return [bits(array) for array in lstm.backward(tape, data.d_output, data.d_state)]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_several_tapes_in_any_order(order, rng) -> None:
    lstm = network(SHARED, rng)
    problems = [problem(SHARED, rng) for _ in range(3)]
    expected = [gradients(lstm, record(lstm, data)[1], data) for data in problems]
    tapes = [record(lstm, data)[1] for data in problems]
    got = {index: gradients(lstm, tapes[index], problems[index]) for index in order}
    assert [got[index] for index in range(3)] == expected


def test_tapes_of_one_model_in_several_threads(rng) -> None:
    lstm = network(SHARED, rng)
    problems = [problem(SHARED, rng) for _ in range(8)]
    expected = [gradients(lstm, record(lstm, data)[1], data) for data in problems]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            tapes = list(pool.map(lambda data: record(lstm, data)[1], problems))
            got = pool.map(lambda pair: gradients(lstm, *pair), zip(tapes, problems, strict=True))
            assert list(got) == expected


def test_tape_outlives_what_made_it(rng) -> None:
    """A tape keeps the weights, outputs and state it needs, whatever becomes of the caller's."""
    lstm, data = network(SHARED, rng), problem(SHARED, rng)
    expected = run(lstm, *data)
    state = tuple(array.copy() for array in data.state)
    output, (h_n, c_n), tape = lstm.record(data.x, state)
    lstm.flat_parameters[...] = np.nan
    for array in (*state, h_n, c_n):
        array[...] = np.nan
    del output, h_n, c_n
    got = lstm.backward(tape, data.d_output, data.d_state)
    found = differing(Results(*expected[:3], *got), expected)
    assert not found, found


def test_output_of_record_is_read_only(rng) -> None:
    lstm, data = network(SHARED, rng), problem(SHARED, rng)
    output, _, _ = lstm.record(data.x)
    with pytest.raises(ValueError, match="read-only"):
        output[...] = 0


def test_tape_is_consumed_once(rng) -> None:
    lstm, data = network(SHARED, rng), problem(SHARED, rng)
    _, tape = record(lstm, data)
    first = lstm.backward(tape, data.d_output, data.d_state)
    into = np.ones_like(first.parameters)
    with pytest.raises(RuntimeError):
        lstm.backward(tape, data.d_output, data.d_state, into=into)
    assert (into == 1).all()


def test_one_tape_fought_over_by_threads(rng) -> None:
    """Of several threads that differentiate one tape exactly one gets its gradients."""
    lstm, data = network(SHARED, rng), problem(SHARED, rng)
    expected = gradients(lstm, record(lstm, data)[1], data)
    for _ in range(10):
        _, tape = record(lstm, data)

        def attempt(_, tape=tape):
            try:
                return gradients(lstm, tape, data)
            except RuntimeError:
                return None

        with ThreadPoolExecutor(4) as pool:
            got = [result for result in pool.map(attempt, range(4)) if result is not None]
        assert got == [expected]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_into_accumulates(dtype, rng) -> None:
    case = Case(**{**vars(SHARED), "dtype": dtype})
    lstm = network(case, rng)
    first, second = problem(case, rng), problem(case, rng)
    separate = [run(lstm, *data).d_parameters for data in (first, second)]
    into = np.zeros_like(lstm.flat_parameters)
    for count, data in enumerate((first, second), 1):
        _, tape = record(lstm, data)
        returned = lstm.backward(tape, data.d_output, data.d_state, into=into).parameters
        assert returned is into
        total = np.sum(separate[:count], axis=0)
        tolerance = 1e-6 if dtype == "float32" else 1e-14
        np.testing.assert_allclose(into, total, rtol=0, atol=tolerance * np.abs(total).max())


def mean_time(lstm: lstm_native.LSTM, x: np.ndarray, seconds: float) -> float:
    lstm(x)
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        lstm(x)
        calls += 1
    return (time.perf_counter() - start) / calls


@pytest.mark.undisturbed
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_a_busy_core_costs_no_more_than_its_own_work(rng) -> None:
    """Another process on one of two cores: a call may lose that core's half, not time slices.

    A barrier at every step that waited for a member without a core would make a call 5 to 50
    times slower. Other load on the machine can only make this fail, so the best of some rounds
    counts.
    """
    lstm = lstm_native.LSTM(64, 64).eval()
    x = rng.standard_normal((100, 16, 64)).astype(np.float32)
    ratios = []
    for _ in range(6):
        free = mean_time(lstm, x, 0.4)
        with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as competitor:
            try:
                time.sleep(0.1)
                ratios.append(mean_time(lstm, x, 1.0) / free)
            finally:
                competitor.kill()
        if ratios[-1] <= 2.2:
            return
        time.sleep(0.5)
    pytest.fail(f"times with a busy core over times without: {ratios}")

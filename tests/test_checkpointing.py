"""Gradient checkpointing: less memory, the same bits.

A segment has at least 256 frames, so the cases here have several times as many.
"""

import sys
import threading

import numpy as np
import pytest

import lstm_native
from builders import Case, bits, differing, network, problem, ragged_lengths, run
from lstm_native import _core

CASES = {
    "one row": Case(T=700, N=1, H=40, L=2),
    "one row, both ways": Case(T=600, N=1, H=24, D=2),
    "few rows": Case(T=230, N=5, H=33, L=2, D=2, dropout=0.4),
    "rows": Case(T=60, N=31, H=70, L=3),
    "projected": Case(T=70, N=13, H=66, D=2, L=2, proj=35),
    "float64": Case(T=90, N=11, H=20, L=2, D=2, dtype="float64"),
    "many rows": Case(T=5, N=300, H=17),
    "batch first": Case(T=40, N=20, H=16, batch_first=True, bias=False),
}
every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def seeded_run(lstm, data, **options):
    lstm_native.manual_seed(5)
    return run(lstm, *data, **options)


@every_case
@pytest.mark.parametrize("layout", ["dense", "ragged", "packed"])
def test_same_bits_as_without(case, layout, rng) -> None:
    lstm, data = network(case, rng), problem(case, rng)
    options = {}
    if layout != "dense":
        shortest = 1 if layout == "packed" else 0
        options = {"lengths": ragged_lengths(case, rng, shortest), "packed": layout == "packed"}
    expected = seeded_run(lstm, data, **options)
    for steps in (1, 37, 100, sys.maxsize, 10**30):
        found = differing(seeded_run(lstm, data, checkpoint=steps, **options), expected)
        assert not found, f"every {steps} steps: elements differ in {', '.join(found)}"


@every_case
def test_same_bits_however_work_is_dealt_out(case, rng) -> None:
    lstm, data = network(case, rng), problem(case, rng)
    lengths = ragged_lengths(case, rng)
    expected = seeded_run(lstm, data, lengths=lengths)
    try:
        for dealing in ("alone", "rows", "units", "tail", "directions", "layers"):
            _core.force_dealing(dealing)
            for threads in (2, 3, 7):
                lstm_native.set_num_threads(threads)
                got = seeded_run(lstm, data, lengths=lengths, checkpoint=20)
                found = differing(got, expected)
                assert not found, f"{dealing}, {threads} threads: {', '.join(found)} differ"
    finally:
        _core.force_dealing("any")


@pytest.mark.parametrize("threads", [1, 2])
def test_two_tapes_of_one_model_go_back_at_once(threads, rng) -> None:
    """Each restores its segments in memory of its own."""
    case = Case(T=200, N=24, I=20, H=48, L=2, D=2)
    lstm = network(case, rng)
    lstm_native.set_num_threads(threads)
    problems = [problem(case, rng), problem(case, rng)]
    expected = [run(lstm, *data) for data in problems]
    tapes = [lstm.record(data.x, data.state, checkpoint=20)[2] for data in problems]
    start, gradients = threading.Barrier(2), {}

    def backward(index: int) -> None:
        data = problems[index]
        start.wait()
        gradients[index] = lstm.backward(tapes[index], data.d_output, data.d_state)

    workers = [threading.Thread(target=backward, args=(index,)) for index in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for index, truth in enumerate(expected):
        for got, array in zip(gradients[index], truth[3:], strict=True):
            assert bits(got) == bits(array)


def test_what_a_tape_holds(rng) -> None:
    case = Case(T=100, N=16, I=8, H=32, L=2, D=2)
    lstm, data = network(case, rng), problem(case, rng)
    frames, states = case.T * case.N, 2 * case.L * case.D * case.N * case.H
    inner = frames * case.D * case.P
    tape = lstm.record(data.x)[2]
    assert tape.nbytes == 4 * (5 * frames * case.H * case.L * case.D + inner + states)
    tape = lstm.record(data.x, checkpoint=20)[2]  # c after steps 20, 40, 60 and 80
    assert tape.nbytes == 4 * (4 * case.N * case.H * case.L * case.D + inner + states)
    tape = lstm.record(data.x, checkpoint=3)[2]  # 16 steps are 256 frames
    assert tape.nbytes == 4 * (6 * case.N * case.H * case.L * case.D + inner + states)
    lstm.backward(tape)
    assert tape.nbytes == 0


@pytest.mark.parametrize("steps", [1, 25, 100])
def test_one_long_row_among_short_ones(steps, rng) -> None:
    """What is kept at a border is that of the rows alive there."""
    case = Case(T=2000, N=256, I=4, H=64, D=2)
    lstm, data = network(case, rng), problem(case, rng)
    lengths = np.ones(case.N, np.int64)
    lengths[7] = case.T
    expected = run(lstm, *data, lengths=lengths)
    assert not differing(run(lstm, *data, lengths=lengths, checkpoint=steps), expected)
    frames, states = case.T + case.N - 1, 2 * case.D * case.N * case.H
    kept = lstm.record(data.x, lengths=lengths, checkpoint=steps)[2].nbytes
    assert kept <= 4 * (states + case.D * case.H * (case.N + frames // 256))


@pytest.mark.parametrize("steps", [0, -3])
def test_no_steps(steps, rng) -> None:
    lstm, data = network(Case(), rng), problem(Case(), rng)
    with pytest.raises(ValueError, match=f"checkpoint should be a positive .*, got: {steps}"):
        lstm.record(data.x, checkpoint=steps)


@pytest.mark.parametrize("steps", [2.0, "2", [2]])
def test_steps_of_another_type(steps, rng) -> None:
    lstm, data = network(Case(), rng), problem(Case(), rng)
    kind = type(steps).__name__
    with pytest.raises(TypeError, match=f"checkpoint should be of type int, got: {kind}"):
        lstm.record(data.x, checkpoint=steps)


def test_nothing_to_restore(rng) -> None:
    lstm = lstm_native.LSTM(3, 4)
    for shape in ((5, 0, 3), (5, 2, 3)):
        x = rng.standard_normal(shape).astype(np.float32)
        lengths = np.zeros(shape[1], np.int64)
        output, _, tape = lstm.record(x, lengths=lengths, checkpoint=1)
        assert not lstm.backward(tape, np.ones_like(output)).parameters.any()

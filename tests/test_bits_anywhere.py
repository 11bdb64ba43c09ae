"""The promise of ``test_bits.py`` for any network at all: hypothesis looks for one that breaks it.

Sizes, memory, layout, threads and the way of dealing work out are drawn at random, and the whole
run, forward and backward, is compared with the plainest there is: one thread, time-major, aligned.
The file is run again under every instruction set by ``test_isas.py``.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lstm_native
from builders import Array, Case, Problem, Results, bits, differing, network, problem, run
from lstm_native import _core

DEALINGS = ("any", "alone", "rows", "units", "tail", "directions", "layers")

sizes = st.integers(1, 9) | st.integers(1, 70)


@st.composite
def cases(draw) -> Case:
    hidden, layers = draw(sizes), draw(st.integers(1, 3))
    return Case(
        T=draw(st.integers(1, 6) | st.integers(1, 60)),
        N=draw(sizes),
        I=draw(sizes),
        H=hidden,
        L=layers,
        D=draw(st.integers(1, 2)),
        proj=draw(st.just(0) | st.integers(0, hidden - 1)),
        bias=draw(st.booleans()),
        dropout=draw(st.sampled_from((0.0, 0.3, 1.0))) if layers > 1 else 0.0,
        dtype=draw(st.sampled_from(("float32", "float64"))),
    )


@pytest.fixture(autouse=True)
def any_dealing():
    yield
    _core.force_dealing("any")


def placed(array: Array, offset: int, spread: int) -> Array:
    """Copy to memory ``offset`` bytes past a 64-byte border, frames ``spread`` elements apart."""
    *lead, features = array.shape
    size = int(np.prod(lead)) * (features + spread) * array.itemsize
    buffer = np.zeros(size + 128 + offset, np.uint8)
    start = -buffer.ctypes.data % 64 + offset
    wide = buffer[start : start + size].view(array.dtype).reshape(*lead, features + spread)
    wide[..., :features] = array
    return wide[..., :features]


def seeded(lstm: lstm_native.LSTM, data: Problem, **layout) -> Results:
    lstm_native.manual_seed(5)
    return run(lstm, *data, **layout)


def plain(lstm: lstm_native.LSTM, data: Problem, lengths: Array | None) -> Results:
    lstm_native.set_num_threads(1)
    _core.force_dealing("alone")
    return seeded(lstm, data, lengths=lengths)


def any_lengths(data, case: Case, shortest: int) -> Array:
    drawn = data.draw(
        st.lists(st.integers(shortest, case.T), min_size=case.N, max_size=case.N), "lengths"
    )
    # The longest has T steps: as packed sequences they would be taken for shorter ones.
    return np.array([case.T, *drawn[1:]], np.int64)


@settings(max_examples=120, deadline=None)
@given(
    case=cases(),
    layout=st.sampled_from(("dense", "batch_first", "lengths", "lengths, batch_first", "packed")),
    threads=st.sampled_from((1, 2, 3, 4, 8)),
    dealing=st.sampled_from(DEALINGS),
    offset=st.sampled_from((0, 1, 4, 8, 12, 36)),
    spread=st.integers(0, 3),
    checkpoint=st.none() | st.integers(1, 20),
    data=st.data(),
)
def test_any_way_to_run(case, layout, threads, dealing, offset, spread, checkpoint, data) -> None:
    rng = np.random.default_rng(case.T * 1000 + case.N)
    lstm, given_data = network(case, rng), problem(case, rng)
    lengths = None
    if "lengths" in layout or layout == "packed":
        lengths = any_lengths(data, case, shortest=layout == "packed")
    expected = plain(lstm, given_data, lengths)

    lstm_native.set_num_threads(threads)
    _core.force_dealing(dealing)
    lstm.batch_first = "batch_first" in layout
    moved = given_data._replace(
        x=placed(given_data.x, offset, spread),
        d_output=placed(given_data.d_output, offset, spread),
        state=tuple(placed(part, offset, 0) for part in given_data.state),
    )
    got = seeded(lstm, moved, lengths=lengths, packed=layout == "packed", checkpoint=checkpoint)
    assert not differing(got, expected)


@settings(max_examples=60, deadline=None)
@given(case=cases(), ragged=st.booleans(), threads=st.sampled_from((1, 2, 4)), data=st.data())
def test_any_row_alone(case, ragged, threads, data) -> None:
    """The outputs, states and their gradients of a row do not know of the other rows."""
    case = Case(**{**vars(case), "dropout": 0.0})
    rng = np.random.default_rng(case.T * 1000 + case.N)
    lstm, whole = network(case, rng), problem(case, rng)
    lengths = any_lengths(data, case, 1) if ragged else np.full(case.N, case.T)
    row = data.draw(st.integers(0, case.N - 1), "row")
    steps = int(lengths[row])

    lstm_native.set_num_threads(threads)
    together = seeded(lstm, whole, lengths=lengths if ragged else None)
    only = (slice(None), slice(row, row + 1))
    frames = (slice(steps), *only[1:])
    alone = plain(
        lstm,
        Problem(
            x=whole.x[frames],
            state=(whole.state[0][only], whole.state[1][only]),
            d_output=whole.d_output[frames],
            d_state=(whole.d_state[0][only], whole.d_state[1][only]),
        ),
        None,
    )
    for name in ("output", "h_n", "c_n", "d_input", "d_h_0", "d_c_0"):
        cut = frames if name in ("output", "d_input") else only
        assert bits(getattr(together, name)[cut]) == bits(getattr(alone, name)), name

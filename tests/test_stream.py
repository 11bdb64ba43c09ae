"""Streams: the bits of a call with all the frames, whatever way frames and results come; rows that
begin anew; and what is refused."""

import copy
import pickle
import weakref

import numpy as np
import pytest

import lstm_native
from builders import Case, network, problem
from lstm_native import LSTM, Stream, _core

CASES = [
    Case(T=1, N=1),
    Case(T=9, N=1, L=2),
    Case(T=9, N=3, H=16),
    Case(T=5, N=7, I=1, H=40, L=3),
    Case(T=6, N=2, H=33, L=2, proj=12),
    Case(T=6, N=1, H=7, proj=3, bias=False),
    Case(T=5, N=4, L=2, dtype="float64"),
    Case(T=4, N=2, H=20, proj=9, dtype="float64"),
    Case(T=3, N=1, I=40, H=512, L=2),  # two threads share each step
]


@pytest.fixture
def stream(rng) -> Stream:
    return network(Case(L=2, proj=4), rng).eval().stream(3)


def frames(rng, count=4, rows=3):
    return rng.standard_normal((count, rows, 3)).astype(np.float32)


def same(one, two) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(one, two, strict=True))


# --- numbers ---


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("given", [False, True], ids=["result", "out"])
def test_bits_of_the_whole_sequence(case, given, rng) -> None:
    lstm, data = network(case, rng).eval(), problem(case, rng)
    expected, state = lstm(data.x, data.state)
    stream = lstm.stream(case.N)
    stream.state = data.state
    for x, y in zip(data.x, expected, strict=True):
        out = np.full_like(y, np.nan) if given else None
        got = stream.step(x, out)
        assert out is None or got is out
        assert got.shape == y.shape
        assert got.tobytes() == y.tobytes()
    assert same(stream.state, state)


def test_one_row_may_come_without_its_axis(rng) -> None:
    lstm = network(Case(L=2), rng).eval()
    x = frames(rng, rows=1)
    expected = lstm(x[:, 0])[0]
    stream = lstm.stream()
    out = np.empty((1, 5), np.float32)
    got = [stream.step(x[0, 0]), stream.step(x[1]), stream.step(x[2, 0], out[0]),
           stream.step(x[3].tolist() and x[3, 0].astype(">f4"))]  # fmt: skip
    assert [y.shape for y in got] == [(5,), (1, 5), (5,), (5,)]
    assert same([y.ravel() for y in got], expected)
    assert out.tobytes() == expected[2].tobytes()


def strided(array):
    return np.repeat(array, 2, axis=-1)[..., ::2]


def of_an_equal_dtype(array):
    """Of a dtype that is float32 and not NumPy's own object of it, as byte orders are undone."""
    dtype = array.dtype.newbyteorder("=")
    assert dtype == array.dtype
    assert dtype is not array.dtype
    return array.astype(">f4").astype(dtype)


def pickled(value):
    """As it comes out of a queue between processes, where each dtype is an object of its own."""
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize(
    "convert",
    [
        strided,
        np.asfortranarray,
        memoryview,
        np.ma.masked_array,
        lambda a: a.astype(">f4"),
        of_an_equal_dtype,
        pickled,
    ],
    ids=["strided", "Fortran", "buffer", "subclass", "byte order", "equal dtype", "pickled"],
)
def test_frames_of_any_make(convert, stream, rng) -> None:
    x = frames(rng)
    expected = [stream.step(frame) for frame in x]
    stream.reset()
    assert same([stream.step(convert(frame)) for frame in x], expected)


def test_a_network_made_with_an_equal_dtype(rng) -> None:
    x = frames(rng)[0]
    lstm = LSTM(x.shape[-1], 4, dtype=np.dtype("f4").newbyteorder("=")).eval()
    assert lstm.dtype is np.dtype("f4")
    assert same([lstm.stream(len(x)).step(x)], lstm(x[None])[0])


def test_a_dtype_that_is_another_object(rng) -> None:
    dtype = pickled(np.dtype(np.float32))
    assert dtype is not np.dtype(np.float32)
    lstm = LSTM(3, 5, dtype=dtype).eval()
    x = frames(rng)
    expected = lstm(x)[0]
    for convert in (lambda a: a, strided, pickled):
        stream = lstm.stream(3)
        assert same([stream.step(convert(frame)) for frame in x], expected)


def test_results_wherever_they_are_to_go(rng) -> None:
    stream = network(Case(I=50, H=50), rng).eval().stream(3)
    x = rng.standard_normal((3, 3, 50)).astype(np.float32)
    expected = [stream.step(frame) for frame in x]
    stream.reset()
    wide = np.zeros((3, 100), np.float32)
    assert stream.step(x[0], wide[:, ::2]).tobytes() == expected[0].tobytes()
    assert (wide[:, 1::2] == 0).all()
    kept = x.copy()
    assert stream.step(x[1], x[1]).tobytes() == expected[1].tobytes()  # in place
    assert x[2].tobytes() == kept[2].tobytes()
    memory = np.concatenate((x[2], x[2])).ravel()
    got = stream.step(memory[:150].reshape(3, 50), memory[30:180].reshape(3, 50))  # overlapping
    assert got.tobytes() == expected[2].tobytes()


def test_a_stream_keeps_the_weights_of_its_time(rng) -> None:
    lstm = network(Case(), rng).eval()
    x = frames(rng)
    expected = lstm(x)[0]
    stream = lstm.stream(3)
    lstm.reset_parameters()
    lstm.train()
    del lstm
    assert same([stream.step(frame) for frame in x], expected)


def test_several_streams_do_not_meet(rng) -> None:
    lstm = network(Case(), rng).eval()
    x = frames(rng)
    one, two = lstm.stream(3), lstm.stream(3)
    for frame in x:
        one.step(frame)
    assert same([two.step(frame) for frame in x], lstm(x)[0])


# --- state ---


@pytest.mark.parametrize(
    ("rows", "meant"),
    [
        (None, [0, 1, 2]),
        (1, [1]),
        (np.int64(2), [2]),
        (-1, [2]),
        ([0, 2], [0, 2]),
        ([], []),
        ((2, 2), [2]),
        (np.array([1], np.uint8), [1]),
        (slice(1, None), [1, 2]),
        ([True, False, True], [0, 2]),
        (np.zeros(3, bool), []),
    ],
)
def test_rows_begin_anew(rows, meant, stream, rng) -> None:
    for frame in frames(rng):
        stream.step(frame)
    before = stream.state
    stream.reset(rows)
    for old, new in zip(before, stream.state, strict=True):
        left = [row for row in range(3) if row not in meant]
        assert (new[:, meant] == 0).all()
        assert (old != 0).all()
        assert new[:, left].tobytes() == old[:, left].tobytes()


def test_a_row_reset_goes_on_as_a_new_stream(stream, rng) -> None:
    x = frames(rng, 6)
    for frame in x[:3]:
        stream.step(frame)
    state = stream.state
    stream.reset([1])
    got = [stream.step(frame) for frame in x[3:]]
    stream.state = state
    old = [stream.step(frame) for frame in x[3:]]
    stream.reset()
    new = [stream.step(frame) for frame in x[3:]]
    assert same([y[1] for y in got], [y[1] for y in new])
    assert same([y[::2] for y in got], [y[::2] for y in old])


def test_states_are_copies(stream, rng) -> None:
    given = [rng.standard_normal(a.shape).astype(np.float32) for a in stream.state]
    stream.state = given
    assert same(stream.state, given)
    for array in (*given, *stream.state):
        array[...] = 7
    assert not (stream.state[0] == 7).any()
    assert [a.shape for a in stream.state] == [(2, 3, 4), (2, 3, 5)]


# --- errors ---


@pytest.mark.parametrize(
    ("frame", "out", "error", "message"),
    [
        (np.zeros((3, 4), "f"), None, ValueError, r"frame .*shape \(3, 3\), got \(3, 4\)"),
        (np.zeros(3, "f"), None, ValueError, r"frame .*shape \(3, 3\), got \(3,\)"),
        (np.zeros((1, 3, 3), "f"), None, ValueError, r"got \(1, 3, 3\)"),
        (np.zeros((3, 3)), None, ValueError, r"frame dtype \(float64\) .*\(float32\)"),
        ([[0.0] * 3] * 3, None, TypeError, "frame should be an ndarray, got list"),
        (None, None, TypeError, "frame should be an ndarray, got NoneType"),
        ("frame", [], TypeError, "out should be an ndarray, got list"),
        ("frame", np.zeros((3, 5), "f"), ValueError, r"out .*shape \(3, 4\), got \(3, 5\)"),
        ("frame", np.zeros((3, 4)), ValueError, r"out dtype \(float64\) .*\(float32\)"),
        ("frame", np.frombuffer(bytes(48), "f").reshape(3, 4), ValueError, "out .*writable"),
    ],
)
def test_a_step_refused_leaves_the_state(frame, out, error, message, stream, rng) -> None:
    x = frames(rng)[0]
    stream.step(x)
    before = stream.state
    with pytest.raises(error, match=message):
        stream.step(x if isinstance(frame, str) else frame, out)
    assert same(stream.state, before)


def test_one_row_is_told_both_shapes(rng) -> None:
    with pytest.raises(ValueError, match=r"shape \(1, 3\) or \(3,\), got \(2, 3\)"):
        network(Case(), rng).eval().stream().step(np.zeros((2, 3), np.float32))


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (3, IndexError, "rows should be from -3 to 2, got 3"),
        ([0, -4], IndexError, "got -4"),
        ([True], ValueError, r"mask of shape \(3,\), got \(1,\)"),
        (True, ValueError, r"mask of shape \(3,\), got \(\)"),
        (1.0, TypeError, "rows should be 1-D integers, got 1-D float64"),
        ([[0]], TypeError, "rows should be 1-D integers, got 2-D int64"),
        ("all", TypeError, "rows"),
    ],
)
def test_rows_that_are_none(rows, error, message, stream) -> None:
    with pytest.raises(error, match=message):
        stream.reset(rows)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda h, c: h, TypeError, r"state should be a tuple \(h, c\) of ndarrays, got ndarray"),
        (lambda h, c: (h, c, h), TypeError, r"state should be a tuple \(h, c\) .*, got 3 values"),
        (lambda h, c: (h, h), ValueError, r"state\[1\] .*\(2, 3, 5\), got \(2, 3, 4\)"),
        (lambda h, c: (h[0], c), ValueError, r"state\[0\] .*\(2, 3, 4\), got \(3, 4\)"),
        (lambda h, c: (h, c.astype("d")), ValueError, r"state\[1\] dtype \(float64\)"),
        (lambda h, c: (h, None), TypeError, r"state\[1\] should be an ndarray, got NoneType"),
    ],
)
def test_states_that_do_not_fit(change, error, message, stream, rng) -> None:
    stream.step(frames(rng)[0])
    before = stream.state
    with pytest.raises(error, match=message):
        stream.state = change(*before)
    assert same(stream.state, before)


@pytest.mark.parametrize(
    ("change", "size", "error", "message"),
    [
        ({"bidirectional": True}, 1, ValueError, "reverse direction begins at the end"),
        ({}, 0, ValueError, "batch_size should be at least 1, got: 0"),
        ({}, 1.0, TypeError, "batch_size should be of type int, got: float"),
    ],
)
def test_streams_that_cannot_be(change, size, error, message) -> None:
    with pytest.raises(error, match=message):
        LSTM(3, 4, **change).eval().stream(size)


def test_training_mode_is_refused_with_the_remedy() -> None:
    lstm = LSTM(3, 4)
    with pytest.raises(RuntimeError, match=r"call eval\(\) first"):
        lstm.stream()
    assert repr(lstm.eval().stream(2)) == "Stream(3, 4, batch_size=2)"


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps])
def test_no_copies(way, stream) -> None:
    with pytest.raises(TypeError, match="cannot be pickled or copied: keep its network"):
        way(stream)


def test_the_core_checks_for_itself(rng) -> None:
    weights = network(Case(), rng)._weights()
    h, c = np.zeros((1, 2, 5), np.float32), np.zeros((1, 2, 5), np.float32)
    for bad in (h[:, :0], h[0], h.astype("d"), np.zeros((1, 3, 5), np.float32), h[..., :4]):
        for states in ((bad, c), (h, bad)):
            with pytest.raises((TypeError, ValueError)):
                _core.Stream(weights, *states)
    with pytest.raises(ValueError, match="step by step"):
        _core.Stream(network(Case(D=2), rng)._weights(), h, c)
    with pytest.raises(TypeError, match="without a value"):
        _core.Stream.__new__(_core.Stream).step(h, None)
    with pytest.raises(ValueError, match="h should have at least one row"):
        _core.Stream(weights, h[:, :0], c[:, :0])
    core = _core.Stream(weights, h, c)
    memory = weakref.ref(h), weakref.ref(c)
    del h, c, bad, states
    core.step(np.ones((2, 3), np.float32), None)
    assert all(array() is not None for array in memory)  # what it writes to is kept
    del core
    assert all(array() is None for array in memory)


def test_it_is_public() -> None:
    assert lstm_native.Stream is Stream
    assert isinstance(LSTM(1, 1).eval().stream(), Stream)

"""A plain call in evaluation mode goes straight into the core; every other call goes the long way.

Both must give the same bits, and only the long way may speak of errors.
"""

import pickle

import numpy as np
import pytest

import lstm_native
from builders import bits
from lstm_native import functional

SIZES = {"input_size": 5, "hidden_size": 9}
NETWORKS = {
    "one layer": {},
    "stacked both ways": {"num_layers": 2, "bidirectional": True},
    "projected": {"proj_size": 4},
    "batch first": {"batch_first": True},
    "float64": {"dtype": np.float64},
}


@pytest.fixture
def long_way(monkeypatch):
    """Switches the short way off while the block runs."""

    def call(network, *args, **kwargs):
        with monkeypatch.context() as patch:
            patch.setattr(functional, "infer", lambda *_: None)
            patch.setattr(functional, "infer_cell", lambda *_: None)
            return network(*args, **kwargs)

    return call


@pytest.fixture
def seen(monkeypatch):
    """What the short way answered, call by call: None where it was not for it."""
    answers = []

    def watch(entry):
        def call(*args):
            answers.append(entry(*args))
            return answers[-1]

        return call

    monkeypatch.setattr(functional, "infer", watch(functional.infer))
    monkeypatch.setattr(functional, "infer_cell", watch(functional.infer_cell))
    return answers


def serving(network):
    """In evaluation mode, its weights packed: the first call does that, the long way."""
    network.eval()(np.zeros((1, network.input_size), network.dtype))
    return network


def assert_same(got, expected) -> None:
    (y, (h, c)), (y_, (h_, c_)) = got, expected
    for array, other in ((y, y_), (h, h_), (c, c_)):
        assert array.dtype == other.dtype
        assert array.shape == other.shape
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.flags.owndata
        assert array.tobytes() == other.tobytes()


def lstm_and_state(options, batch, rng):
    lstm = serving(lstm_native.LSTM(**SIZES, **options))
    rows = lstm.num_layers * (1 + lstm.bidirectional)
    shape = (rows,) if batch is None else (rows, batch)
    state = (
        rng.standard_normal((*shape, lstm.proj_size or 9)).astype(lstm.dtype),
        rng.standard_normal((*shape, 9)).astype(lstm.dtype),
    )
    return lstm, state


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
@pytest.mark.parametrize("batch", [None, 1, 4], ids=["unbatched", "one row", "four rows"])
@pytest.mark.parametrize("given", [False, True], ids=["zeros", "state"])
def test_short_and_long_way_agree(options, batch, given, rng, long_way, seen) -> None:
    lstm, state = lstm_and_state(options, batch, rng)
    shape = (6, 5) if batch is None else (batch, 6, 5) if lstm.batch_first else (6, batch, 5)
    x = rng.standard_normal(shape).astype(lstm.dtype)
    hx = state if given else None
    before = [a.copy() for a in (x, *state)]
    got = lstm(x, hx)
    assert seen
    assert seen[-1] is not None
    assert_same(got, long_way(lstm, x, hx))
    assert all((a == b).all() for a, b in zip((x, *state), before, strict=True))


@pytest.mark.parametrize("shape", [(5,), (1, 5), (7, 5)])
@pytest.mark.parametrize("given", [False, True], ids=["zeros", "state"])
def test_cells_too(shape, given, rng, long_way, seen) -> None:
    cell = serving(lstm_native.LSTMCell(5, 9))
    x = rng.standard_normal(shape).astype(np.float32)
    state = rng.standard_normal((2, *shape[:-1], 9)).astype(np.float32)
    hx = (state[0], state[1]) if given else None
    h, c = cell(x, hx)
    assert seen
    assert seen[-1] is not None
    h_, c_ = long_way(cell, x, hx)
    assert h.tobytes() == h_.tobytes()
    assert c.tobytes() == c_.tobytes()
    assert h.shape == c.shape == (*shape[:-1], 9)
    assert h.flags.owndata
    assert c.flags.owndata


def not_plain(rng):
    x = rng.standard_normal((4, 3, 5)).astype(np.float32)
    h, c = rng.standard_normal((2, 1, 3, 9)).astype(np.float32)
    shifted = np.empty(x.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(x.shape)
    shifted[...] = x
    return {
        "a list": (x.tolist(), None),
        "strided": (np.repeat(x, 2, axis=2)[..., ::2], None),
        "time reversed": (x[::-1], None),
        "Fortran order": (np.asfortranarray(x), None),
        "unaligned": (shifted, None),
        "other byte order": (x.astype(">f4"), None),
        "subclass": (np.ma.masked_array(x), None),
        "state a list": (x, [h, c]),
        "state strided": (x, (np.repeat(h, 2, axis=2)[..., ::2], c)),
        "state swapped bytes": (x, (h, c.astype(">f4"))),
    }


def test_a_dtype_that_is_another_object_is_plain(rng, seen) -> None:
    lstm, cell = serving(lstm_native.LSTM(**SIZES)), serving(lstm_native.LSTMCell(5, 9))
    x = rng.standard_normal((4, 3, 5)).astype(np.float32)
    other = pickle.loads(pickle.dumps(x))
    assert other.dtype is not x.dtype
    assert_same(lstm(other), lstm(x))
    assert bits(cell(other[0])[0]) == bits(cell(x[0])[0])
    assert not any(answer is None for answer in seen[2:])  # the first two packed the weights


@pytest.mark.parametrize("kind", not_plain(np.random.default_rng(0)))
def test_what_is_not_plain_is_left_alone(kind, rng, seen) -> None:
    lstm = serving(lstm_native.LSTM(**SIZES))
    x, hx = not_plain(rng)[kind]
    try:
        got = lstm(x, hx)
    except (TypeError, ValueError, RuntimeError):
        got = None  # refused by the checks, in their words
    assert seen == [None]
    if got is not None:
        plain = np.array(x, np.float32, order="C")
        state = hx and tuple(np.array(s, np.float32, order="C") for s in hx)
        assert_same(got, lstm(plain, state))


def states(*rows):
    return tuple(np.zeros((1, n, 9), np.float32) for n in rows)


@pytest.mark.parametrize(
    ("x", "hx"),
    [
        (np.zeros((4, 3, 6), np.float32), None),
        (np.zeros((4, 3, 5)), None),
        (np.zeros((0, 3, 5), np.float32), None),
        (np.zeros(5, np.float32), None),
        (np.zeros((4, 3, 5), np.float32), (np.zeros((1, 2, 9), np.float32),) * 2),
        (np.zeros((4, 3, 5), np.float32), states(3, 2)),
        (np.zeros((4, 3, 5), np.float32), states(2, 3)),
        (np.zeros((4, 3, 5), np.float32), (np.zeros((1, 9), np.float32),) * 2),
        (np.zeros((4, 3, 5), np.float32), (np.zeros((1, 3, 9), np.float32),)),
        (np.zeros((4, 3, 5), np.float32), (np.zeros((1, 3, 9)),) * 2),
        (np.zeros((4, 5), np.float32), (np.zeros((1, 3, 9), np.float32),) * 2),
        (None, None),
    ],
)
def test_errors_are_those_of_training_mode(x, hx, seen) -> None:
    lstm = lstm_native.LSTM(**SIZES)
    with pytest.raises((TypeError, ValueError, RuntimeError)) as expected:
        lstm(x, hx)
    assert not seen
    with pytest.raises(type(expected.value)) as got:
        serving(lstm)(x, hx)
    assert str(got.value) == str(expected.value)
    assert seen == [None]


@pytest.mark.parametrize("rows", [(3, 2), (2, 3)])
def test_states_of_a_cell_that_do_not_fit(rows, seen) -> None:
    cell = serving(lstm_native.LSTMCell(5, 9))
    with pytest.raises(RuntimeError, match="doesn't match hidden"):
        cell(np.zeros((3, 5), np.float32), tuple(array[0] for array in states(*rows)))
    assert seen == [None]


def test_a_parameter_changed_between_calls_is_seen(rng) -> None:
    lstm = serving(lstm_native.LSTM(**SIZES))
    x = rng.standard_normal((4, 3, 5)).astype(np.float32)
    before = lstm(x)[0]
    lstm.bias_ih_l0 = np.ones(36, np.float32)
    assert not np.array_equal(lstm(x)[0], before)


def test_empty_batches_go_the_long_way(seen) -> None:
    lstm = serving(lstm_native.LSTM(**SIZES))
    y, (h, _) = lstm(np.zeros((4, 0, 5), np.float32))
    assert y.shape == (4, 0, 9)
    assert h.shape == (1, 0, 9)
    assert seen == [None]

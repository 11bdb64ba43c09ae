"""The parameters of a network: names and shapes, the flat buffer and its views, assignment, and
that no packed copy of them is ever stale."""

import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import lstm_native
from lstm_native import LSTM, LSTMCell

X = np.linspace(-1, 1, 30, dtype=np.float32).reshape(5, 3, 2)


@pytest.fixture
def lstm() -> LSTM:
    """Of input size 2 and hidden size 5, one layer: four parameters."""
    lstm_native.manual_seed(1)
    return LSTM(2, 5)


def answer(network: LSTM | LSTMCell) -> bytes:
    """The bits a network gives for X: they change when a weight does."""
    if isinstance(network, LSTMCell):
        return network(X[0], (np.ones((3, 5), np.float32),) * 2)[0].tobytes()
    return network(X)[0].tobytes()


def fresh_answer(network: LSTM | LSTMCell) -> bytes:
    """The bits another network with the same parameters gives."""
    other = type(network)(2, 5)
    other.load_state_dict(network.state_dict())
    return answer(other)


# --- names, shapes, order ---


def test_names_and_shapes() -> None:
    lstm = LSTM(3, 4, 2, bidirectional=True, proj_size=2)
    expected = {}
    for layer, inputs in ((0, 3), (1, 4)):
        for suffix in (f"_l{layer}", f"_l{layer}_reverse"):
            expected |= {
                f"weight_ih{suffix}": (16, inputs),
                f"weight_hh{suffix}": (16, 2),
                f"bias_ih{suffix}": (16,),
                f"bias_hh{suffix}": (16,),
                f"weight_hr{suffix}": (2, 4),
            }
    assert [(n, p.shape) for n, p in lstm.named_parameters()] == list(expected.items())
    assert [(n, p.shape) for n, p in lstm.state_dict().items()] == list(expected.items())
    assert [p.shape for p in lstm.parameters()] == list(expected.values())
    assert [[p.shape for p in group] for group in lstm.all_weights] == [
        list(expected.values())[i : i + 5] for i in range(0, 20, 5)
    ]
    assert set(expected) <= set(dir(lstm))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("proj_size", [0, 2])
def test_names_and_shapes_of_torch(
    bias: bool, bidirectional: bool, proj_size: int, torch: Any
) -> None:
    for layers in (1, 3):
        args = 3, 4, layers, bias, False, 0.0, bidirectional, proj_size
        there, lstm = torch.nn.LSTM(*args), LSTM(*args)
        assert [(n, p.shape) for n, p in lstm.named_parameters()] == [
            (n, tuple(p.shape)) for n, p in there.named_parameters()
        ]
        assert [len(group) for group in lstm.all_weights] == [len(g) for g in there.all_weights]
        there.load_state_dict({n: torch.from_numpy(p) for n, p in lstm.state_dict().items()})


@pytest.mark.parametrize(
    ("layers", "bidirectional", "count"),
    [
        (1, False, 2560),
        (2, False, 5920),
        (3, False, 9280),
        (1, True, 5120),
        (2, True, 15040),
        (3, True, 24960),
    ],
)
def test_counts_of_the_tutorials(layers: int, bidirectional: bool, count: int) -> None:
    assert LSTM(10, 20, layers, bidirectional=bidirectional).flat_parameters.size == count


def test_flat_buffer(lstm: LSTM) -> None:
    flat = lstm.flat_parameters
    assert (flat.ndim, flat.dtype) == (1, np.float32)
    assert lstm.flat_parameters is flat
    assert lstm.weight_ih_l0 is lstm.weight_ih_l0 is next(lstm.parameters())
    np.testing.assert_array_equal(flat, np.concatenate([p.ravel() for p in lstm.parameters()]))
    assert all(np.shares_memory(p, flat) for p in lstm.parameters())
    flat[:] = 1
    assert all((p == 1).all() for p in lstm.parameters())


# --- assignment ---


def test_assignment_copies_values(lstm: LSTM) -> None:
    view = lstm.weight_ih_l0
    value = np.arange(40, dtype=np.float64).reshape(20, 2)
    lstm.weight_ih_l0 = value
    assert lstm.weight_ih_l0 is view
    np.testing.assert_array_equal(view, value)
    value[:] = 0
    assert view.any()
    lstm.weight_ih_l0 = lstm.weight_ih_l0[::-1]  # from its own memory
    np.testing.assert_array_equal(view[0], [38, 39])
    lstm.weight_ih_l0 -= 1
    np.testing.assert_array_equal(view[0], [37, 38])
    lstm.flat_parameters = np.arange(180, dtype=np.float16)
    np.testing.assert_array_equal(lstm.bias_hh_l0, np.arange(160, 180))
    lstm.flat_parameters *= 2
    np.testing.assert_array_equal(lstm.bias_hh_l0, np.arange(320, 360, 2))


def test_assignment_in_evaluation_mode(lstm: LSTM) -> None:
    before = answer(lstm.eval())
    lstm.bias_ih_l0 = np.ones(20, np.float32)
    assert answer(lstm) == fresh_answer(lstm) != before
    lstm.flat_parameters = np.ones(180, np.float32)
    assert answer(lstm) == fresh_answer(lstm)
    assert not lstm.bias_ih_l0.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        lstm.bias_ih_l0 -= 1


@pytest.mark.parametrize(
    ("name", "value", "kind", "text"),
    [
        (
            "weight_ih_l0",
            [1.0],
            TypeError,
            r"cannot assign 'list' as parameter 'weight_ih_l0' \(numpy.ndarray expected\)",
        ),
        (
            "weight_ih_l0",
            None,
            TypeError,
            r"cannot assign 'NoneType' as parameter 'weight_ih_l0' \(numpy.ndarray expected\)",
        ),
        (
            "weight_ih_l0",
            np.zeros((2, 20)),
            ValueError,
            r"weight_ih_l0: expected shape \(20, 2\), got \(2, 20\)",
        ),
        ("weight_ih_l0", np.zeros(()), ValueError, r"expected shape \(20, 2\), got \(\)"),
        (
            "bias_hh_l0",
            np.zeros(20, int),
            TypeError,
            r"cannot assign int64 values as parameter 'bias_hh_l0' \(float32\)",
        ),
        ("bias_hh_l0", np.zeros(20, complex), TypeError, "cannot assign complex128 values"),
        (
            "flat_parameters",
            np.zeros(3),
            ValueError,
            r"flat_parameters: expected shape \(180,\), got \(3,\)",
        ),
        ("weight_ih_l1", np.zeros((20, 2)), AttributeError, "LSTM has no parameter 'weight_ih_l1'"),
        ("weight_hr_l0", np.zeros((2, 5)), AttributeError, "LSTM has no parameter 'weight_hr_l0'"),
        ("bias_ih", np.zeros(20), AttributeError, "LSTM has no parameter 'bias_ih'"),
    ],
)
def test_assignments_refused(name: str, value: Any, kind: type, text: str, lstm: LSTM) -> None:
    before = lstm.flat_parameters.copy()
    with pytest.raises(kind, match=text):
        setattr(lstm, name, value)
    np.testing.assert_array_equal(lstm.flat_parameters, before)


def test_absent_parameters() -> None:
    lstm = LSTM(3, 4, bias=False)
    with pytest.raises(AttributeError, match="'LSTM' object has no attribute 'bias_ih_l0'"):
        lstm.bias_ih_l0  # noqa: B018
    assert not hasattr(lstm, "weight_hr_l0")


# --- no stale result ---


ALIASES: list[Callable[[np.ndarray], Any]] = [
    lambda view: view[:3],
    lambda view: view.T,
    lambda view: view.base,
    lambda view: view.ravel()[::2],
    lambda view: view.view(np.uint32),
]


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("source", ["weight_hh_l0", "flat_parameters"])
@pytest.mark.parametrize("cell", [False, True])
def test_writing_through_an_alias_is_seen(alias: Any, source: str, cell: bool) -> None:
    """Made in training mode, an alias stays writable: the packed copy must not be kept then."""
    network = LSTMCell(2, 5) if cell else LSTM(2, 5)
    writable = alias(getattr(network, source.removesuffix("_l0") if cell else source))
    network.eval()
    for value in (0.5, -0.25):
        before = answer(network)
        if writable is network._owner:  # .base: its owner may unlock it
            writable.flags.writeable = True
        scalar = np.float32(value)
        writable[...] = scalar.view(np.uint32) if writable.dtype == np.uint32 else scalar
        assert answer(network) == fresh_answer(network) != before
    del writable
    answer(network)
    assert network._packed is not None  # nobody else can write any more


def test_holding_parameters_does_not_cost_the_packed_copy(lstm: LSTM) -> None:
    held = [lstm.flat_parameters, lstm.state_dict(), lstm_native.optim.SGD(lstm.flat_parameters)]
    answer(lstm.eval())
    assert lstm._packed is not None
    assert not held[0].flags.writeable


def test_every_way_to_change_a_weight_is_seen(lstm: LSTM) -> None:
    def half() -> None:
        lstm.train()
        lstm.weight_hh_l0[...] *= 0.5
        lstm.eval()

    def load() -> None:
        lstm.load_state_dict({n: 0.9 * v for n, v in lstm.state_dict().items()})

    def assign() -> None:
        lstm.weight_hh_l0 = lstm.weight_hh_l0 * np.float32(0.9)

    def assign_flat() -> None:
        lstm.flat_parameters = lstm.flat_parameters * np.float32(0.9)

    def restore() -> None:
        lstm.__setstate__(LSTM(2, 5).__getstate__())
        lstm.eval()

    for change in (half, load, assign, assign_flat, lstm.reset_parameters, restore):
        before = answer(lstm.eval())
        change()
        assert answer(lstm) == fresh_answer(lstm) != before, change
    output, _, _ = lstm.record(X)
    assert output.tobytes() == answer(lstm)


def test_packed_copy_is_kept_in_evaluation_mode(lstm: LSTM) -> None:
    answer(lstm)
    assert lstm._packed is None
    answer(lstm.eval())
    packed = lstm._packed
    assert packed is not None
    answer(lstm.eval())
    assert lstm._packed is packed
    kept = lstm.weight_hh_l0  # read-only by now
    lstm.bias_hh_l0 = lstm.bias_hh_l0 + 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        kept.flags.writeable = True
    lstm.train()
    assert lstm._packed is None
    kept[...] = 0  # and writable again: the same object
    assert not lstm.weight_hh_l0.any()
    for network in (pickle.loads(pickle.dumps(lstm.eval())), copy.deepcopy(lstm)):
        answer(network)
        assert network._packed is not None


def test_parameters_are_read_only_in_evaluation_mode(lstm: LSTM) -> None:
    handed_out = [lstm.flat_parameters, *lstm.parameters(), *lstm.state_dict().values()]
    lstm.eval()
    for array in [*handed_out, *lstm.all_weights[0], lstm.flat_parameters]:
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    lstm.train()
    assert all(array.flags.writeable for array in handed_out)


def test_changes_beside_calls_leave_no_stale_copy(lstm: LSTM) -> None:
    """One thread loads weights while others make the packed copy."""
    states = [
        {n: np.full(v.shape, s, v.dtype) for n, v in lstm.state_dict().items()} for s in (0.1, 0.2)
    ]
    valid = set()
    for state in states:
        lstm.load_state_dict(state)
        valid.add(answer(lstm))
    lstm.eval()
    seen: list[bytes] = []
    done = threading.Event()

    def call() -> None:
        while not done.is_set():
            seen.append(answer(lstm))

    callers = [threading.Thread(target=call) for _ in range(2)]
    for caller in callers:
        caller.start()
    for turn in range(300):
        lstm.load_state_dict(states[turn % 2])
    done.set()
    for caller in callers:
        caller.join()
    assert answer(lstm) == fresh_answer(lstm)
    assert set(seen) <= valid

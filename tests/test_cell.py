"""The LSTMCell's interface: sizes (zero too), messages, modes, its own record and backward."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import lstm_native
from lstm_native import LSTM, LSTMCell
from test_messages import Given, each, error_of, given, pair, tensors, zeros


def normal(rng: np.random.Generator, *shape: int, dtype: str = "float32") -> np.ndarray:
    return rng.standard_normal(shape).astype(dtype)


@pytest.fixture
def cell() -> LSTMCell:
    lstm_native.manual_seed(1)
    return LSTMCell(3, 4)


# --- construction and attributes ---


REPRS = [
    ((3, 4), "LSTMCell(3, 4)"),
    ((3, 4, False), "LSTMCell(3, 4, bias=False)"),
    ((3, 4, 1), "LSTMCell(3, 4, bias=1)"),
    ((0, 0), "LSTMCell(0, 0)"),
]


@pytest.mark.parametrize(("args", "text"), REPRS)
def test_repr(args: tuple, text: str) -> None:
    assert repr(LSTMCell(*args)) == text


@pytest.mark.parametrize(("args", "text"), REPRS)
@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_repr_of_torch(args: tuple, text: str, torch: Any) -> None:
    assert repr(torch.nn.LSTMCell(*args)) == text


def test_attributes(cell: LSTMCell) -> None:
    assert (cell.input_size, cell.hidden_size, cell.bias, cell.training) == (3, 4, True, True)
    assert [(n, p.shape) for n, p in cell.named_parameters()] == [
        ("weight_ih", (16, 3)),
        ("weight_hh", (16, 4)),
        ("bias_ih", (16,)),
        ("bias_hh", (16,)),
    ]
    assert cell.flat_parameters.size == 16 * 9
    assert LSTMCell(3, 4, dtype=np.float64).dtype == np.float64


def test_without_biases() -> None:
    cell = LSTMCell(3, 4, bias=False)
    for network in (cell, pickle.loads(pickle.dumps(cell)), copy.deepcopy(cell)):
        assert network.bias_ih is None
        assert network.bias_hh is None
        assert list(network.state_dict()) == ["weight_ih", "weight_hh"]
        with pytest.raises(AttributeError, match="this LSTMCell has no parameter 'bias_ih'"):
            network.bias_ih = np.zeros(16, np.float32)


CONSTRUCTOR: list[tuple[type[Exception], str, list[Given]]] = [
    (TypeError, "LSTMCell.__init__() missing 2 required positional arguments: 'input_size' and "
     "'hidden_size'", [given()]),
    (TypeError, "input_size should be of type int, got: float", [given(3.0, 4)]),
    (TypeError, "hidden_size should be of type int, got: str", [given(3, "4")]),
    (RuntimeError, "Trying to create an ndarray with negative dimension: input_size must not be "
     "less than zero, got -1", [given(-1, 4), given(-1, -4)]),
    (RuntimeError, "Trying to create an ndarray with negative dimension: hidden_size must not be "
     "less than zero, got -4", [given(3, -4)]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "what"), each(CONSTRUCTOR))
def test_constructor(kind: type, text: str, what: Given) -> None:
    assert error_of(lambda: LSTMCell(*what.args)) == (kind, text)


@pytest.mark.parametrize(("kind", "text", "what"), each(CONSTRUCTOR))
def test_constructor_of_torch(kind: type, text: str, what: Given, torch: Any) -> None:
    assert error_of(lambda: torch.nn.LSTMCell(*what.args))[0] is kind  # in other words


# --- messages of a call of LSTMCell(3, 4) ---

X = zeros(2, 3)
CALL: list[tuple[type[Exception], str, list[Given]]] = [
    (ValueError, "LSTMCell: Expected input to be 1D or 2D, got 3D instead", [given(X[None])]),
    (ValueError, "LSTMCell: Expected input to be 1D or 2D, got 0D instead", [given(zeros())]),
    (ValueError, "LSTMCell: Expected hx[0] to be 1D or 2D, got 3D instead",
     [given(X, (zeros(1, 2, 4), zeros(2, 4)))]),
    (ValueError, "LSTMCell: Expected hx[1] to be 1D or 2D, got 3D instead",
     [given(X, (zeros(2, 4), zeros(1, 2, 4)))]),
    (RuntimeError, "input has inconsistent input_size: got 5 expected 3",
     [given(zeros(2, 5)), given(zeros(5)), given(zeros(2, 5), pair((3, 4)))]),
    (RuntimeError, "Input batch size 2 doesn't match hidden0 batch size 3",
     [given(X, pair((3, 4))), given(X, pair((3, 4), (2, 5)))]),
    (RuntimeError, "Input batch size 2 doesn't match hidden1 batch size 3",
     [given(X, pair((2, 4), (3, 4)))]),
    (RuntimeError, "hidden0 has inconsistent hidden_size: got 5, expected 4",
     [given(X, pair((2, 5))), given(zeros(3), pair((5,), (4,)))]),
    (RuntimeError, "hidden1 has inconsistent hidden_size: got 5, expected 4",
     [given(X, pair((2, 4), (2, 5)))]),
    (RuntimeError, "lstm_cell expects two hidden states",
     [given(X, (zeros(2, 4),)), given(X, (zeros(2, 4),) * 3)]),
]  # fmt: skip
# Here torch segfaults (pytorch#193823), goes on, or speaks of something else.
OUR_CALL: list[tuple[type[Exception], str, list[Given]]] = [
    (TypeError, "LSTMCell: hx should be a tuple (h_0, c_0) of ndarrays, got ndarray",
     [given(zeros(3), zeros(2, 3, 3)), given(zeros(3), zeros(2, 4)), given(X, zeros(2, 2, 4))]),
    (RuntimeError, "For unbatched 1-D input, hx and cx should also be 1-D but got (2-D, 2-D) "
     "ndarrays", [given(zeros(3), pair((1, 4))), given(zeros(3), pair((3, 3)))]),
    (RuntimeError, "For batched 2-D input, hx and cx should also be 2-D but got (1-D, 2-D) "
     "ndarrays", [given(X, pair((4,), (2, 4)))]),
    (TypeError, "hx[0] should be an ndarray, got NoneType", [given(X, (None, None))]),
    (TypeError, "input should be an ndarray, got list", [given([1.0, 2.0, 3.0])]),
    (RuntimeError, "LSTMCell input dtype (float64) does not match weight dtype (float32). Convert "
     "input: x.astype(np.float32), or convert the model: LSTMCell(..., dtype=np.float64)",
     [given(zeros(2, 3, dtype="float64"))]),
    (RuntimeError, "LSTMCell hx[1] dtype (float64) does not match weight dtype (float32). Convert "
     "hx[1]: x.astype(np.float32), or convert the model: LSTMCell(..., dtype=np.float64)",
     [given(X, (zeros(2, 4), zeros(2, 4, dtype="float64")))]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "what"), each(CALL + OUR_CALL))
def test_call(kind: type, text: str, what: Given, cell: LSTMCell) -> None:
    assert error_of(lambda: cell(*what.args)) == (kind, text)
    assert error_of(lambda: cell.record(*what.args)) == (kind, text)


@pytest.mark.parametrize(("kind", "text", "what"), each(CALL))
def test_call_of_torch(kind: type, text: str, what: Given, torch: Any) -> None:
    assert error_of(lambda: torch.nn.LSTMCell(3, 4)(*tensors(torch, what.args))) == (kind, text)


# --- calls ---


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("training", [True, False])
def test_a_cell_is_a_network_of_one_step(
    training: bool, dtype: str, rng: np.random.Generator
) -> None:
    cell, lstm = LSTMCell(3, 4, dtype=dtype).train(training), LSTM(3, 4, dtype=dtype)
    lstm.flat_parameters = cell.flat_parameters
    x = normal(rng, 2, 3, dtype=dtype)
    state = normal(rng, 2, 4, dtype=dtype), normal(rng, 2, 4, dtype=dtype)
    for hx in (None, state):
        h_1, c_1 = cell(x, hx)
        _, (h_n, c_n) = lstm(x[None], None if hx is None else (hx[0][None], hx[1][None]))
        np.testing.assert_array_equal(h_1, h_n[0])
        np.testing.assert_array_equal(c_1, c_n[0])
        (h_r, c_r), _ = cell.record(x, hx)
        np.testing.assert_array_equal(h_r, h_1)
        np.testing.assert_array_equal(c_r, c_1)
        one = cell(x[1], None if hx is None else [hx[0][1], hx[1][1]])
        np.testing.assert_array_equal(one, (h_1[1], c_1[1]))
        assert one[0].shape == (4,)
    same = normal(rng, 2, 4, dtype=dtype)
    before = same.copy()
    same.flags.writeable = False
    np.testing.assert_array_equal(cell(x, (same, same))[0], cell(x, (before, before.copy()))[0])
    np.testing.assert_array_equal(same, before)


@pytest.mark.parametrize("batch", [None, 0, 2])
@pytest.mark.parametrize("sizes", [(0, 4), (3, 0), (0, 0), (3, 4)])
@pytest.mark.filterwarnings("ignore:Initializing zero-element")
def test_sizes_of_zero(
    sizes: tuple[int, int], batch: int | None, rng: np.random.Generator, torch: Any
) -> None:
    inputs, hidden = sizes
    rows = () if batch is None else (batch,)
    cell, there = LSTMCell(*sizes), torch.nn.LSTMCell(*sizes)
    cell.load_state_dict(there.state_dict())
    x, h, c = normal(rng, *rows, inputs), normal(rng, *rows, hidden), normal(rng, *rows, hidden)
    leaves = [torch.from_numpy(a.copy()).requires_grad_() for a in (x, h, c)]
    expected = there(leaves[0], (leaves[1], leaves[2]))
    (expected[0].sum() + expected[1].sum()).backward()
    for network in (cell, cell.eval(), LSTMCell.from_state_dict(cell.state_dict())):
        state, tape = network.record(x, (h, c))
        for got, again, want in zip(state, network(x, (h, c)), expected, strict=True):
            assert got.shape == (*rows, hidden)
            np.testing.assert_array_equal(got, again)
            np.testing.assert_allclose(got, want.detach().numpy(), rtol=1e-5, atol=1e-6)
        np.full_like(x, np.nan)  # freed at once: for NumPy to hand out again, uninitialised
        grads = network.backward(tape, (np.ones_like(h), np.ones_like(c)))
        for got, leaf in zip(grads, leaves, strict=False):
            np.testing.assert_allclose(got, leaf.grad.numpy(), rtol=1e-4, atol=1e-5)
        for name, got in network.parameter_views(grads.parameters).items():
            want = getattr(there, name).grad
            assert got.shape == want.shape
            np.testing.assert_allclose(got, want.numpy(), rtol=1e-4, atol=1e-5)
        with pytest.raises(RuntimeError, match="a second time"):
            network.backward(tape)


# --- backward ---


def test_backward_calls(cell: LSTMCell, rng: np.random.Generator) -> None:
    x, dh, dc = normal(rng, 2, 3), normal(rng, 2, 4), normal(rng, 2, 4)
    whole = cell.backward(cell.record(x)[1], (dh, dc))
    assert [g.shape for g in whole] == [(2, 3), (2, 4), (2, 4), (144,)]
    parts = [cell.backward(cell.record(x)[1], part) for part in ((dh, None), (None, dc), None)]
    for field, total in zip(whole._fields, whole, strict=True):
        np.testing.assert_allclose(sum(getattr(p, field) for p in parts), total, atol=1e-5)
    buffer = np.ones(144, np.float32)
    assert cell.backward(cell.record(x)[1], (dh, dc), into=buffer).parameters is buffer
    np.testing.assert_allclose(buffer, whole.parameters + 1, rtol=1e-6, atol=1e-6)
    one = cell.backward(cell.record(x[0])[1], (dh[0], dc[0]))
    assert [g.shape for g in one] == [(3,), (4,), (4,), (144,)]


def test_faults_of_a_backward_call(cell: LSTMCell) -> None:
    state, tape = cell.record(X)
    with pytest.raises(TypeError, match=r"tape should be a Tape from LSTMCell.record\(\), got int"):
        cell.backward(3)
    with pytest.raises(ValueError, match="recorded by another network than this LSTMCell"):
        copy.copy(cell).backward(tape)
    with pytest.raises(ValueError, match="recorded by another network than this LSTM"):
        LSTM(3, 4).backward(tape)
    with pytest.raises(RuntimeError, match=r"Expected grad_state\[0\] size \(2, 4\), got \[4\]"):
        cell.backward(tape, (state[0][0], None))
    with pytest.raises(ValueError, match="into overlaps the parameters"):
        cell.backward(tape, into=cell.flat_parameters)
    cell.backward(tape, state)


# --- state ---


def test_from_state_dict(cell: LSTMCell) -> None:
    twin = LSTMCell.from_state_dict(cell.state_dict(prefix="a."), "a.")
    assert not twin.training
    np.testing.assert_array_equal(twin.flat_parameters, cell.flat_parameters)
    text = r"no LSTMCell under prefix '': there is no 'weight_ih'; for LSTM.from_state_dict .*: ''"
    with pytest.raises(ValueError, match=text):
        LSTMCell.from_state_dict(LSTM(3, 4).state_dict())
    broken = cell.state_dict() | {"bias_hh": np.zeros(4, np.float32)}
    with pytest.raises(ValueError, match=r"'bias_hh': expected shape \(16,\), got \(4,\)"):
        LSTMCell.from_state_dict(broken)


def test_from_state_dict_of_torch(torch: Any) -> None:
    there = torch.nn.LSTMCell(3, 4)
    cell = LSTMCell.from_state_dict(there.state_dict())
    for name, value in there.state_dict().items():
        np.testing.assert_array_equal(getattr(cell, name), value.numpy())


@pytest.mark.parametrize("training", [True, False])
def test_pickles(training: bool, cell: LSTMCell, rng: np.random.Generator) -> None:
    x = normal(rng, 2, 3)
    cell.train(training)
    twins = [pickle.loads(pickle.dumps(cell, protocol)) for protocol in range(6)]
    for twin in (*twins, copy.deepcopy(cell), copy.copy(cell)):
        assert twin.training is training
        np.testing.assert_array_equal(twin(x), cell(x))
        assert not np.shares_memory(twin.flat_parameters, cell.flat_parameters)

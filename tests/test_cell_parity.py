"""LSTMCell: parity with torch, and that it is one step of an LSTM, bit for bit."""

import itertools

import numpy as np
import pytest

import lstm_native
from builders import bits

SIZES = [(3, 5), (1, 1), (17, 16), (65, 33), (8, 64)]
BATCHES = [None, 1, 4, 17]
TOLERANCE = {"float32": (1e-5, 1e-6), "float64": (0.0, 1e-12)}
RESULTS = ("h_1", "c_1", "d_input", "d_h_0", "d_c_0", "d_parameters")


def build(inputs, hidden, bias, dtype, rng):
    cell = lstm_native.LSTMCell(inputs, hidden, bias=bias, dtype=np.dtype(dtype))
    bound = 1 / np.sqrt(hidden)
    cell.flat_parameters[...] = rng.uniform(-bound, bound, cell.flat_parameters.shape)
    return cell


def draw(rng, dtype, batch, *features):
    lead = () if batch is None else (batch,)
    return [rng.standard_normal((*lead, size)).astype(dtype) for size in features]


def theirs(torch, cell, x, state, grads):
    other = torch.nn.LSTMCell(
        cell.input_size, cell.hidden_size, bool(cell.bias), dtype=getattr(torch, cell.dtype.name)
    )
    other.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in cell.state_dict().items()})
    leaf = torch.from_numpy(x).requires_grad_()
    zeros = [np.zeros_like(grad) for grad in grads]
    states = [torch.from_numpy(s).requires_grad_() for s in state or zeros]
    # An absent state must be absent for torch too, and its gradient is then that of zeros.
    h, c = other(leaf) if state is None else other(leaf, tuple(states))
    again = other(leaf, tuple(states))
    variables = [leaf, *states, *other.parameters()]
    d_x, d_h, d_c, *d_weights = torch.autograd.grad(
        again, variables, [torch.from_numpy(grad) for grad in grads]
    )
    flat = np.concatenate([value.numpy().ravel() for value in d_weights])
    return [*(v.detach().numpy() for v in (h, c, d_x, d_h, d_c)), flat]


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable:UserWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", BATCHES)
def test_every_combination(batch, dtype, torch, rng, parity_count) -> None:
    kinds = itertools.product(
        SIZES, (True, False), (True, False), ("contiguous", "strided", "expanded"), (0, 1, 2)
    )
    for (inputs, hidden), bias, with_state, memory, subset in kinds:
        cell = build(inputs, hidden, bias, dtype, rng)
        (x,) = draw(rng, dtype, batch, inputs)
        if memory == "strided":
            x = np.repeat(x, 2, axis=-1)[..., ::2]
        elif memory == "expanded":
            x = np.broadcast_to(x[..., :1], x.shape)
        state = tuple(draw(rng, dtype, batch, hidden, hidden)) if with_state else None
        grads = draw(rng, dtype, batch, hidden, hidden)
        given = list(grads)
        if subset:
            grads[subset - 1] = np.zeros_like(grads[subset - 1])
            given[subset - 1] = None
        expected = theirs(torch, cell, x, state, grads)
        (h_1, c_1), tape = cell.record(x, state)
        got = [h_1, c_1, *cell.backward(tape, tuple(given))]
        parity_count.combinations += 1
        failures = []
        for name, a, b in zip(RESULTS, got, expected, strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype), name
            relative, absolute = TOLERANCE[dtype]
            if name.startswith("d_") and dtype == "float32":
                relative, absolute = 1e-4, 1e-5 * np.abs(b).max()
            elif dtype == "float64":
                absolute *= np.abs(b).max()
            if not (np.abs(a - b) <= relative * np.abs(b) + absolute).all():
                failures.append(f"{name}: off by {np.abs(a - b).max():.2e}")
        parity_count.failures += bool(failures)
        combination = (inputs, hidden, bias, with_state, memory, subset)
        assert not failures, f"{combination}: {failures}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_many_steps_with_torch(dtype, torch, rng) -> None:
    """A cell called in a loop, its states fed back, as tutorials do."""
    cell = build(9, 33, True, dtype, rng)
    other = torch.nn.LSTMCell(9, 33, dtype=getattr(torch, dtype))
    other.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in cell.state_dict().items()})
    state = their_state = None
    for _ in range(50):
        (x,) = draw(rng, dtype, 6, 9)
        state = cell(x, state)
        their_state = other(torch.from_numpy(x), their_state)
        for a, b in zip(state, their_state, strict=True):
            relative, absolute = TOLERANCE[dtype]
            np.testing.assert_allclose(a, b.detach().numpy(), rtol=relative, atol=absolute)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bias", [True, False])
def test_is_one_step_of_an_lstm(bias, dtype, rng) -> None:
    for (inputs, hidden), batch in itertools.product(SIZES, (1, 2, 7, 40)):
        cell = build(inputs, hidden, bias, dtype, rng)
        lstm = lstm_native.LSTM(inputs, hidden, bias=bias, dtype=np.dtype(dtype))
        lstm.flat_parameters[...] = cell.flat_parameters
        x, h, c, d_h, d_c = draw(rng, dtype, batch, inputs, *4 * [hidden])
        called = cell(x, (h, c))
        recorded, tape = cell.record(x, (h, c))
        _, state, lstm_tape = lstm.record(x[None], (h[None], c[None]))
        for a, b, whole in zip(called, recorded, state, strict=True):
            assert bits(a) == bits(b) == bits(whole)
        mine = cell.backward(tape, (d_h, d_c))
        whole = lstm.backward(lstm_tape, None, (d_h[None], d_c[None]))
        for name, a, b in zip(mine._fields, mine, whole, strict=True):
            assert bits(a) == bits(b), (name, inputs, hidden, batch)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_row_alone_or_in_a_batch(dtype, rng) -> None:
    for inputs, hidden in SIZES:
        cell = build(inputs, hidden, True, dtype, rng).eval()
        x, h, c = draw(rng, dtype, 40, inputs, hidden, hidden)
        alone = [cell(x[n], (h[n], c[n])) for n in range(40)]
        for batch in (1, 2, 3, 5, 6, 7, 12, 13, 40):
            got = cell(x[:batch], (h[:batch], c[:batch]))
            for a, parts in zip(got, zip(*alone[:batch], strict=True), strict=True):
                assert bits(a) == bits(np.stack(parts)), (inputs, hidden, batch)


def test_into_accumulates_and_tape_is_consumed(rng) -> None:
    cell = build(4, 6, True, "float64", rng)
    x, d_h, d_c = draw(rng, "float64", 3, 4, 6, 6)
    expected = cell.backward(cell.record(x)[1], (d_h, d_c)).parameters
    into = np.ones_like(expected)
    _, tape = cell.record(x)
    assert cell.backward(tape, (d_h, d_c), into=into).parameters is into
    np.testing.assert_allclose(into, 1 + expected, rtol=1e-14)
    with pytest.raises(RuntimeError):
        cell.backward(tape, (d_h, d_c))

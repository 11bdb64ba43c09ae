"""Parity with torch over every combination of options, every result and every gradient.

Both sides get the same weights, the same values and the same seed. The tolerances are the project's
promise: float32 forward rtol 1e-5 and atol 1e-6, gradients rtol 1e-4 and atol 1e-5 of the
gradient's size; float64 1e-12 of the size. ``torch`` is one name for three kernels (oneDNN;
per-step operations for ragged, float64 and projections; the cell), and the combinations pass
through all of them.
"""

import itertools
import warnings
from typing import NamedTuple

import numpy as np
import pytest

import lstm_native
from lstm_native.random import default_generator

T, N, INPUT, HIDDEN, PROJ = 5, 4, 3, 5, 2
LENGTHS = np.array([3, 5, 1, 5])
SORTED_LENGTHS = np.array([5, 4, 4, 2])

LAYOUTS = ("dense", "unbatched", "lengths", "packed", "packed sorted")
MEMORY = ("contiguous", "transposed", "strided", "expanded")
SAME_VALUES = MEMORY[:3], MEMORY[3:]  # one run of torch's, of the first of them, serves each group

pytestmark = pytest.mark.filterwarnings(
    "ignore:dropout option adds dropout:UserWarning",
    "ignore:LSTM with projections is not supported with oneDNN:UserWarning",
    "ignore:The given NumPy array is not writable:UserWarning",
)


class Combination(NamedTuple):
    layers: int
    directions: int
    dtype: str
    bias: bool
    batch_first: bool
    proj: int
    dropout: float
    layout: str
    memory: str
    with_state: bool


def arranged(array, memory):
    """Return the same values (or for "expanded" the first entry's, repeated) laid out as asked."""
    if memory == "transposed":
        return array.swapaxes(0, 1).copy().swapaxes(0, 1)
    if memory == "strided":
        wide = np.full((*array.shape[:-1], 2 * array.shape[-1]), np.nan, array.dtype)
        wide[..., ::2] = array
        return wide[..., ::2]
    if memory == "expanded":
        return np.broadcast_to(array[:1], array.shape)
    return np.ascontiguousarray(array)


class Pair:
    """One network on both sides, with equal weights."""

    def __init__(self, torch, rng, layers, directions, dtype, bias, batch_first, proj, dropout):
        options = {
            "num_layers": layers,
            "bias": bias,
            "batch_first": batch_first,
            "dropout": dropout,
            "bidirectional": directions == 2,
            "proj_size": proj,
        }
        self.torch = torch
        self.batch_first = batch_first
        self.theirs = torch.nn.LSTM(INPUT, HIDDEN, dtype=getattr(torch, dtype), **options)
        self.ours = lstm_native.LSTM(INPUT, HIDDEN, dtype=np.dtype(dtype), **options)
        self.weights = list(self.theirs.parameters())
        state = {}
        for name, value in self.theirs.state_dict().items():
            state[name] = rng.uniform(-0.7, 0.7, tuple(value.shape)).astype(dtype)
            value.copy_(torch.from_numpy(state[name]))
        self.ours.load_state_dict(state)

    def run_theirs(self, layout, x, state, grads, seed):
        """Return output, h_n, c_n and the gradients of x, the state and every weight."""
        torch, rnn = self.torch, self.torch.nn.utils.rnn
        leaf = torch.from_numpy(x).requires_grad_()
        states = [torch.from_numpy(s).requires_grad_() for s in state] if state else []
        given = leaf
        if layout == "lengths":
            given = rnn.pack_padded_sequence(
                leaf, torch.from_numpy(LENGTHS), self.batch_first, enforce_sorted=False
            )
        elif layout.startswith("packed"):
            given = rnn.PackedSequence(leaf, *(self.index(a) for a in packing(layout)))
        torch.manual_seed(seed)
        output, (h_n, c_n) = self.theirs(given, tuple(states) if state else None)
        if layout == "lengths":
            output, _ = rnn.pad_packed_sequence(output, self.batch_first, total_length=T)
        elif layout.startswith("packed"):
            output = output.data
        variables = [leaf, *states, *self.weights]
        results = torch.autograd.grad(
            (output, h_n, c_n), variables, [torch.from_numpy(g) for g in grads]
        )
        return [value.detach().numpy() for value in (output, h_n, c_n, *results)]

    def run_ours(self, layout, x, state, grads, seed):
        """Return the same list; absent states have gradients here too, which are left out."""
        given, d_output = x, grads[0]
        if layout.startswith("packed"):
            given = lstm_native.PackedSequence(x, *packing(layout))
            d_output = lstm_native.PackedSequence(d_output, *packing(layout))
        lengths = LENGTHS if layout == "lengths" else None
        lstm_native.manual_seed(seed)
        output, (h_n, c_n), tape = self.ours.record(given, state, lengths=lengths)
        results = self.ours.backward(tape, d_output, (grads[1], grads[2]))
        d_input = results.input
        if layout.startswith("packed"):
            output, d_input = output.data, d_input.data
        states = [results.h_0, results.c_0] if state else []
        flat, start = [], 0
        for value in self.ours.parameters():
            piece = results.parameters[start : start + value.size]
            flat.append(piece.reshape(value.shape))
            start += value.size
        assert start == results.parameters.size
        return [output, h_n, c_n, d_input, *states, *flat]

    def index(self, array):
        return None if array is None else self.torch.from_numpy(array)


def packing(layout):
    """Return batch_sizes, sorted_indices and unsorted_indices of the frames of a packed layout."""
    lengths = SORTED_LENGTHS if layout == "packed sorted" else LENGTHS
    batch_sizes = (lengths > np.arange(T)[:, None]).sum(axis=1)
    if layout == "packed sorted":
        return batch_sizes, None, None
    order = np.argsort(-lengths, kind="stable")
    return batch_sizes, order, np.argsort(order)


def data(rng, c: Combination):
    """Draw x in the layout's own shape, a state or None, and gradients of output, h_n and c_n."""
    features = c.directions * (c.proj or HIDDEN)
    rows = c.layers * c.directions
    if c.layout == "unbatched":
        lead, states = (T,), [(rows, c.proj or HIDDEN), (rows, HIDDEN)]
    else:
        states = [(rows, N, c.proj or HIDDEN), (rows, N, HIDDEN)]
        lead = (N, T) if c.batch_first else (T, N)
        if c.layout.startswith("packed"):
            lead = (int(packing(c.layout)[0].sum()),)
    shapes = [(*lead, INPUT), (*lead, features), *states, *states]
    x, *rest = [rng.standard_normal(shape).astype(c.dtype) for shape in shapes]
    state = tuple(rest[3:]) if c.with_state else None
    return arranged(x, c.memory), state, rest[:3]


def names(pair: Pair, state) -> list[str]:
    states = ["d_h_0", "d_c_0"] if state else []
    parameters = [f"d_{name}" for name in pair.ours.state_dict()]
    return ["output", "h_n", "c_n", "d_input", *states, *parameters]


def rng_state(torch) -> bytes:
    return torch.get_rng_state().numpy().tobytes()


def differences(names, ours, theirs, dtype) -> list[str]:
    found = []
    for name, a, b in zip(names, ours, theirs, strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            found.append(f"{name}: {a.dtype}{a.shape} instead of {b.dtype}{b.shape}")
            continue
        size = np.abs(b).max()
        if dtype == "float64":
            allowed = 1e-12 * size
        elif name.startswith("d_"):
            allowed = 1e-4 * np.abs(b) + 1e-5 * size
        else:
            allowed = 1e-5 * np.abs(b) + 1e-6
        error = np.abs(a - b)
        if not (error <= allowed).all():
            found.append(f"{name}: off by {np.nanmax(error):.2e}, size {size:.2e}")
    return found


GROUPS = [
    pytest.param(*group, id="{}layers-{}directions-{}".format(*group))
    for group in itertools.product((1, 2, 3), (1, 2), ("float32", "float64"))
]


@pytest.mark.parametrize(("layers", "directions", "dtype"), GROUPS)
def test_every_combination(layers, directions, dtype, torch, rng, parity_count) -> None:
    failures = []
    networks = itertools.product((True, False), (False, True), (0, PROJ), (0.0, 0.4, 1.0))
    for bias, batch_first, proj, dropout in networks:
        options = (layers, directions, dtype, bias, batch_first, proj, dropout)
        pair = Pair(torch, rng, *options)
        for layout, one_run, with_state in itertools.product(LAYOUTS, SAME_VALUES, (True, False)):
            x, state, grads = data(rng, Combination(*options, layout, one_run[0], with_state))
            seed = int(rng.integers(2**31))
            theirs = pair.run_theirs(layout, x, state, grads, seed)
            drawn = rng_state(torch)
            for memory in one_run:
                ours = pair.run_ours(layout, arranged(x, memory), state, grads, seed)
                found = differences(names(pair, state), ours, theirs, dtype)
                if dropout and bytes(default_generator.get_state()) != drawn:
                    found.append("another count of random numbers was drawn")
                parity_count.combinations += 1
                if found:
                    parity_count.failures += 1
                    c = Combination(*options, layout, memory, with_state)
                    failures.append(f"{c}\n    " + "\n    ".join(found))
    assert not failures, f"{len(failures)} combinations differ\n" + "\n".join(failures[:8])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lengths", [[5, 5, 5, 5], [5, 5, 5, 1], [1, 1, 1, 1]])
def test_packed_of_equal_lengths(lengths, dtype, torch, rng) -> None:
    """Equal lengths send torch down its dense kernel even when packed."""
    pair = Pair(torch, rng, 2, 2, dtype, True, False, 0, 0.0)
    frames = np.array(lengths)
    x = rng.standard_normal((5, 4, INPUT)).astype(dtype)
    theirs, (their_h, their_c) = pair.theirs(
        torch.nn.utils.rnn.pack_padded_sequence(torch.from_numpy(x), torch.from_numpy(frames))
    )
    ours, (h_n, c_n) = pair.ours(lstm_native.pack_padded_sequence(x, frames))
    got = [ours.data, h_n, c_n]
    expected = [value.detach().numpy() for value in (theirs.data, their_h, their_c)]
    assert not differences(["output", "h_n", "c_n"], got, expected, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_empty_batch(batch_first, dtype, torch, rng) -> None:
    """No rows at all: empty results of the right shapes and zero gradients, as in torch."""
    pair = Pair(torch, rng, 2, 2, dtype, True, batch_first, 0, 0.0)
    x = np.zeros((0, 3, INPUT) if batch_first else (3, 0, INPUT), dtype)
    theirs, (their_h, their_c) = pair.theirs(torch.from_numpy(x))
    ours, (h_n, c_n), tape = pair.ours.record(x)
    for a, b in zip((ours, h_n, c_n), (theirs, their_h, their_c), strict=True):
        assert a.shape == tuple(b.shape)
    grads = pair.ours.backward(tape, np.zeros_like(ours))
    assert grads.input.shape == x.shape
    assert not grads.parameters.any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_that_are_not_finite(value, dtype, torch, rng) -> None:
    """NaN and infinity give torch's NaN, in their own row and from their own step on."""
    pair = Pair(torch, rng, 2, 1, dtype, True, False, 0, 0.0)
    x = rng.standard_normal((T, N, INPUT)).astype(dtype)
    x[2, 1, 0] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ours, (h_n, c_n) = pair.ours(x)
    theirs, (their_h, their_c) = pair.theirs(torch.from_numpy(x))
    for a, b in zip((ours, h_n, c_n), (theirs, their_h, their_c), strict=True):
        b = b.detach().numpy()
        np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b))
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    others = [0, 2, 3]
    assert np.isfinite(ours[:, others]).all()

    _, _, tape = pair.ours.record(x)
    gradients = pair.ours.backward(tape, np.ones_like(ours))
    leaf = torch.from_numpy(x).requires_grad_()
    (expected,) = torch.autograd.grad(pair.theirs(leaf)[0].sum(), [leaf])
    d_input, expected = gradients.input[:, others], expected.numpy()[:, others]
    assert not differences(["d_input"], [d_input], [expected], dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_and_saturated(dtype, torch, rng) -> None:
    """Pre-activations far beyond where the sigmoid and tanh saturate."""
    pair = Pair(torch, rng, 1, 1, dtype, True, False, 0, 0.0)
    for scale in (1e1, 1e3, 1e10, 1e30):
        x = (scale * rng.standard_normal((T, N, INPUT))).astype(dtype)
        ours, _ = pair.ours(x)
        theirs, _ = pair.theirs(torch.from_numpy(x))
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("steps", "batch", "inputs", "hidden", "layers", "directions", "proj"),
    [(60, 17, 40, 70, 2, 2, 0), (40, 6, 33, 65, 1, 1, 32), (150, 1, 20, 130, 1, 2, 0)],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_larger_networks(
    steps, batch, inputs, hidden, layers, directions, proj, dtype, torch, rng
) -> None:
    """Sizes with full tiles and edges, default initial weights, all gradients."""
    options = {"num_layers": layers, "bidirectional": directions == 2, "proj_size": proj}
    torch.manual_seed(3)
    theirs = torch.nn.LSTM(inputs, hidden, dtype=getattr(torch, dtype), **options)
    lstm_native.manual_seed(3)
    ours = lstm_native.LSTM(inputs, hidden, dtype=np.dtype(dtype), **options)
    for name, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[name], value.numpy(), err_msg=name)

    x = rng.standard_normal((steps, batch, inputs)).astype(dtype)
    leaf = torch.from_numpy(x).requires_grad_()
    output, (h_n, c_n) = theirs(leaf)
    grads = [rng.standard_normal(tuple(v.shape)).astype(dtype) for v in (output, h_n, c_n)]
    results = torch.autograd.grad(
        (output, h_n, c_n), [leaf, *theirs.parameters()], [torch.from_numpy(g) for g in grads]
    )
    expected = [value.detach().numpy() for value in (output, h_n, c_n, results[0])]
    expected.append(np.concatenate([value.numpy().ravel() for value in results[1:]]))
    output, (h_n, c_n), tape = ours.record(x)
    gradients = ours.backward(tape, grads[0], (grads[1], grads[2]))
    got = [output, h_n, c_n, gradients.input, gradients.parameters]
    labels = ["output", "h_n", "c_n", "d_input", "d_parameters"]
    assert not differences(labels, got, expected, dtype)

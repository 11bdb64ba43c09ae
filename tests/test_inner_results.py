"""``return_layers`` and ``return_cells``: what a call gives beside output and state.

Owns their values, bits, gradients, shapes and errors in every layout; ``test_gradcheck.py`` has the
differences.
"""

import itertools

import numpy as np
import pytest

import lstm_native
import reference
from builders import Array, Case, bits, network, own, pack, problem, ragged_lengths, unpack
from lstm_native import LSTM, LSTMCell, _core

DTYPES = ("float32", "float64")
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
KINDS = ("dense", "batch first", "lengths", "packed")

# As in ``test_bits.py`` each stands for a regime of the plan.
REGIMES = {
    "tiny": Case(T=7, N=5, H=4, L=2, D=2),
    "many rows": Case(T=20, N=70, I=64, H=96, L=2),
    "many units": Case(T=16, N=4, I=64, H=300),
    "projected": Case(T=16, N=25, I=65, H=130, proj=67, L=2),
    "stacked, one way": Case(T=33, N=9, I=9, H=40, L=4, proj=12),
    "dropout": Case(T=12, N=9, I=17, H=33, L=3, D=2, dropout=0.4),
    "segments": Case(T=90, N=11, H=20, L=3, D=2, dropout=0.4),
    "float64": Case(T=21, N=13, I=9, H=37, L=2, D=2, dtype="float64"),
}
every_regime = pytest.mark.parametrize("case", REGIMES.values(), ids=REGIMES)


class Inside:
    """One case with gradients for all it returns, and one way to run it."""

    def __init__(self, case: Case, rng: np.random.Generator, kind: str = "dense") -> None:
        self.case, self.kind = case, kind
        self.lstm, self.data = network(case, rng), problem(case, rng)
        self.lstm.batch_first = kind == "batch first"
        self.lengths = ragged_lengths(case, rng, 1) if kind in ("lengths", "packed") else None
        frames = (case.L, case.T, case.N)
        self.d_layers = rng.standard_normal((*frames, case.D * case.P)).astype(case.dtype)
        self.d_cells = rng.standard_normal((*frames, case.D * case.H)).astype(case.dtype)
        self.resets = rng.random((case.T, case.N)) < 0.2

    def own(self, array: Array) -> Array:
        """Turn (L, T, N, features) into what the call takes."""
        if self.kind == "packed":
            return np.array([pack(layer, self.lengths).data for layer in array])
        return np.array([own(self.lstm, layer) for layer in array])

    def time_major(self, array: Array, x) -> Array:
        if self.kind == "packed":
            return np.array([unpack(x._replace(data=layer), self.case.T) for layer in array])
        return np.array([own(self.lstm, layer) for layer in array])

    def run(self, **options) -> dict[str, Array]:
        """Record and differentiate, with everything returned and a gradient for all of it."""
        packed, data = self.kind == "packed", self.data
        give = (lambda a: pack(a, self.lengths)) if packed else (lambda a: own(self.lstm, a))
        x = give(data.x)
        lstm_native.manual_seed(3)
        output, state, layers, cells, tape = self.lstm.record(
            x,
            data.state,
            lengths=None if packed else self.lengths,
            resets=give(self.resets),
            return_layers=True,
            return_cells=True,
            **options,
        )
        assert bits(layers[-1]) == bits(output.data if packed else output)
        grads = self.lstm.backward(
            tape,
            give(data.d_output),
            data.d_state,
            grad_layers=self.own(self.d_layers),
            grad_cells=self.own(self.d_cells),
        )
        d_input = unpack(grads.input, self.case.T) if packed else own(self.lstm, grads.input)
        return {
            "layers": self.time_major(layers, x),
            "cells": self.time_major(cells, x),
            "h_n": state[0],
            "c_n": state[1],
            "d_input": d_input,
            "d_h_0": grads.h_0,
            "d_c_0": grads.c_0,
            "d_parameters": grads.parameters,
        }

    def truth(self) -> dict[str, Array]:
        """The same by the reference, with the masks of the same seed."""
        case, data, masks = self.case, self.data, None
        if case.dropout:
            lengths = np.full(case.N, case.T) if self.lengths is None else self.lengths
            masks = reference.draw_masks(
                3, case.dropout, case.L - 1, lengths, case.D * case.P, case.dtype
            )
        run = reference.forward(
            self.lstm.state_dict(), data.x, *data.state, self.lengths, masks, resets=self.resets
        )
        grads = reference.backward(
            run, data.d_output, *data.d_state, d_layers=self.d_layers, d_cells=self.d_cells
        )
        flat = np.concatenate([value.ravel() for value in grads.parameters.values()])
        return {
            "layers": run.layers,
            "cells": run.cells,
            "h_n": run.h_n,
            "c_n": run.c_n,
            "d_input": grads.input,
            "d_h_0": grads.h_0,
            "d_c_0": grads.c_0,
            "d_parameters": flat,
        }


def assert_same(got: dict[str, Array], expected: dict[str, Array], what: str) -> None:
    differ = [name for name in expected if bits(got[name]) != bits(expected[name])]
    assert not differ, f"{what}: {differ}"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layers", "dropout"), [(1, 0.0), (2, 0.0), (3, 0.0), (3, 0.4)])
def test_against_the_reference(layers, dropout, kind, dtype, rng) -> None:
    for directions, proj, batch in itertools.product((1, 2), (0, 6), (1, 4, 13)):
        case = Case(7, batch, 3, 17, layers, directions, proj, dropout=dropout, dtype=dtype)
        inside = Inside(case, rng, kind)
        got, expected = inside.run(), inside.truth()
        for name, value in expected.items():
            assert got[name].shape == value.shape, name
            assert got[name].dtype == dtype, name
            error = np.abs(got[name] - value).max() / np.abs(value).max(initial=1e-3)
            assert error < TOLERANCE[dtype], (str(case), name, error)


@every_regime
@pytest.mark.parametrize("kind", ["dense", "lengths", "packed"])
def test_however_work_is_dealt_out(case, kind, rng) -> None:
    inside = Inside(case, rng, kind)
    try:
        _core.force_dealing("alone")
        expected = inside.run()
        dealings = ("rows", "units", "tail", "directions", "layers")
        for dealing, threads in itertools.product(dealings, (2, 3)):
            _core.force_dealing(dealing)
            lstm_native.set_num_threads(threads)
            for checkpoint in (None, 20):
                what = f"{dealing} on {threads} threads, checkpoint {checkpoint}"
                assert_same(inside.run(checkpoint=checkpoint), expected, what)
    finally:
        _core.force_dealing("any")


@every_regime
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_else_changes(case, kind, rng) -> None:
    """Output, state and gradients have the bits of a call that returns no more than these."""
    inside = Inside(case, rng, kind)
    lstm, data, lengths = inside.lstm, inside.data, inside.lengths
    give = (lambda a: pack(a, lengths)) if kind == "packed" else (lambda a: own(lstm, a))
    options = {} if kind == "packed" else {"lengths": lengths}
    runs = []
    for asked in itertools.product((False, True), repeat=2):
        flags = dict(zip(("return_layers", "return_cells"), asked, strict=True))
        for call in (lstm, lstm.record):
            lstm_native.manual_seed(3)
            output, state, *more = call(give(data.x), data.state, **options, **flags)
            output = output.data if kind == "packed" else output
            results = [output, *state]
            if call == lstm.record:
                grads = lstm.backward(more.pop(), give(data.d_output), data.d_state)
                d_input = grads.input.data if kind == "packed" else grads.input
                results += [d_input, *grads[1:]]
            assert len(more) == sum(asked)
            runs.append([bits(array) for array in results])
    for got in runs:
        assert got == runs[1][: len(got)]


@pytest.mark.parametrize("part", ["d_output", "d_layers", "d_cells"])
def test_one_gradient_alone(part, rng) -> None:
    """None is zero, of each by itself."""
    case = Case(T=5, N=4, L=2, D=2, dtype="float64")
    inside = Inside(case, rng)
    names = ("grad_output", "grad_layers", "grad_cells")
    given = (inside.data.d_output, inside.d_layers, inside.d_cells)
    chosen = ("d_output", "d_layers", "d_cells").index(part)

    def gradients(others_as_zeros: bool) -> list[bytes]:
        tape = inside.lstm.record(inside.data.x, return_layers=True, return_cells=True)[-1]
        values = [np.zeros_like(a) if others_as_zeros else None for a in given]
        values[chosen] = given[chosen]
        got = inside.lstm.backward(tape, **dict(zip(names, values, strict=True)))
        return [array + 0.0 for array in got]

    for a, b in zip(gradients(False), gradients(True), strict=True):
        np.testing.assert_array_equal(a, b)


def test_one_gradient_for_all_layers(rng) -> None:
    """Whose memory is one layer's: the axis of layers has no stride."""
    case = Case(T=5, N=4, L=3, dtype="float64")
    lstm, data = network(case, rng), problem(case, rng)
    results = []
    for copy in (np.asarray, np.ascontiguousarray):
        *_, layers, cells, tape = lstm.record(data.x, return_layers=True, return_cells=True)
        d_layers = copy(np.broadcast_to(data.d_output, layers.shape))
        d_cells = copy(np.broadcast_to(data.d_output, cells.shape))
        got = lstm.backward(tape, grad_layers=d_layers, grad_cells=d_cells)
        results.append([bits(array) for array in got])
    assert results[0] == results[1]


@pytest.mark.parametrize("batch_first", [False, True])
def test_shapes(batch_first, rng) -> None:
    lstm = LSTM(3, 6, 2, bidirectional=True, proj_size=4, batch_first=batch_first)
    x = np.zeros((5, 7, 3), np.float32)
    output, _, cells = lstm(x, return_cells=True)
    assert cells.shape == (5, 7, 12)
    output, _, layers = lstm(x, return_layers=True)
    assert layers.shape == (2, 5, 7, 8)
    assert np.shares_memory(layers[-1], output)
    *_, layers, cells = lstm(x, return_layers=True, return_cells=True)
    assert (layers.shape, cells.shape) == ((2, 5, 7, 8), (2, 5, 7, 12))
    *_, layers, cells = lstm(x[0], return_layers=True, return_cells=True)
    assert (layers.shape, cells.shape) == ((2, 7, 8), (2, 7, 12))
    packed = lstm_native.pack_sequence([x[0], x[1, :3]])
    *_, layers, cells = lstm(packed, return_layers=True, return_cells=True)
    assert (layers.shape, cells.shape) == ((2, 10, 8), (2, 10, 12))


def test_the_last_c_is_c_n_and_pad_frames_are_zero(rng) -> None:
    case = Case(T=6, N=5, L=2, D=2)
    lstm, data = network(case, rng), problem(case, rng)
    lengths = np.array([3, 6, 0, 1, 6])
    _, (_, c_n), layers, cells = lstm(
        data.x, lengths=lengths, return_layers=True, return_cells=True
    )
    for n, length in enumerate(lengths):
        assert not layers[:, length:, n].any()
        assert not cells[:, length:, n].any()
        if length:
            for layer in range(2):
                forward, reverse = cells[layer, :, n, : case.H], cells[layer, :, n, case.H :]
                assert bits(forward[length - 1]) == bits(c_n[2 * layer, n])
                assert bits(reverse[0]) == bits(c_n[2 * layer + 1, n])


def test_cells_of_a_loop_over_steps(rng) -> None:
    """One layer: an LSTMCell, step by step, has the same c to the bit."""
    lstm = LSTM(3, 17)
    cell = LSTMCell(3, 17)
    for name, value in lstm.state_dict().items():
        cell.load_state_dict(cell.state_dict() | {name.removesuffix("_l0"): value})
    x = rng.standard_normal((9, 4, 3)).astype(np.float32)
    _, _, cells = lstm(x, return_cells=True)
    state = None
    for t in range(9):
        state = cell(x[t], state)
        assert bits(state[1]) == bits(cells[t])


def test_layers_of_a_loop_over_networks(rng) -> None:
    """Each layer: a network of one layer over the outputs of the layer below, to the bit."""
    lstm = LSTM(3, 17, 3, bidirectional=True, proj_size=6)
    x = rng.standard_normal((9, 4, 3)).astype(np.float32)
    _, _, layers, cells = lstm(x, return_layers=True, return_cells=True)
    below = x
    for layer in range(3):
        alone = LSTM(below.shape[2], 17, bidirectional=True, proj_size=6)
        suffix = f"_l{layer}"
        state = {n.replace(suffix, "_l0"): v for n, v in lstm.state_dict().items() if suffix in n}
        alone.load_state_dict(state)
        below, _, c = alone(below, return_cells=True)
        assert bits(below) == bits(layers[layer])
        assert bits(c) == bits(cells[layer])


def test_recorded_outputs_are_read_only(rng) -> None:
    lstm = LSTM(3, 4, 2)
    x = np.zeros((2, 1, 3), np.float32)
    output, _, layers, cells, _ = lstm.record(x, return_layers=True, return_cells=True)
    assert not output.flags.writeable
    assert not layers.flags.writeable
    assert cells.flags.writeable


def test_a_tape_does_not_hold_what_the_caller_has() -> None:
    lstm, x = LSTM(3, 16, 3), np.zeros((20, 4, 3), np.float32)
    plain, asked = lstm.record(x)[-1], lstm.record(x, return_layers=True)[-1]
    assert plain.nbytes - asked.nbytes == 2 * 20 * 4 * 16 * 4


def test_errors() -> None:
    lstm, x = LSTM(3, 4, 2), np.zeros((5, 2, 3), np.float32)
    for name in ("return_layers", "return_cells"):
        with pytest.raises(TypeError, match=f"{name} should be of type bool, got: int"):
            lstm(x, **{name: 1})
        with pytest.raises(TypeError, match=f"{name} should be of type bool, got: int"):
            lstm.eval().record(x, **{name: 1})
    for name in ("layers", "cells"):
        tape = lstm.record(x)[-1]
        text = f"grad_{name}: the tape was recorded without return_{name}=True"
        with pytest.raises(ValueError, match=text):
            lstm.backward(tape, **{f"grad_{name}": np.zeros((2, 5, 2, 4), np.float32)})
        tape = lstm.record(x, return_layers=True, return_cells=True)[-1]
        with pytest.raises(RuntimeError, match=rf"Expected grad_{name} size \(2, 5, 2, 4\), got"):
            lstm.backward(tape, **{f"grad_{name}": np.zeros((5, 2, 4), np.float32)})
        with pytest.raises(ValueError, match=f"grad_{name} dtype"):
            lstm.backward(tape, **{f"grad_{name}": np.zeros((2, 5, 2, 4))})
        assert not tape.consumed


def test_the_core_checks_for_itself() -> None:
    x, state = np.zeros((5, 2, 3), np.float32), np.zeros((2, 2, 4), np.float32)
    weights, tail = LSTM(3, 4, 2)._weights(), (None, None, None, 0.0, None, None)

    def call(y_shape: tuple[int, ...], cells_shape: tuple[int, ...]) -> None:
        y, cells = (np.zeros(shape, np.float32) for shape in (y_shape, cells_shape))
        _core.forward(weights, x, y, state.copy(), state.copy(), *tail, cells)

    call((2, 5, 2, 4), (5, 2, 4))
    call((5, 2, 4), (2, 5, 2, 4))
    with pytest.raises(ValueError, match="y should have shape"):
        call((3, 5, 2, 4), (5, 2, 4))
    with pytest.raises(ValueError, match="cells should have shape"):
        call((5, 2, 4), (2, 5, 2, 5))
    with pytest.raises(ValueError, match="cells should have 3 dimensions"):
        call((5, 2, 4), (5, 4))

"""Backward against central differences of forward, in float64, with nothing else in between.

A network is differentiated along every coordinate of its input, its state and its parameters at
once: the differences of output, h_n and c_n are taken once and then contracted with each subset of
gradients, so that "output only" and its siblings cost nothing more.
"""

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import lstm_native
from builders import Case, Problem, Results, network, own, pack, problem, run, unpack

# Central differences over four points: the truncation error is STEP**4 / 30 times a fifth
# derivative, the rounding error 1e-16 / STEP times the values summed; both are below 1e-12.
STEP = 1e-3
TOLERANCE = 1e-7
SEED = 20240607

SUBSETS = {
    "output": (True, False, False),
    "h_n": (False, True, False),
    "c_n": (False, False, True),
    "h_n and c_n": (False, True, True),
    "all": (True, True, True),
    "none": (False, False, False),
}


def coordinates(array: np.ndarray) -> Iterator[Callable[[float], None]]:
    """Give, per element, a function that sets it to its value plus an offset."""
    flat = array.reshape(-1)
    assert np.shares_memory(flat, array)
    for index, value in enumerate(flat.copy()):
        yield lambda offset, index=index, value=value: flat.__setitem__(index, value + offset)


def evaluate(lstm, data: Problem, with_state: bool, lengths, packed: bool, resets) -> np.ndarray:
    """Return output (time-major), h_n and c_n of one call as one flat array."""
    if lstm.dropout:
        lstm_native.manual_seed(SEED)
    state = data.state if with_state else None
    if packed:
        anew = None if resets is None else pack(resets, lengths)
        output, (h_n, c_n) = lstm(pack(data.x, lengths), state, resets=anew)
        output = unpack(output, len(data.x))
    else:
        anew = None if resets is None else own(lstm, resets)
        output, (h_n, c_n) = lstm(own(lstm, data.x), state, lengths=lengths, resets=anew)
        output = own(lstm, output)
    return np.concatenate([output.ravel(), h_n.ravel(), c_n.ravel()])


def check(
    case: Case, rng, *, with_state: bool = True, lengths=None, packed: bool = False, resets=None
) -> None:
    lstm, data = network(case, rng), problem(case, rng)

    def value() -> np.ndarray:
        return evaluate(lstm, data, with_state, lengths, packed, resets)

    jacobian = {}
    variables = {"d_input": data.x, "d_parameters": lstm.flat_parameters}
    if with_state:
        variables |= {"d_h_0": data.state[0], "d_c_0": data.state[1]}
    for name, variable in variables.items():
        columns = []
        for move in coordinates(variable):
            columns.append(slope(move, value))
        jacobian[name] = np.array(columns)

    for subset, (use_output, use_h, use_c) in SUBSETS.items():
        d_output = data.d_output if use_output else None
        d_h, d_c = data.d_state[0] if use_h else None, data.d_state[1] if use_c else None
        if lstm.dropout:
            lstm_native.manual_seed(SEED)
        d_state = (d_h, d_c) if use_h or use_c else None
        state = data.state if with_state else None
        layout = {"lengths": lengths, "packed": packed, "resets": resets}
        got = run(lstm, data.x, state, d_output, d_state, **layout)
        compare(case, subset, jacobian, got, data, (d_output, d_h, d_c))


def slope(move: Callable[[float], None], value: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the derivative of ``value`` along one coordinate, and put the coordinate back."""

    def at(steps: int) -> np.ndarray:
        move(steps * STEP)
        return value()

    derivative = (8 * (at(+1) - at(-1)) - (at(+2) - at(-2))) / (12 * STEP)
    move(0.0)
    return derivative


def compare(case: Case, subset: str, jacobian, got: Results, data: Problem, given) -> None:
    shapes = (data.d_output, *data.d_state)
    weight = [np.zeros_like(s) if g is None else g for g, s in zip(given, shapes, strict=True)]
    weights = np.concatenate([w.ravel() for w in weight])
    for name, columns in jacobian.items():
        truth = columns @ weights
        gradient = getattr(got, name).ravel()
        assert gradient.shape == truth.shape, (str(case), name)
        error, size = np.abs(gradient - truth).max(), np.abs(truth).max()
        assert error <= TOLERANCE * size, f"{case}, {subset}, {name}: {error:.2e} of {size:.2e}"


@pytest.mark.parametrize("kind", ["dense", "lengths", "packed"])
@pytest.mark.parametrize(("layers", "dropout"), [(1, 0.0), (2, 0.0), (2, 0.4), (3, 0.0), (3, 0.4)])
@pytest.mark.parametrize("directions", [1, 2])
def test_every_combination(layers, directions, dropout, kind, rng) -> None:
    hidden, steps, batch = (3, 4, 3) if layers < 3 else (2, 3, 2)
    kinds = itertools.product((0, hidden - 1), (True, False), (False, True), (True, False))
    for proj, bias, batch_first, with_state in kinds:
        lengths = None if kind == "dense" else np.array([2, steps, 1][:batch])
        case = Case(
            steps, batch, 2, hidden, layers, directions, proj, bias, batch_first, dropout, "float64"
        )
        check(case, rng, with_state=with_state, lengths=lengths, packed=kind == "packed")


@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [(), (3,)])
def test_cells_and_single_sequences(rows, bias, with_state, rng) -> None:
    """Calls of their own: a step of a cell, of one row or a batch, and a sequence without one."""

    def draw(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape)

    cell = lstm_native.LSTMCell(2, 3, bias, dtype="float64")
    x, state, d_state = draw(*rows, 2), (draw(*rows, 3), draw(*rows, 3)), (draw(*rows, 3),) * 2
    hx = state if with_state else None
    got = cell.backward(cell.record(x, hx)[1], d_state)
    compare_call(lambda: cell(x, hx), d_state, [x, cell.flat_parameters, *state], got, with_state)
    if rows:
        return
    lstm = lstm_native.LSTM(2, 3, 2, bias, bidirectional=True, proj_size=2, dtype="float64")
    x, state = draw(4, 2), (draw(4, 2), draw(4, 3))
    hx = state if with_state else None
    output, (h_n, c_n), tape = lstm.record(x, hx)
    given = draw(*output.shape), draw(*h_n.shape), draw(*c_n.shape)
    got = lstm.backward(tape, given[0], given[1:])

    def call() -> tuple[np.ndarray, ...]:
        output, states = lstm(x, hx)
        return output, *states

    compare_call(call, given, [x, lstm.flat_parameters, *state], got, with_state)


def compare_call(call, given, variables, got, with_state: bool) -> None:
    """Compare gradients of input, parameters, h_0 and c_0 with differences of results."""

    def value() -> np.ndarray:
        return np.concatenate([result.ravel() for result in call()])

    weights = np.concatenate([gradient.ravel() for gradient in given])
    gradients = got.input, got.parameters, got.h_0, got.c_0
    for variable, gradient in list(zip(variables, gradients, strict=True))[
        : 4 if with_state else 2
    ]:
        truth = np.array([slope(move, value) for move in coordinates(variable)]) @ weights
        error, size = np.abs(gradient.ravel() - truth).max(), np.abs(truth).max()
        assert error <= TOLERANCE * size, f"{error:.2e} of {size:.2e}"


@pytest.mark.parametrize("directions", [1, 2])
def test_sequences_of_length_zero(directions, rng) -> None:
    case = Case(3, 4, 2, 3, 2, directions, 2, dtype="float64")
    check(case, rng, lengths=np.array([0, 3, 0, 2]))


@pytest.mark.parametrize("directions", [1, 2])
def test_sizes_beyond_one_tile(directions, rng) -> None:
    """More rows and units than one register tile of the widest instruction set holds."""
    check(Case(2, 7, 3, 17, 1, directions, dtype="float64"), rng)
    check(
        Case(2, 7, 3, 9, 1, directions, 8, dtype="float64"), rng, lengths=np.array([2, 1] * 3 + [2])
    )


def test_every_element_dropped(rng) -> None:
    """With dropout 1 upper layers see zeros; lower layers still feel h_n and c_n."""
    check(Case(3, 2, 2, 3, 2, 2, dropout=1.0, dtype="float64"), rng)


@pytest.mark.parametrize("kind", ["dense", "batch_first", "lengths", "packed"])
@pytest.mark.parametrize("directions", [1, 2])
def test_resets(directions, kind, rng) -> None:
    """Rows that begin anew at their first step, twice running, at their last, and not at all."""
    resets = np.zeros((5, 4), bool)
    resets[[0, 1, 2, 3], 0] = resets[[0, 3], 1] = resets[4, 2] = True
    lengths = np.array([4, 5, 5, 2]) if kind in ("lengths", "packed") else None
    for layers, proj, dropout in ((1, 0, 0.0), (2, 2, 0.0), (2, 0, 0.4)):
        sizes = (5, 4, 2, 3, layers, directions, proj, True, kind == "batch_first", dropout)
        case = Case(*sizes, dtype="float64")
        check(case, rng, lengths=lengths, packed=kind == "packed", resets=resets)


@pytest.mark.parametrize("kind", ["dense", "batch_first", "lengths"])
@pytest.mark.parametrize("directions", [1, 2])
def test_layers_and_cells(directions, kind, rng) -> None:
    """Gradients of every layer's output and of c at every step, among resets."""
    for layers, proj, dropout in ((1, 0, 0.0), (3, 2, 0.0), (3, 0, 0.4)):
        sizes = (4, 3, 2, 3, layers, directions, proj, True, kind == "batch_first", dropout)
        case = Case(*sizes, dtype="float64")
        lstm, data = network(case, rng), problem(case, rng)
        x = np.ascontiguousarray(own(lstm, data.x))
        options = {
            "lengths": np.array([3, 4, 1]) if kind == "lengths" else None,
            "resets": own(lstm, rng.random((4, 3)) < 0.3),
            "return_layers": True,
            "return_cells": True,
        }

        def results(call, x=x, state=data.state, options=options) -> tuple:
            lstm_native.manual_seed(SEED)
            return call(x, state, **options)

        def value(results=results, lstm=lstm) -> np.ndarray:
            _, state, *inner = results(lstm)
            return np.concatenate([a.ravel() for a in (*state, *inner)])

        _, _, *inner, tape = results(lstm.record)
        d_inner = [rng.standard_normal(array.shape) for array in inner]
        given = np.concatenate([d.ravel() for d in (*data.d_state, *d_inner)])
        d_layers, d_cells = d_inner
        got = lstm.backward(tape, None, data.d_state, grad_layers=d_layers, grad_cells=d_cells)
        for variable, gradient in zip((x, *data.state, lstm.flat_parameters), got, strict=True):
            truth = np.array([slope(move, value) @ given for move in coordinates(variable)])
            error, size = np.abs(gradient.ravel() - truth).max(), np.abs(truth).max()
            assert error <= TOLERANCE * size, f"{case}: {error:.2e} of {size:.2e}"

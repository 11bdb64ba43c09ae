"""The package against ``reference.py``, on odd sizes around every edge of the register tile.

Tiles hold a few rows by one packet of units, so a mistake at an edge shows only at sizes just
below, at and just above multiples of 3, 6, 8, 16 and 32: each size runs through all of those,
alone, in pairs and at random, for every result and every gradient.
"""

import itertools

import numpy as np
import pytest

import lstm_native
import reference
from builders import Case, Results, named, network, problem, ragged_lengths, run

EDGES = (*range(1, 10), 15, 16, 17, 31, 32, 33, 63, 64, 65)
DTYPES = ("float32", "float64")
# Largest difference allowed, in units of the largest expected value; the reference is float64.
TOLERANCE = {"float32": (2e-6, 1e-5), "float64": (1e-13, 1e-12)}


def expected(case: Case, lstm, data, lengths=None, masks=None) -> Results:
    state = data.state or (None, None)
    truth = reference.forward(lstm.state_dict(), data.x, *state, lengths, masks)
    d_output = data.d_output
    if lengths is not None:
        d_output = np.where((np.arange(case.T)[:, None] < lengths)[:, :, None], d_output, 0)
    grads = reference.backward(truth, d_output, *data.d_state)
    flat = np.concatenate([value.ravel() for value in grads.parameters.values()])
    results = (truth.output, truth.h_n, truth.c_n, grads.input, grads.h_0, grads.c_0, flat)
    return Results(*results)


def wrong(case: Case, lstm, got: Results, truth: Results) -> list[str]:
    """Name what differs by more than the tolerance, parameter gradients one by one."""
    forward, gradient = TOLERANCE[case.dtype]
    pairs = [*zip(Results._fields[:-1], got[:-1], truth[:-1], strict=True)]
    for (name, a), (_, b) in zip(
        named(lstm, got.d_parameters), named(lstm, truth.d_parameters), strict=True
    ):
        pairs.append((f"d_{name}", a, b))
    failures = []
    for name, a, b in pairs:
        assert a.shape == b.shape, (name, a.shape, b.shape)
        assert a.dtype == case.dtype, (name, a.dtype)
        size = np.abs(b).max(initial=1e-30)
        if case.proj and name in ("output", "h_n"):
            # A projection may cancel: its error is that of its terms, W_hr o tanh(c) <= W_hr c.
            weights = [w for key, w in lstm.named_parameters() if key.startswith("weight_hr")]
            size = max(
                size, np.abs(truth.c_n).max(initial=0) * max(np.abs(w).max() for w in weights)
            )
        allowed = (gradient if name.startswith("d_") else forward) * size
        error = np.abs(a - b).max(initial=0.0)
        if not error <= allowed:
            failures.append(f"{name}: off by {error:.2e}, allowed {allowed:.2e}")
    return failures


def check(cases, rng, *, ragged: bool = False, packed: bool = False) -> None:
    failures = []
    for case in cases:
        lstm, data = network(case, rng), problem(case, rng)
        lengths = ragged_lengths(case, rng, 1 if packed else 0) if ragged else None
        got = run(lstm, *data, lengths=lengths, packed=packed)
        found = wrong(case, lstm, got, expected(case, lstm, data, lengths))
        failures += [f"{case} {'' if lengths is None else lengths}: {text}" for text in found]
    assert not failures, f"{len(failures)} differences\n" + "\n".join(failures[:20])


def random_cases(rng, count: int, dtype: str) -> list[Case]:
    """Sizes at random from the edges; half of the cases project, when the hidden size allows."""
    cases = []
    for _ in range(count):
        n, i, h = (int(size) for size in rng.choice(EDGES, 3))
        smaller = [p for p in EDGES if p < h]
        proj = int(rng.choice(smaller)) if smaller and rng.random() < 0.5 else 0
        layers, directions = int(rng.integers(1, 4)), int(rng.integers(1, 3))
        bias, steps = bool(rng.random() < 0.7), int(rng.integers(1, 5))
        cases.append(Case(steps, n, i, h, layers, directions, proj, bias, dtype=dtype))
    return cases


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["N", "I", "H", "proj"])
def test_one_size_at_every_edge(name, dtype, rng) -> None:
    sizes = [{name: size} | ({"H": size + 1} if name == "proj" else {}) for size in EDGES]
    kinds = itertools.product(sizes, (1, 2), (1, 2), (False, True))
    check([Case(**s, L=k, D=d, bias=b, dtype=dtype) for s, k, d, b in kinds], rng)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("pair", [("H", "N"), ("H", "I"), ("H", "proj"), ("I", "N"), ("proj", "N")])
def test_two_sizes_at_every_edge(pair, dtype, rng) -> None:
    first, second = pair
    cases = []
    for a, b in itertools.product(EDGES, EDGES):
        sizes = {first: a, second: b}
        if first == "proj":
            sizes["H"] = a + 1
        if sizes.get("proj", 0) < sizes.get("H", Case.H):
            cases.append(Case(T=2, **sizes, dtype=dtype))
    check(cases, rng)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["dense", "lengths", "packed"])
def test_random_sizes(kind, dtype, rng) -> None:
    cases = random_cases(rng, 120, dtype)
    check(cases, rng, ragged=kind != "dense", packed=kind == "packed")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("packed", [False, True], ids=["lengths", "packed"])
def test_ragged_at_every_batch_edge(packed, dtype, rng) -> None:
    """Live rows shrink through every remainder of the row tile."""
    kinds = itertools.product(EDGES, (1, 2), (0, 3))
    cases = [Case(T=9, N=n, D=d, proj=p, L=2, dtype=dtype) for n, d, p in kinds]
    check(cases, rng, ragged=True, packed=packed)


@pytest.mark.parametrize("dtype", DTYPES)
def test_large_sizes(dtype, rng) -> None:
    """Large enough for chunks of steps, slices of a sum, and more than one thread."""
    sizes = [(300, 1, 33, 65, 1, 2, 0), (130, 5, 17, 40, 2, 1, 17), (60, 37, 64, 72, 1, 2, 0)]
    sizes += [(6, 13, 1030, 40, 1, 2, 0), (5, 8, 520, 140, 2, 1, 70), (4, 9, 5, 300, 1, 1, 0)]
    sizes += [(513, 2, 9, 16, 1, 1, 0), (40, 67, 130, 129, 1, 1, 65), (257, 1, 5, 200, 2, 1, 0)]
    cases = [Case(*size, dtype=dtype) for size in sizes]
    check(cases, rng)
    check(cases, rng, ragged=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_sequences_empty(dtype, rng) -> None:
    """All lengths 0: the output and dx are zeros, states and their gradients pass through."""
    case = Case(L=2, D=2, proj=3, dtype=dtype)
    lstm, data = network(case, rng), problem(case, rng)
    got = run(lstm, *data, lengths=np.zeros(case.N, np.int64))
    for zeros in (got.output, got.d_input, got.d_parameters):
        assert not zeros.any()
    for got_state, given in zip((*got[1:3], *got[4:6]), (*data.state, *data.d_state), strict=True):
        np.testing.assert_array_equal(got_state, given)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("p", [0.1, 0.4, 0.9, 1.0])
@pytest.mark.parametrize("kind", ["dense", "batch_first", "lengths", "packed"])
def test_dropout_masks(kind, p, dtype, rng) -> None:
    """The masks are those of torch's generator, drawn here by NumPy's own MT19937."""
    for layers, directions, proj in itertools.product((2, 3), (1, 2), (0, 2)):
        case = Case(
            5, 7, 3, 4, layers, directions, proj, True, kind == "batch_first", p, dtype=dtype
        )
        lstm, data = network(case, rng), problem(case, rng)
        lengths = None
        frames = np.full(case.N, case.T)
        if kind in ("lengths", "packed"):
            lengths = frames = ragged_lengths(case, rng, 1)
        seed = int(rng.integers(2**32))
        lstm_native.manual_seed(seed)
        got = run(lstm, *data, lengths=lengths, packed=kind == "packed")
        masks = reference.draw_masks(seed, p, layers - 1, frames, directions * case.P, dtype)
        assert not wrong(case, lstm, got, expected(case, lstm, data, lengths, masks)), case

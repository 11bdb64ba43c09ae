"""The same bits, whatever the threads, the memory, the layout and the company of other rows.

One accumulator per result, walked in one order, is what makes these hold; a kernel that splits a
sum, or takes another path for a remainder, fails here long before a tolerance notices. The file is
run again under every instruction set by ``test_isas.py``.
"""

import copy
import pickle

import numpy as np
import pytest

import lstm_native
from builders import (
    Array,
    Case,
    Problem,
    Results,
    bits,
    differing,
    network,
    own,
    problem,
    ragged_lengths,
    rounded,
    run,
)
from lstm_native import _core

DTYPES = ("float32", "float64")
SEED = 97
NO_SUM = np.zeros(0)

# Each stands for a regime: no work to share, rows shared, units shared, many steps of one row,
# two directions and layers, a projection, masks.
REGIMES = {
    "tiny": {"T": 7, "N": 5, "I": 3, "H": 4, "L": 2, "D": 2},
    "many rows": {"T": 20, "N": 70, "I": 64, "H": 96},
    "many units": {"T": 16, "N": 4, "I": 64, "H": 300},
    "one row": {"T": 400, "N": 1, "I": 32, "H": 130},
    "one row, small": {"T": 300, "N": 1, "I": 16, "H": 24, "D": 2},
    "many units, two ways": {"T": 8, "N": 3, "I": 40, "H": 290, "D": 2},
    "stacked": {"T": 16, "N": 17, "I": 40, "H": 72, "L": 2, "D": 2},
    "projected": {"T": 16, "N": 25, "I": 65, "H": 130, "proj": 67, "L": 2},
    "one row, stacked": {"T": 70, "N": 1, "I": 9, "H": 40, "L": 3},
    "stacked, one way": {"T": 33, "N": 9, "I": 9, "H": 40, "L": 4, "proj": 12},
    "dropout": {"T": 12, "N": 9, "I": 17, "H": 33, "L": 3, "D": 2, "dropout": 0.4},
}

every_regime = pytest.mark.parametrize(
    "case",
    [
        pytest.param(Case(**sizes, dtype=dtype), id=f"{name}-{dtype}")
        for name, sizes in REGIMES.items()
        for dtype in DTYPES
    ],
)


def seeded_run(lstm, data: Problem, **layout) -> Results:
    lstm_native.manual_seed(SEED)
    return run(lstm, *data, **layout)


def assert_same(got: Results, expected: Results, what: str) -> None:
    found = differing(got, expected)
    assert not found, f"{what}: elements differ in {', '.join(found)}"


@every_regime
def test_reruns(case, rng) -> None:
    lstm, data = network(case, rng), problem(case, rng)
    expected = seeded_run(lstm, data)
    for again in range(3):
        assert_same(seeded_run(lstm, data), expected, f"rerun {again}")


@every_regime
@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
def test_thread_counts(case, ragged, rng) -> None:
    lstm, data = network(case, rng), problem(case, rng)
    lengths = ragged_lengths(case, rng) if ragged else None
    lstm_native.set_num_threads(1)
    expected = seeded_run(lstm, data, lengths=lengths)
    for threads in (2, 3, 4, 8, 2, 1):
        lstm_native.set_num_threads(threads)
        assert_same(seeded_run(lstm, data, lengths=lengths), expected, f"{threads} threads")


DEALINGS = ("rows", "units", "tail", "directions", "layers")


@pytest.fixture
def dealing():
    yield _core.force_dealing
    _core.force_dealing("any")


def is_rows(dealing: str, case: Case, ragged: bool) -> bool:
    """Whether a way to deal work out has nothing to deal in this case: rows are dealt instead."""
    return (
        (dealing == "tail" and not ragged)
        or (dealing == "directions" and case.D == 1)
        or (dealing == "layers" and (case.L == 1 or case.D == 2))
    )


@every_regime
@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
def test_ways_of_dealing_work_out(case, ragged, rng, dealing) -> None:
    lstm, data = network(case, rng), problem(case, rng)
    lengths = ragged_lengths(case, rng) if ragged else None
    dealing("alone")
    expected = seeded_run(lstm, data, lengths=lengths)
    for name in DEALINGS:
        dealing(name)
        for threads in (2,) if is_rows(name, case, ragged) else (2, 3, 4, 7):
            lstm_native.set_num_threads(threads)
            got = seeded_run(lstm, data, lengths=lengths)
            assert_same(got, expected, f"{name} on {threads} threads")


# Of the regimes those whose inference takes other paths.
every_rounding = pytest.mark.parametrize("rounding", ["bfloat16", "int8", "medium"])
every_inference = pytest.mark.parametrize(
    "case",
    [
        pytest.param(Case(**sizes), id=name)
        for name, sizes in REGIMES.items()
        if name not in ("dropout", "one row, small")
    ],
)


def inference(lstm, data: Problem, **layout) -> Results:
    output, (h_n, c_n) = lstm(data.x, data.state, **layout)
    return Results(output, h_n, c_n, *[NO_SUM] * 4)


@every_rounding
@every_inference
@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
def test_rounded_weights_however_work_is_dealt_out(case, rounding, ragged, rng, dealing) -> None:
    lstm, data = rounded(network(case, rng), rounding), problem(case, rng)
    lengths = ragged_lengths(case, rng) if ragged else None
    dealing("alone")
    expected = inference(lstm, data, lengths=lengths)
    for name in DEALINGS:
        if is_rows(name, case, ragged):
            continue
        dealing(name)
        for threads in (2, 3, 7):
            lstm_native.set_num_threads(threads)
            got = inference(lstm, data, lengths=lengths)
            assert_same(got, expected, f"{name} on {threads} threads")
    dealing("any")
    moved = Problem(shifted(data.x, 5), (shifted(data.state[0], 5), data.state[1]), None, None)
    assert_same(inference(lstm, moved, lengths=lengths), expected, "5 bytes past a border")


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(ValueError, match="dealing"):
        _core.force_dealing("columns")


def shifted(array: Array, offset: int) -> Array:
    """Copy an array to memory ``offset`` bytes past a 64-byte border."""
    buffer = np.zeros(array.nbytes + 128 + offset, np.uint8)
    start = -buffer.ctypes.data % 64 + offset
    copied = buffer[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copied[...] = array
    return copied


@every_regime
def test_alignment(case, rng) -> None:
    lstm, data = network(case, rng), problem(case, rng)
    expected = seeded_run(lstm, data)
    itemsize = data.x.itemsize
    for offset in (0, itemsize, 3 * itemsize, 32 + itemsize, 1, itemsize + 3):
        moved = Problem(
            shifted(data.x, offset),
            (shifted(data.state[0], offset), shifted(data.state[1], offset)),
            shifted(data.d_output, offset),
            (shifted(data.d_state[0], offset), shifted(data.d_state[1], offset)),
        )
        assert_same(seeded_run(lstm, moved), expected, f"{offset} bytes past a border")


@every_regime
def test_memory_order_of_the_input(case, rng) -> None:
    lstm, data = network(case, rng), problem(case, rng)
    expected = seeded_run(lstm, data)

    def rows_first(array: Array) -> Array:
        return array.swapaxes(0, 1).copy().swapaxes(0, 1)

    def backwards(array: Array) -> Array:
        return array[::-1].copy()[::-1]

    def wide(array: Array) -> Array:
        return np.repeat(array, 2, axis=-1)[..., ::2]

    for arrange in (rows_first, np.asfortranarray, backwards, wide):
        moved = data._replace(x=arrange(data.x), d_output=arrange(data.d_output))
        assert_same(seeded_run(lstm, moved), expected, arrange.__name__)


@every_regime
def test_layouts_of_a_full_batch(case, rng) -> None:
    """Dense, batch-first, packed and lengths of T are one computation."""
    lstm, data = network(case, rng), problem(case, rng)
    expected = seeded_run(lstm, data)
    lengths = np.full(case.N, case.T)
    assert_same(seeded_run(lstm, data, lengths=lengths), expected, "lengths=")
    assert_same(seeded_run(lstm, data, packed=True), expected, "packed")
    lstm.batch_first = True
    assert_same(seeded_run(lstm, data), expected, "batch_first")
    assert_same(seeded_run(lstm, data, lengths=lengths), expected, "batch_first, lengths=")


@every_regime
def test_layouts_of_a_ragged_batch(case, rng) -> None:
    lstm, data = network(case, rng), problem(case, rng)
    lengths = ragged_lengths(case, rng, shortest=1)
    expected = seeded_run(lstm, data, lengths=lengths)
    assert_same(seeded_run(lstm, data, lengths=lengths, packed=True), expected, "packed")
    lstm.batch_first = True
    assert_same(seeded_run(lstm, data, lengths=lengths), expected, "batch_first, lengths=")


@every_regime
@pytest.mark.parametrize("kind", ["dense", "batch_first", "lengths", "packed"])
def test_inference_is_the_recorded_forward(case, kind, rng) -> None:
    lstm, data = network(case, rng), problem(case, rng)
    lstm.batch_first = kind == "batch_first"
    lengths = ragged_lengths(case, rng, shortest=1) if kind in ("lengths", "packed") else None
    x, keywords = own(lstm, data.x), {}
    if kind == "packed":
        x = lstm_native.pack_padded_sequence(x, lengths, enforce_sorted=False)
    elif kind == "lengths":
        keywords = {"lengths": lengths}
    for mode in (lstm.train, lstm.eval):
        mode()
        lstm_native.manual_seed(SEED)
        recorded, recorded_state, _ = lstm.record(x, data.state, **keywords)
        lstm_native.manual_seed(SEED)
        called, called_state = lstm(x, data.state, **keywords)
        if kind == "packed":
            recorded, called = recorded.data, called.data
        for a, b in zip((called, *called_state), (recorded, *recorded_state), strict=True):
            assert bits(a) == bits(b), f"{mode.__name__}()"


@every_regime
def test_absent_state_is_zeros(case, rng) -> None:
    lstm, data = network(case, rng), problem(case, rng)
    zeros = (np.zeros_like(data.state[0]), np.zeros_like(data.state[1]))
    given = seeded_run(lstm, data._replace(state=zeros))
    assert_same(seeded_run(lstm, data._replace(state=None)), given, "state not given")


@every_regime
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_copies_of_the_network(case, training, rng) -> None:
    lstm, data = network(case, rng), problem(case, rng)
    lstm.train(training)
    expected = seeded_run(lstm, data)
    copies = {f"protocol {p}": pickle.loads(pickle.dumps(lstm, p)) for p in range(2, 6)}
    copies["deepcopy"] = copy.deepcopy(lstm)
    for what, other in copies.items():
        assert_same(seeded_run(other, data), expected, what)


# A row alone against the same row in a batch. Sizes of the batch around every remainder of the
# row tile, some large enough to be shared between threads by rows, others by units.
BATCHES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 25, 31, 47, 64, 70)
ROW_CASES = {
    "small": {"T": 9, "I": 5, "H": 7},
    "odd": {"T": 9, "I": 33, "H": 17, "D": 2, "L": 2},
    "rows shared": {"T": 12, "I": 64, "H": 64},
    "units shared": {"T": 5, "I": 128, "H": 300},
    "wide input": {"T": 5, "I": 300, "H": 65},
    "projected": {"T": 7, "I": 65, "H": 128, "proj": 64, "L": 2},
    "long": {"T": 150, "I": 16, "H": 33},
}

every_row_case = pytest.mark.parametrize(
    "sizes",
    [
        pytest.param(sizes | {"dtype": dtype}, id=f"{name}-{dtype}")
        for name, sizes in ROW_CASES.items()
        for dtype in DTYPES
    ],
)


def rows(data: Problem, first: int, stop: int) -> Problem:
    """Cut rows first..stop out of a problem, as contiguous arrays of their own."""
    x, (h, c), d_output, (d_h, d_c) = data
    x, h, c, d_output, d_h, d_c = (
        np.ascontiguousarray(array[:, first:stop]) for array in (x, h, c, d_output, d_h, d_c)
    )
    return Problem(x, (h, c), d_output, (d_h, d_c))


def by_row(results: Results) -> Results:
    """Leave out the only gradient that is a sum over rows."""
    return results._replace(d_parameters=NO_SUM)


@every_row_case
def test_row_alone_or_in_a_batch(sizes, rng) -> None:
    most = max(BATCHES)
    case = Case(N=most, **sizes)
    lstm, data = network(case, rng), problem(case, rng)
    alone = [run(lstm, *rows(data, n, n + 1))[:-1] for n in range(most)]
    together = [np.concatenate(parts, axis=1) for parts in zip(*alone, strict=True)]
    for batch in BATCHES:
        first = int(rng.integers(most - batch + 1))
        got = by_row(run(lstm, *rows(data, first, first + batch)))
        expected = Results(*(array[:, first : first + batch] for array in together), NO_SUM)
        assert_same(got, expected, f"batch of {batch} from row {first}")


@every_rounding
@pytest.mark.parametrize("sizes", ROW_CASES.values(), ids=ROW_CASES)
def test_row_alone_or_in_a_batch_of_rounded_weights(sizes, rounding, rng) -> None:
    most = max(BATCHES)
    case = Case(N=most, **sizes)
    lstm, data = rounded(network(case, rng), rounding), problem(case, rng)
    alone = [inference(lstm, rows(data, n, n + 1))[:3] for n in range(most)]
    together = [np.concatenate(parts, axis=1) for parts in zip(*alone, strict=True)]
    for batch in BATCHES:
        first = int(rng.integers(most - batch + 1))
        got = inference(lstm, rows(data, first, first + batch))
        expected = (array[:, first : first + batch] for array in together)
        assert_same(got, Results(*expected, *[NO_SUM] * 4), f"batch of {batch} from row {first}")


@every_row_case
def test_row_alone_or_in_a_ragged_batch(sizes, rng) -> None:
    for batch in (2, 5, 9, 16, 33):
        case = Case(N=batch, **sizes)
        lstm, data = network(case, rng), problem(case, rng)
        lengths = ragged_lengths(case, rng, shortest=0)
        got = run(lstm, *data, lengths=lengths)
        for n, length in enumerate(lengths):
            if length == 0:
                continue
            single = rows(data, n, n + 1)
            single = single._replace(x=single.x[:length], d_output=single.d_output[:length])
            alone = by_row(run(lstm, *single))
            live = [got.output[:length], *got[1:3], got.d_input[:length], *got[4:6]]
            part = Results(*(array[:, n : n + 1] for array in live), NO_SUM)
            assert_same(part, alone, f"row {n} of {batch}, {length} steps")

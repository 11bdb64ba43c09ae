"""``resets=``: rows that begin anew within a call, against episodes called one by one.

Owns what a reset does to values, bits and gradients (``test_gradcheck.py`` has the differences), in
every layout and however work is dealt out, and its errors.
"""

import itertools
import re

import numpy as np
import pytest

import lstm_native
import reference
from builders import (
    Array,
    Case,
    Problem,
    bits,
    differing,
    network,
    problem,
    ragged_lengths,
    run,
)
from lstm_native import LSTM, _core

DTYPES = ("float32", "float64")
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}

# As in ``test_bits.py`` each stands for a regime of the plan.
REGIMES = {
    "tiny": Case(T=7, N=5, H=4, L=2, D=2),
    "many rows": Case(T=20, N=70, I=64, H=96),
    "many units": Case(T=16, N=4, I=64, H=300),
    "one row": Case(T=400, N=1, I=32, H=130, D=2),
    "projected": Case(T=16, N=25, I=65, H=130, proj=67, L=2),
    "stacked, one way": Case(T=33, N=9, I=9, H=40, L=4, proj=12),
    "dropout": Case(T=12, N=9, I=17, H=33, L=3, D=2, dropout=0.4),
    "float64": Case(T=21, N=13, I=9, H=37, L=2, D=2, dtype="float64"),
    "segments": Case(T=90, N=11, H=20, L=2, D=2),
}
every_regime = pytest.mark.parametrize("case", REGIMES.values(), ids=REGIMES)


def some(case: Case, rng: np.random.Generator, share: float = 0.3) -> Array:
    return rng.random((case.T, case.N)) < share


def seeded_run(lstm: LSTM, data: Problem, **options):
    lstm_native.manual_seed(11)
    return run(lstm, *data, **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["dense", "batch first", "lengths", "packed"])
@pytest.mark.parametrize("layers", [1, 2])
def test_against_the_reference(
    layers: int, kind: str, dtype: str, rng: np.random.Generator
) -> None:
    for directions, proj, batch in itertools.product((1, 2), (0, 6), (1, 4, 19)):
        case = Case(9, batch, 3, 17, layers, directions, proj, dtype=dtype)
        lstm, data, resets = network(case, rng), problem(case, rng), some(case, rng)
        lstm.batch_first = kind == "batch first"
        lengths = ragged_lengths(case, rng, 1) if kind in ("lengths", "packed") else None
        got = run(lstm, *data, lengths=lengths, packed=kind == "packed", resets=resets)
        truth = reference.forward(
            lstm.state_dict(), data.x, *data.state, lengths=lengths, resets=resets
        )
        grads = reference.backward(truth, data.d_output, *data.d_state)
        flat = np.concatenate([value.ravel() for value in grads.parameters.values()])
        expected = (truth.output, truth.h_n, truth.c_n, *grads[:3], flat)
        for name, a, b in zip(got._fields, got, expected, strict=True):
            error = np.abs(a - b).max() / np.abs(b).max(initial=1e-3)
            assert error < TOLERANCE[dtype], (str(case), name, error)


def episodes(resets: Array, length: int) -> list[tuple[int, int]]:
    """Cut the steps of one row at its resets."""
    borders = [0, *(t for t in range(1, length) if resets[t]), length]
    return list(itertools.pairwise(borders))


@pytest.mark.parametrize("ragged", [False, True], ids=["dense", "ragged"])
@pytest.mark.parametrize(
    "case", [c for c in REGIMES.values() if not c.dropout and c.N < 70], ids=str
)
def test_the_bits_are_those_of_episodes_called_alone(case, ragged, rng) -> None:
    lstm, data, resets = network(case, rng), problem(case, rng), some(case, rng, 0.2)
    resets[0, 0] = True
    lengths = ragged_lengths(case, rng, 1) if ragged else np.full(case.N, case.T)
    together = run(lstm, *data, lengths=lengths if ragged else None, resets=resets)
    forward, reverse = slice(0, None, case.D), slice(1, None, 2) if case.D == 2 else slice(0, 0)
    for n, length in list(enumerate(lengths))[:7]:
        row = slice(n, n + 1)
        parts = episodes(resets[:, n], length)
        for begin, end in parts:
            first, last = begin == 0, end == length
            state, d_state = [], []
            for given, d_given in zip(data.state, data.d_state, strict=True):
                state.append(np.zeros_like(given[:, row]))
                d_state.append(np.zeros_like(given[:, row]))
                if first:
                    state[-1][forward] = 0 if resets[0, n] else given[forward, row]
                    d_state[-1][reverse] = d_given[reverse, row]
                if last:
                    state[-1][reverse] = given[reverse, row]
                    d_state[-1][forward] = d_given[forward, row]
            d_output = data.d_output[begin:end, row]
            alone = run(lstm, data.x[begin:end, row], tuple(state), d_output, tuple(d_state))
            where = f"row {n}, steps {begin} to {end}"
            assert bits(alone.output) == bits(together.output[begin:end, row]), where
            assert bits(alone.d_input) == bits(together.d_input[begin:end, row]), where
            for a, b in zip(alone[1:3], together[1:3], strict=True):
                assert not last or bits(a[forward]) == bits(b[forward, row]), where
                assert not first or bits(a[reverse]) == bits(b[reverse, row]), where
            for a, b in zip(alone[4:6], together[4:6], strict=True):
                if first and resets[0, n]:
                    assert not b[forward, row].any()
                elif first:
                    assert bits(a[forward]) == bits(b[forward, row]), where
                assert not last or bits(a[reverse]) == bits(b[reverse, row]), where


@every_regime
def test_however_work_is_dealt_out(case, rng) -> None:
    lstm, data, resets = network(case, rng), problem(case, rng), some(case, rng)
    try:
        for lengths in (None, ragged_lengths(case, rng)):
            _core.force_dealing("alone")
            expected = seeded_run(lstm, data, lengths=lengths, resets=resets)
            dealings = ("rows", "units", "tail", "directions", "layers")
            for dealing, threads in itertools.product(dealings, (2, 3)):
                _core.force_dealing(dealing)
                lstm_native.set_num_threads(threads)
                for checkpoint in (None, 20):
                    got = seeded_run(
                        lstm, data, lengths=lengths, resets=resets, checkpoint=checkpoint
                    )
                    found = differing(got, expected)
                    assert not found, f"{dealing}, {threads} threads, {checkpoint}: {found}"
    finally:
        _core.force_dealing("any")


@every_regime
def test_a_call_gives_the_bits_of_record(case, rng) -> None:
    lstm, data, resets = network(case, rng), problem(case, rng), some(case, rng)
    recorded = seeded_run(lstm, data, resets=resets)
    for mode in (lstm.train, *(() if case.dropout else (lstm.eval,))):
        mode()
        lstm_native.manual_seed(11)
        output, state = lstm(data.x, data.state, resets=resets)
        for a, b in zip((output, *state), recorded[:3], strict=True):
            assert bits(a) == bits(b), mode.__name__


@every_regime
def test_a_mask_of_nothing_is_no_mask(case, rng) -> None:
    lstm, data, lengths = network(case, rng), problem(case, rng), ragged_lengths(case, rng)
    expected = seeded_run(lstm, data, lengths=lengths)
    past_the_end = np.arange(case.T)[:, None] >= lengths
    got = seeded_run(lstm, data, lengths=lengths, resets=past_the_end)
    assert not differing(got, expected)


def test_every_step_anew(rng) -> None:
    """Then each frame is a sequence of its own, and the initial state is not read."""
    case = Case(T=6, N=4, L=2, D=2)
    lstm, data = network(case, rng), problem(case, rng)
    got = run(lstm, *data, resets=np.ones((case.T, case.N), bool))
    frames, _ = lstm(data.x.reshape(1, -1, case.I))
    # The reverse direction still comes from the end, with the state it was given.
    assert bits(got.output[:-1]) == bits(frames.reshape(got.output.shape)[:-1])
    assert not got.d_h_0[::2].any()
    assert not got.d_c_0[::2].any()
    assert got.d_h_0[1::2].any()


def test_one_sequence(rng) -> None:
    lstm = LSTM(3, 5, batch_first=True)
    x = rng.standard_normal((6, 3)).astype(np.float32)
    resets = np.array([False, False, True, False, True, False])
    output, state = lstm(x, resets=resets)
    batched, batched_state = lstm(x[None], resets=resets[None])
    assert bits(output) == bits(batched)
    assert bits(state[1]) == bits(batched_state[1])
    assert bits(output[4:]) == bits(lstm(x[4:])[0])


@pytest.mark.parametrize("directions", [1, 2])
def test_against_torch(directions: int, torch, rng) -> None:
    case = Case(T=12, N=3, I=4, H=9, L=2, D=directions, dtype="float64")
    lstm, data, resets = network(case, rng), problem(case, rng), some(case, rng)
    got = run(lstm, data.x, None, data.d_output, resets=resets)
    other = torch.nn.LSTM(4, 9, 2, bidirectional=directions == 2, dtype=torch.float64)
    other.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in lstm.state_dict().items()})
    x = torch.from_numpy(data.x).requires_grad_()
    rows = []
    for n in range(case.N):
        parts = [other(x[a:b, n])[0] for a, b in episodes(resets[:, n], case.T)]
        rows.append(torch.cat(parts))
    output = torch.stack(rows, 1)
    output.backward(torch.from_numpy(data.d_output))
    np.testing.assert_allclose(got.output, output.detach().numpy(), atol=1e-14)
    np.testing.assert_allclose(got.d_input, x.grad.numpy(), rtol=1e-10, atol=1e-13)
    flat = torch.cat([p.grad.ravel() for p in other.parameters()]).numpy()
    np.testing.assert_allclose(got.d_parameters, flat, rtol=1e-10, atol=1e-12)


def test_a_list_of_bools_will_do() -> None:
    x = np.ones((2, 1, 3), np.float32)
    lstm = LSTM(3, 4)
    output, _ = lstm(x, resets=[[False], [True]])
    assert bits(output[0]) == bits(output[1])


@pytest.mark.parametrize(
    ("shape", "batch_first"), [((2, 4), False), ((4,), False), ((4, 2, 1), False), ((4, 2), True)]
)
def test_wrong_shapes(shape: tuple[int, ...], batch_first: bool) -> None:
    lstm = LSTM(3, 4, batch_first=batch_first)
    x = np.zeros((2, 4, 3) if batch_first else (4, 2, 3), np.float32)
    expected = "(2, 4)" if batch_first else "(4, 2)"
    text = f"resets: expected shape {expected}, got {shape}"
    with pytest.raises(ValueError, match=re.escape(text)):
        lstm(x, resets=np.zeros(shape, bool))


@pytest.mark.parametrize("dtype", ["int64", "float32", "uint8"])
def test_wrong_types(dtype: str) -> None:
    with pytest.raises(TypeError, match=f"resets should be of dtype bool, got {dtype}"):
        LSTM(3, 4).record(np.zeros((4, 2, 3), np.float32), resets=np.zeros((4, 2), dtype))


def test_packed_input(rng) -> None:
    lstm = LSTM(3, 4)
    x, resets = rng.standard_normal((4, 2, 3)).astype(np.float32), np.zeros((4, 2), bool)
    resets[1] = True
    x_packed, packed = (lstm_native.pack_padded_sequence(a, [4, 3]) for a in (x, resets))
    output, _ = lstm(x_packed, resets=packed)
    plain, _ = lstm(x_packed, resets=packed.data)
    assert bits(output.data) == bits(plain.data)
    with pytest.raises(ValueError, match="resets: batch_sizes differ"):
        lstm(x_packed, resets=lstm_native.pack_padded_sequence(resets, [4, 2]))
    with pytest.raises(ValueError, match=r"resets: expected shape \(7,\), got \(4, 2\)"):
        lstm(x_packed, resets=resets)


def test_the_core_checks_for_itself() -> None:
    x, y = np.zeros((4, 2, 3), np.float32), np.zeros((4, 2, 4), np.float32)
    state = np.zeros((1, 2, 4), np.float32)
    arguments = LSTM(3, 4)._weights(), x, y, state, state.copy(), None, None, None, 0.0, None
    with pytest.raises(ValueError, match="resets should have shape"):
        _core.forward(*arguments, np.zeros((2, 4), bool))
    with pytest.raises(TypeError, match="resets should have dtype bool"):
        _core.forward(*arguments, np.zeros((4, 2), np.uint8))
    with pytest.raises(ValueError, match="contiguous"):
        _core.forward(*arguments, np.zeros((2, 4), bool).T)

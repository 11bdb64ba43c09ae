"""Numbers that hurt, and the floating-point unit's state around a call."""

import ctypes
import sys
from collections.abc import Iterator

import numpy as np
import pytest

import lstm_native
from builders import Case, bits, network, problem, run
from machine import X86

UPWARD, OVERFLOWED = 0x800, 0x08  # of fenv.h on x86-64
CASES = [Case(T=7, N=9, I=6, H=20, L=2, D=2), Case(T=7, N=3, I=6, H=40, proj=8, dtype="float64")]


@pytest.fixture
def libm() -> Iterator[ctypes.CDLL]:
    try:
        lib = ctypes.CDLL("libm.so.6")
    except OSError:  # musl has all of it in the C library
        lib = ctypes.CDLL(None)
    yield lib
    lib.fesetround(0)
    lib.feclearexcept(0x3F)


@pytest.mark.skipif(sys.platform != "linux" or not X86, reason="has fenv.h of Linux on x86-64")
@pytest.mark.parametrize("case", CASES)
def test_rounding_and_flags_are_the_callers(case, rng, libm) -> None:
    """A caller who rounds upward gets our bits, and goes on rounding upward; no flag is raised."""
    lstm, data = network(case, rng), problem(case, rng)
    expected = [bits(part) for part in run(lstm, *data)]
    libm.feclearexcept(0x3F)
    libm.feraiseexcept(OVERFLOWED)
    assert libm.fesetround(UPWARD) == 0
    got = run(lstm, *data)
    rounding, flags = libm.fegetround(), libm.fetestexcept(0x3F)
    libm.fesetround(0)
    assert [bits(part) for part in got] == expected
    assert (rounding, flags & ~0x20) == (UPWARD, OVERFLOWED)  # NumPy's own copies are inexact


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("case", CASES)
def test_subnormal_inputs_are_zeros(case, threads, rng) -> None:
    """To the bit, in every thread: else each of them costs a hundred times an ordinary number."""
    lstm_native.set_num_threads(threads)
    lstm, data = network(case, rng), problem(case, rng)
    tiny = np.finfo(case.dtype).smallest_subnormal * 3
    small = run(lstm, np.full_like(data.x, tiny), data.state, data.d_output, data.d_state)
    zero = run(lstm, np.zeros_like(data.x), data.state, data.d_output, data.d_state)
    assert [bits(part) for part in small] == [bits(part) for part in zero]


@pytest.mark.parametrize("threads", [1, 2])
def test_subnormals_of_others_live_on(threads, rng) -> None:
    """Flushing ends with the call: NumPy computes with subnormal numbers afterwards."""
    lstm_native.set_num_threads(threads)
    case = CASES[0]
    run(network(case, rng), *problem(case, rng))
    tiny = np.full(64, np.finfo(np.float32).smallest_subnormal * 8)
    assert (tiny * np.float32(0.5) > 0).all()


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("case", [*CASES, Case(T=9, N=17, I=5, H=33, D=2)])
def test_a_poisoned_row_is_alone(case, poison, rng) -> None:
    """NaN and infinity in one row's input leave the bits of all other rows as they were."""
    lstm, data = network(case, rng), problem(case, rng)
    clean = run(lstm, *data)
    x = data.x.copy()
    x[3, 1, 2] = poison
    got = run(lstm, x, *data[1:])
    others = np.arange(case.N) != 1
    for name in ("output", "h_n", "c_n", "d_input", "d_h_0", "d_c_0"):
        assert bits(getattr(got, name)[:, others]) == bits(getattr(clean, name)[:, others]), name
    if case.L == 1:  # a layer above reads what the reverse direction made of it
        assert bits(got.output[:3, 1, : case.P]) == bits(clean.output[:3, 1, : case.P])
    if np.isnan(poison):
        assert np.isnan(got.output[3:, 1, : case.P]).all()


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("case", CASES)
def test_poison_gives_torchs_result(case, poison, rng) -> None:
    torch = pytest.importorskip("torch")
    lstm, data = network(case, rng), problem(case, rng)
    data.x[3, 1, 2] = poison
    data.state[1][0, 2, 4] = poison
    theirs = torch.nn.LSTM(
        case.I,
        case.H,
        case.L,
        bidirectional=case.D == 2,
        proj_size=case.proj,
        dtype=getattr(torch, case.dtype),
    )
    theirs.load_state_dict({k: torch.tensor(v) for k, v in lstm.state_dict().items()})
    x = torch.tensor(data.x, requires_grad=True)
    output, state = theirs(x, tuple(map(torch.tensor, data.state)))
    torch.autograd.backward(
        (output, *state), tuple(map(torch.tensor, (data.d_output, *data.d_state)))
    )
    got = run(lstm, *data)
    tolerance = 1e-5 if case.dtype == "float32" else 1e-12
    expected = (output, *state, x.grad)
    for name, other in zip(("output", "h_n", "c_n", "d_input"), expected, strict=True):
        np.testing.assert_allclose(
            getattr(got, name), other.detach().numpy(), rtol=0, atol=tolerance, err_msg=name
        )

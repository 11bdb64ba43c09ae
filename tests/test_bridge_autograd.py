"""The bridge into the autograd package: gradients through everything, and agreement with LSTM."""

import numpy as np
import pytest

import lstm_native
from builders import Case, network, problem

pytest.importorskip("autograd")

import autograd.numpy as anp
from autograd import grad, hessian, jacobian, make_jvp
from autograd.test_util import check_grads

from lstm_native.bridges.autograd import lstm

CASES = [
    Case(dtype="float64"),
    Case(dtype="float64", bias=False, L=2),
    Case(T=3, N=2, I=2, H=3, L=2, D=2, proj=2, dtype="float64"),
    Case(T=3, N=2, I=2, H=3, L=3, dtype="float64"),
]


def squares(results):
    """Give one number that depends on every element of output, h_n and c_n."""
    output, (h_n, c_n) = results
    return anp.sum(anp.sin(output)) + anp.sum(h_n**2) + anp.sum(anp.exp(c_n) * h_n[0, 0, 0])


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("ragged", [False, True])
def test_gradients_of_every_argument(case, ragged, rng) -> None:
    """Against central differences, with a head in the same dict."""
    params = dict(network(case, rng).state_dict())
    params["head"] = rng.standard_normal((case.D * case.P, 2))
    data = problem(case, rng)
    lengths = [case.T, *range(case.N - 1)] if ragged else None

    def loss(params, x, hx):
        output, state = lstm(params, x, hx, lengths)
        return squares((anp.tanh(output @ params["head"]), state))

    check_grads(loss, argnum=[0, 1, 2], modes=["rev"], order=1)(params, data.x, data.state)
    unbatched = tuple(s[:, 0] for s in data.state)
    if not ragged:
        check_grads(
            lambda *args: anp.sum(lstm(*args)[0] ** 2), argnum=[0, 1, 2], modes=["rev"], order=1
        )(params, data.x[:, 0], unbatched)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lengths", [None, [4, 0, 2]])
def test_bits_are_those_of_the_class(dtype, lengths, rng) -> None:
    case = Case(L=2, D=2, dtype=dtype)
    ours, data = network(case, rng), problem(case, rng)
    output, (h_n, c_n), tape = ours.record(data.x, data.state, lengths=lengths)
    expected = ours.backward(tape, data.d_output, data.d_state)

    def loss(params, x, hx):
        results = lstm(params, x, hx, lengths)
        values = [results[0], *results[1]]
        weights = [data.d_output, *data.d_state]
        return sum(anp.sum(v * w) for v, w in zip(values, weights, strict=True))

    params = ours.state_dict()
    got, (h, c) = lstm(params, data.x, data.state, lengths)
    for a, b in ((got, output), (h, h_n), (c, c_n)):
        np.testing.assert_array_equal(a, b)
    d_params, dx, (dh, dc) = grad(loss, argnum=(0, 1, 2))(params, data.x, data.state)
    named = ours.parameter_views(expected.parameters)
    assert list(d_params) == list(named)
    for a, b in (
        (dx, expected.input),
        (dh, expected.h_0),
        (dc, expected.c_0),
        *((d_params[name], named[name]) for name in named),
    ):
        assert a.dtype == dtype
        np.testing.assert_array_equal(a, b)


def test_same_bits_for_any_number_of_threads(rng) -> None:
    case = Case(T=12, N=9, I=24, H=64, L=2, D=2)
    params, data = network(case, rng).state_dict(), problem(case, rng)
    runs = []
    for threads in (1, 2, 4):
        lstm_native.set_num_threads(threads)
        runs.append(grad(lambda p: squares(lstm(p, data.x)))(params))
    for run in runs[1:]:
        for name in params:
            np.testing.assert_array_equal(run[name], runs[0][name])


def test_boxes_inside_a_plain_dict(rng) -> None:
    """Parameters that are computed: the gradient goes through what they are computed from."""
    case = Case(dtype="float64")
    params, data = network(case, rng).state_dict(), problem(case, rng)

    def loss(scale):
        return squares(lstm({name: scale * w for name, w in params.items()}, data.x))

    check_grads(loss, modes=["rev"], order=1)(0.7)


def test_jacobian_records_anew_for_each_row(rng) -> None:
    case = Case(T=2, N=1, I=2, H=2, dtype="float64")
    params, data = network(case, rng).state_dict(), problem(case, rng)
    got = jacobian(lambda x: lstm(params, x)[0])(data.x)
    assert got.shape == (2, 1, 2, 2, 1, 2)
    for index in np.ndindex(2, 1, 2):
        row = grad(lambda x, index=index: lstm(params, x)[0][index])(data.x)
        np.testing.assert_array_equal(got[index], row)


def test_training(rng) -> None:
    """A tagger whose head and loss are plain autograd.numpy."""
    case = Case(T=8, N=6, I=3, H=8)
    params = {**network(case, rng).state_dict(), "head": np.zeros((8, 1), np.float32)}
    x = problem(case, rng).x
    target = np.cumsum(x, 0)[..., :1]

    def loss(params):
        return anp.mean((lstm(params, x)[0] @ params["head"] - target) ** 2)

    first = loss(params)
    for _ in range(60):
        gradient = grad(loss)(params)
        params = {name: value - 0.2 * gradient[name] for name, value in params.items()}
    assert loss(params) < 0.5 * first


def test_second_derivatives_are_refused(rng) -> None:
    case = Case(T=2, N=1, dtype="float64")
    params, data = network(case, rng).state_dict(), problem(case, rng)
    with pytest.raises(NotImplementedError, match="differentiated once"):
        hessian(lambda x: squares(lstm(params, x)))(data.x)
    with pytest.raises(NotImplementedError):
        make_jvp(lambda x: lstm(params, x)[0])(data.x)(data.x)


def test_errors() -> None:
    params = lstm_native.LSTM(3, 4).state_dict()
    x = np.zeros((5, 2, 3), np.float32)
    with pytest.raises(ValueError, match="no LSTM under prefix"):
        lstm({}, x)
    with pytest.raises(ValueError, match="all float32 or all float64, got: float32, float64"):
        lstm({**params, "bias_ih_l0": np.zeros(16)}, x)
    with pytest.raises(ValueError, match="dtype"):
        lstm(params, x.astype(np.float64))
    with pytest.raises(RuntimeError, match="must be equal to input_size"):
        lstm(params, x[..., :2])
    with pytest.raises(TypeError, match="hx should be a tuple"):
        lstm(params, x, np.zeros((2, 1, 2, 4), np.float32))
    with pytest.raises(ValueError, match="lengths should be between"):
        lstm(params, x, lengths=[6, 1])
    with pytest.raises(TypeError, match="got PackedSequence"):
        lstm(params, lstm_native.pack_sequence([x[:, 0]]))

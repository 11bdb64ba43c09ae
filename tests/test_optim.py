"""Optimizers: torch's results over 100 steps and every option, in place, checked before any change.

The gradients of the parity test do not follow the parameters: near a minimum Adam's steps depend on
the signs of rounding errors, and would tell two right optimizers apart.
"""

from __future__ import annotations

import copy
import functools
import itertools
import math
import pickle
import re
import tracemalloc
from collections import namedtuple
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from lstm_native.checkpoints import load, save
from lstm_native.optim import SGD, Adam, AdamW, clip_grad_norm_

Array = NDArray[Any]
Kind = type[Any]
Options = dict[str, Any]

STEPS = 100
SHAPES = ((7,), (3, 4), (17_001,), ())  # the third takes more than two blocks


def every(kind: Kind, **choices: tuple[Any, ...]) -> list[tuple[Kind, Options]]:
    values = itertools.product(*choices.values())
    return [(kind, dict(zip(choices, chosen, strict=True))) for chosen in values]


ADAM: dict[str, tuple[Any, ...]] = {
    "betas": ((0.9, 0.999), (0.3, 0.5)),
    "eps": (1e-8, 1e-2),
    "weight_decay": (0.0, 0.1),
    "amsgrad": (False, True),
}
CASES = [
    *every(SGD, momentum=(0.0, 0.9), dampening=(0.0, 0.3), weight_decay=(0.0, 0.1)),
    *every(SGD, momentum=(0.9,), weight_decay=(0.0, 0.1), nesterov=(True,)),
    *every(Adam, **ADAM),
    *every(AdamW, **ADAM),
]


def normal(dtype: str, seed: int = 0) -> list[Array]:
    """One array of each shape; the first of them starts with a zero."""
    rng = np.random.default_rng(seed)
    arrays = [np.asarray(rng.standard_normal(shape), dtype) for shape in SHAPES]
    arrays[0][0] = 0
    return arrays


@functools.cache
def hundred(dtype: str) -> list[list[Array]]:
    """Gradients of a hundred steps; all different, since the same would round alike each time."""
    return [normal(dtype, seed) for seed in range(1, STEPS + 1)]


class TestParity:
    @pytest.mark.parametrize("maximize", [False, True])
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize(("kind", "options"), CASES)
    def test_a_hundred_steps(
        self, torch: ModuleType, kind: Any, options: Options, dtype: str, maximize: bool
    ) -> None:
        ours = normal(dtype)
        theirs = [torch.tensor(p) for p in ours]
        options = {**options, "lr": 0.01, "maximize": maximize}
        optimizer = kind(ours, **options)
        reference = getattr(torch.optim, kind.__name__)(theirs, **options)
        for step, gradients in enumerate(hundred(dtype)):
            if step == STEPS // 2:
                optimizer.lr = reference.param_groups[0]["lr"] = 0.003
            for p, g in zip(theirs, gradients, strict=True):
                p.grad = torch.tensor(g)
            optimizer.step(gradients)
            reference.step()
        for mine, other in zip(ours, theirs, strict=True):
            assert_allclose(mine, other.numpy(), rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
    def test_defaults(self, torch: ModuleType, kind: Kind) -> None:
        ours = kind(np.zeros(1))
        theirs = getattr(torch.optim, kind.__name__)([torch.zeros(1)]).param_groups[0]
        assert all(getattr(ours, name) == theirs[name] for name in ours._names)

    def test_a_missing_gradient_leaves_its_parameter_alone(self, torch: ModuleType) -> None:
        ours = normal("float64")
        theirs = [torch.tensor(p) for p in ours]
        optimizer, reference = Adam(ours), torch.optim.Adam(theirs)
        for step, arrays in enumerate(hundred("float64")[:10]):
            gradients = [g if (step + i) % 3 else None for i, g in enumerate(arrays)]
            for p, g in zip(theirs, gradients, strict=True):
                p.grad = None if g is None else torch.tensor(g)
            optimizer.step(gradients)
            reference.step()
        for mine, other in zip(ours, theirs, strict=True):
            assert_allclose(mine, other.numpy(), rtol=1e-12)


ALL = [
    (SGD, {"lr": 0.1}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "nesterov": True, "maximize": True}),
    (Adam, {"weight_decay": 0.1, "maximize": True}),
    (AdamW, {"amsgrad": True}),
]


@pytest.mark.parametrize(("kind", "options"), ALL)
class TestStep:
    def test_changes_the_very_array_and_no_gradient(self, kind: Kind, options: Options) -> None:
        p, g = np.ones(5), np.arange(5.0)
        optimizer = kind(p, **options)
        optimizer.step(g)
        assert optimizer.parameters[0] is p
        assert not (p[1:] == 1).any()
        assert_array_equal(g, np.arange(5.0))

    def test_any_memory_layout(self, kind: Kind, options: Options) -> None:
        values, gradient = np.random.default_rng(1).standard_normal((2, 150, 200))
        plain, base = values.copy(), np.zeros((300, 400))
        strided = base[::2, ::-2]
        strided[...] = values
        fortran = np.asfortranarray(values)
        gradient.flags.writeable = False
        every = [kind(p, **options) for p in (plain, strided, fortran)]
        for _ in range(3):
            for optimizer, g in zip(every, (gradient, gradient.T.copy().T, gradient), strict=True):
                optimizer.step(g)
        assert_array_equal(strided, plain)
        assert_array_equal(fortran, plain)
        assert not base[1::2].any()

    def test_allocates_nothing_as_large_as_its_array(self, kind: Kind, options: Options) -> None:
        p, g = np.ones(500_000), np.ones(500_000)
        optimizer = kind(p, **options)
        tracemalloc.start()
        optimizer.step(g)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 100_000

    def test_nan_and_infinity_go_their_way_in_silence(self, kind: Kind, options: Options) -> None:
        p = np.ones(3, np.float32)
        with np.errstate(all="raise"):
            kind(p, **options).step(np.array([np.nan, 3e38, 1.0], np.float32))
        assert np.isnan(p[0])
        assert np.isfinite(p[2])

    @pytest.mark.parametrize("suffix", ["npz", "safetensors"])
    def test_saved_and_loaded_it_goes_on_with_the_same_bits(
        self, kind: Kind, options: Options, suffix: str, tmp_path: Path
    ) -> None:
        first, gradients = normal("float32"), normal("float32", seed=1)
        optimizer = kind(first, **options)
        optimizer.step([*gradients[:-1], None])
        optimizer.lr = 0.0123
        save(tmp_path / f"optimizer.{suffix}", optimizer.state_dict())

        second = [p.copy() for p in first]
        other = kind(second)
        other.load_state_dict(load(tmp_path / f"optimizer.{suffix}"))
        assert repr(other) == repr(optimizer)
        for _ in range(3):
            optimizer.step(gradients)
            other.step(gradients)
        for mine, again in zip(first, second, strict=True):
            assert_array_equal(mine, again, strict=True)


class TestState:
    def test_is_a_copy_with_plain_names(self) -> None:
        p = np.ones(3)
        optimizer = Adam(p)
        optimizer.step(p.copy())
        state = optimizer.state_dict()
        assert list(state) == [*Adam._names, "0.step", "0.exp_avg", "0.exp_avg_sq"]
        kept = pickle.dumps(state)
        optimizer.step(p.copy())
        np.testing.assert_equal(state, pickle.loads(kept))

    @pytest.mark.parametrize(
        ("change", "error", "message"),
        [
            ({"lr": -1.0}, ValueError, "Invalid learning rate: -1.0"),
            ({"betas": np.array([0.9, 1.0])}, ValueError, "Invalid beta parameter at index 1: 1.0"),
            ({"lr": None}, ValueError, "'lr' is missing"),
            ({"0.exp_avg": None}, ValueError, "missing or unexpected: 0.exp_avg"),
            ({"1.step": 1}, ValueError, "missing or unexpected: 1.step"),
            ({"0.exp_avg": np.zeros(4)}, RuntimeError, "Expected state['0.exp_avg'] size (3,)"),
            ({"0.exp_avg": np.zeros(3, np.float32)}, ValueError, "dtype (float32) does not match"),
            ({"0.step": -1}, ValueError, "'0.step' should be a count, got -1"),
        ],
    )
    def test_what_does_not_fit_changes_nothing(
        self, change: Options, error: type[Exception], message: str
    ) -> None:
        p = np.ones(3)
        optimizer = Adam(p, lr=0.5)
        optimizer.step(np.ones(3))
        before = optimizer.state_dict()
        state = {**Adam(np.ones(3), lr=0.25).state_dict(), **change}
        state = {name: value for name, value in state.items() if value is not None}
        with pytest.raises(error, match=re.escape(message)):
            optimizer.load_state_dict(state)
        np.testing.assert_equal(optimizer.state_dict(), before)

    def test_hyperparameters_set_later(self) -> None:
        p = np.ones(3)
        optimizer = SGD(p, lr=0.1)
        optimizer.momentum, optimizer.lr = 0.9, np.float32(0.5)  # type: ignore[assignment]
        optimizer.step(np.ones(3))
        optimizer.step(np.ones(3))
        assert_allclose(p, 1 - 0.5 - 0.5 * 1.9)
        assert type(optimizer.lr) is float
        optimizer.lr = -1
        with pytest.raises(ValueError, match=r"^Invalid learning rate: -1$"):
            optimizer.step(np.ones(3))

    @pytest.mark.parametrize("make", [pickle.dumps, copy.copy, copy.deepcopy])
    def test_is_not_copied_apart_from_its_parameters(self, make: Any) -> None:
        p = np.ones(3)
        with pytest.raises(TypeError, match=r"^SGD cannot be pickled or copied.*state_dict"):
            make(SGD(p))


NESTEROV = "Nesterov momentum requires a momentum and zero dampening"


class TestMessages:
    P = np.ones(3)

    @pytest.mark.parametrize(
        ("kind", "options", "message"),
        [
            (SGD, {"lr": -1}, "Invalid learning rate: -1"),
            (SGD, {"lr": math.nan}, "Invalid learning rate: nan"),
            (SGD, {"lr": math.inf}, "Invalid learning rate: inf"),
            (SGD, {"momentum": -0.5}, "Invalid momentum value: -0.5"),
            (SGD, {"dampening": math.nan}, "Invalid dampening value: nan"),
            (SGD, {"weight_decay": -1}, "Invalid weight_decay value: -1"),
            (SGD, {"nesterov": True}, NESTEROV),
            (SGD, {"nesterov": 1, "momentum": 0.9, "dampening": 0.1}, NESTEROV),
            (Adam, {"lr": -1}, "Invalid learning rate: -1"),
            (Adam, {"eps": -1e-8}, "Invalid epsilon value: -1e-08"),
            (Adam, {"betas": (1.0, 0.9)}, "Invalid beta parameter at index 0: 1.0"),
            (AdamW, {"betas": (0.9, -0.1)}, "Invalid beta parameter at index 1: -0.1"),
            (AdamW, {"weight_decay": -0.1}, "Invalid weight_decay value: -0.1"),
        ],
    )
    def test_values(self, kind: Kind, options: Options, message: str) -> None:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            kind(self.P, **options)

    @pytest.mark.parametrize("wrong", [{"lr": "1"}, {"betas": 0.9}, {"betas": (0.9, None)}])
    def test_types(self, wrong: Options) -> None:
        with pytest.raises(TypeError, match=r" should be a (pair of )?number"):
            Adam(self.P, **wrong)

    @pytest.mark.parametrize(
        ("parameters", "error", "message"),
        [
            ([], ValueError, "optimizer got an empty parameter list"),
            (3, TypeError, "parameters should be an ndarray or an iterable of them, got int"),
            ([[1.0]], TypeError, "parameters[0] should be an ndarray, got list"),
            ([P, np.ones(3, np.int64)], TypeError, "parameters[1] should be float32 or float64"),
            ([P[:2], P[1:]], ValueError, "parameters[0] and parameters[1] share memory"),
        ],
    )
    def test_parameters(self, parameters: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=re.escape(message)):
            SGD(parameters)

    @pytest.mark.parametrize(
        ("gradients", "error", "message"),
        [
            (np.ones(3), TypeError, "gradients should be a list of ndarrays"),
            ([np.ones(3)], ValueError, "Expected 2 gradients, one per parameter"),
            ([np.ones(3), np.ones(3)], RuntimeError, "Expected gradients[1] size (2,), got [3]"),
            ([np.ones(3, "f4"), None], ValueError, "gradients[0] dtype (float32) does not match"),
            ([np.ones(3), [1.0, 2.0]], TypeError, "gradients[1] should be an ndarray, got list"),
        ],
    )
    def test_gradients(self, gradients: Any, error: type[Exception], message: str) -> None:
        first, second = np.ones(3), np.ones(2)
        with pytest.raises(error, match=re.escape(message)):
            SGD([first, second], lr=1.0).step(gradients)
        assert_array_equal(first, 1)

    def test_the_result_of_backward_is_not_the_gradient_itself(self) -> None:
        result = namedtuple("Gradients", "input parameters")(np.ones(3), np.ones(3))
        for call in (SGD(self.P).step, lambda g: clip_grad_norm_(g, 1.0)):
            with pytest.raises(TypeError, match=r"got Gradients: pass its \.parameters"):
                call(result)

    def test_read_only_parameters_name_train(self) -> None:
        first, second = np.ones(3), np.ones(3)
        optimizer = SGD([first, second], lr=1.0)
        second.flags.writeable = False
        message = r"^parameters\[1\] is read-only.*Call train\(\) before the step$"
        with pytest.raises(ValueError, match=message):
            optimizer.step([np.ones(3), np.ones(3)])
        assert_array_equal(first, 1)


class TestClipping:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("norm_type", [2.0, 1.0, 3.5, math.inf, "inf"])
    @pytest.mark.parametrize("max_norm", [0.0, 0.5, 1e4, math.inf])
    def test_parity(self, torch: ModuleType, max_norm: float, norm_type: Any, dtype: str) -> None:
        ours = normal(dtype)
        theirs = [torch.zeros_like(torch.tensor(p)) for p in ours]
        for tensor, p in zip(theirs, ours, strict=True):
            tensor.grad = torch.tensor(p)
        expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
        total = clip_grad_norm_([ours[0], None, *ours[1:]], max_norm, norm_type)
        assert type(total) is float
        assert_allclose(total, float(expected), rtol=2e-6)
        for mine, other in zip(ours, theirs, strict=True):
            assert_allclose(mine, other.grad.numpy(), rtol=2e-6)

    @given(exponent=st.integers(-300, 300), values=st.lists(st.floats(-1, 1), max_size=9))
    def test_no_power_overflows(self, exponent: int, values: list[float]) -> None:
        array = np.array(values) * 10.0**exponent
        expected = math.hypot(*array.tolist())
        assert_allclose(clip_grad_norm_(array, math.inf), expected, rtol=1e-12, atol=1e-320)

    def test_sums_in_float64(self) -> None:
        gradient = np.full(4_000_000, 0.1, np.float32)
        exact = float(np.float32(0.1)) * 2000
        assert abs(clip_grad_norm_(gradient, math.inf) / exact - 1) < 1e-13

    def test_strided_and_empty(self) -> None:
        base = np.ones((4, 6), np.float32)
        assert clip_grad_norm_(base[:, ::2], 1.0) == pytest.approx(12**0.5)
        assert_allclose(base[:, ::2], 12**-0.5, rtol=1e-6)
        assert_array_equal(base[:, 1::2], 1)
        assert clip_grad_norm_([], 1.0) == 0.0
        assert clip_grad_norm_(np.zeros((0, 3)), 1.0) == 0.0

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_what_is_not_finite(self, torch: ModuleType, bad: float) -> None:
        ours = np.array([bad, 1.0])
        with pytest.raises(RuntimeError, match=r"total norm of order 2\.0 for gradients is non"):
            clip_grad_norm_(ours, 1.0, error_if_nonfinite=True)
        assert_array_equal(ours, [bad, 1.0])
        theirs = torch.zeros(2, dtype=torch.float64)
        theirs.grad = torch.tensor(ours)
        expected = float(torch.nn.utils.clip_grad_norm_(theirs, 1.0))
        assert_array_equal(clip_grad_norm_(ours, 1.0), expected)
        assert_array_equal(ours, theirs.grad.numpy())

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ((np.ones(3), -1), ValueError, "Invalid max_norm: -1"),
            ((np.ones(3), math.nan), ValueError, "Invalid max_norm: nan"),
            ((np.ones(3), 1, 0), ValueError, "Invalid norm_type: 0"),
            ((np.ones(3, int), 1), TypeError, "gradients[0] should be float32 or float64"),
            (([[1.0]], 1), TypeError, "gradients[0] should be an ndarray, got list"),
            ((3, 1), TypeError, "gradients should be an ndarray or an iterable of them, got int"),
        ],
    )
    def test_messages(self, arguments: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=re.escape(message)):
            clip_grad_norm_(*arguments)

    def test_read_only(self) -> None:
        good, bad = np.full(3, 9.0), np.full(3, 9.0)
        bad.flags.writeable = False
        with pytest.raises(ValueError, match=r"^gradients\[1\] is read-only$"):
            clip_grad_norm_([good, bad], 1.0)
        assert_array_equal(good, 9)

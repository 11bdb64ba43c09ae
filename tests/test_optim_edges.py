"""Optimizers where steps are not all alike: options set between steps, memory that overlaps."""

from types import ModuleType

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided
from numpy.testing import assert_allclose, assert_array_equal

from lstm_native.optim import SGD


def test_momentum_set_later_begins_with_the_gradient(torch: ModuleType) -> None:
    p, tensor = np.array([1.0, 4.0]), torch.tensor([1.0, 4.0], dtype=torch.float64)
    optimizer = SGD(p, lr=0.1)
    theirs = torch.optim.SGD([tensor], lr=0.1)
    for step in range(4):
        gradient = np.array([1.0, 2.0]) * (step + 1)
        tensor.grad = torch.from_numpy(gradient.copy())
        optimizer.step(gradient)
        theirs.step()
        optimizer.momentum, optimizer.dampening = 0.9, 0.5
        theirs.param_groups[0].update(momentum=0.9, dampening=0.5)
    assert_allclose(p, tensor.numpy(), rtol=1e-12)


def test_a_gradient_that_overlaps_its_parameter() -> None:
    w = np.arange(20_000.0)
    before = w.copy()
    with pytest.raises(ValueError, match=r"^gradients\[0\] shares memory"):
        SGD(w[1:], lr=1.0).step(w[:-1])
    assert_array_equal(w, before)
    SGD(w, lr=0.5).step(w)
    assert_array_equal(w, before / 2)


def test_parameters_whose_overlap_is_hard_to_tell() -> None:
    """NumPy would search for a minute: the example is its own, of ``shares_memory``."""
    x = np.zeros(192163377, np.float32)  # mapped, never touched
    one = as_strided(x, (1049,) * 3, [4 * n for n in (36674, 61119, 85569)])
    other = as_strided(x[64023025:], (1049, 1049, 1), [4 * n for n in (12223, 12224, 1)])
    with pytest.raises(ValueError, match="share memory"):
        SGD([one, other])

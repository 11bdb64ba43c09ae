r"""
Changing a gate
===============

The equations of this library stand in one place, so another cell is a small change. This page
couples two gates, first in NumPy, where the new derivative is checked, then in C++.

The idea (Greff et al. 2015 call it CIFG): a cell forgets exactly as much as it takes in,

.. math::

   i = 1 - f, \qquad c_t = f \odot c_{t-1} + (1 - f) \odot g

so *c* is a running mean of the candidates *g* and never leaves the range -1 to 1.
"""

import matplotlib.pyplot as plt
import numpy as np

from lstm_native import LSTM, manual_seed

manual_seed(0)
rng = np.random.default_rng(0)
H = 6


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


# %%
# In NumPy
# --------
# ``advance`` loses a sigmoid. ``z_i`` is still there, and nobody reads it.


def advance(z, c):
    _, z_f, z_g, z_o = np.split(z, 4, axis=-1)
    f, g, o = sigmoid(z_f), np.tanh(z_g), sigmoid(z_o)
    i = 1 - f
    c = f * c + i * g
    return o * np.tanh(c), c, (i, f, g, o)


# %%
# In ``pullback`` the derivative of :math:`c_t` by *f* is now :math:`c_{t-1} - g`, since a larger
# *f* keeps more of *c* and takes less of *g*. The input gate has no *z* of its own, so its gradient
# is zero.


def pullback(gates, c, c_prev, dh, dc):
    i, f, g, o = gates
    tanh_c = np.tanh(c)
    dc = dc + dh * o * (1 - tanh_c**2)
    dz_f = dc * (c_prev - g) * f * (1 - f)
    dz_g = dc * i * (1 - g**2)
    dz_o = dh * tanh_c * o * (1 - o)
    return np.concatenate([np.zeros_like(dz_f), dz_f, dz_g, dz_o], axis=-1), dc * f


# %%
# A new derivative is worth nothing until differences agree with it:

z, c_prev, dh, dc = rng.standard_normal(4 * H), *rng.standard_normal((3, H))
_, c, gates = advance(z, c_prev)
dz, dc_prev = pullback(gates, c, c_prev, dh, dc)


def loss(z, c_prev):
    h, c, _ = advance(z, c_prev)
    return h @ dh + c @ dc


def differences(f, at, step=1e-6):
    units = step * np.eye(len(at))
    return np.array([(f(at + unit) - f(at - unit)) / (2 * step) for unit in units])


print("d z     ", np.abs(differences(lambda z: loss(z, c_prev), z) - dz).max())
print("d c_prev", np.abs(differences(lambda c: loss(z, c), c_prev) - dc_prev).max())
assert np.allclose(differences(lambda z: loss(z, c_prev), z), dz, atol=1e-8)
assert np.allclose(differences(lambda c: loss(z, c), c_prev), dc_prev, atol=1e-8)

# %%
# What it does to *c* of one unit, with the same weights: an input that pushes for 200 steps, then
# one that pulls. The ordinary cell adds up until as much is lost in a step as comes in, at
# :math:`i g / (1 - f)`, here 49. The coupled one moves toward *g* and never leaves -1 to 1. Both
# take long, since they share *f*. But :math:`h = o \odot \tanh(c)`, and the tanh of the ordinary
# *c* is 1 after a few steps and shows nothing of the rest.

lstm = LSTM(1, 1, dtype=np.float64)
lstm.load_state_dict(
    {
        "weight_ih_l0": np.array([[2.0], [4.0], [3.0], [0.0]]),
        "weight_hh_l0": np.zeros((4, 1)),
        "bias_ih_l0": np.zeros(4),
        "bias_hh_l0": np.zeros(4),
    }
)
x = np.ones((240, 1))
x[200:] = -0.2
_, _, ordinary = lstm(x, return_cells=True)
c, coupled = np.zeros(1), []
for frame in x:
    _, c, _ = advance(frame @ lstm.weight_ih_l0.T, c)
    coupled.append(c)

i, f, g = sigmoid(2), sigmoid(4), np.tanh(3)
figure, axes = plt.subplots(2, 1, sharex=True, figsize=(8, 4.2))
for number, (name, values, limit) in enumerate(
    (
        ("ordinary", ordinary, i * g / (1 - f)),
        ("coupled, i = 1 - f", np.array(coupled), g),
    )
):
    reached = values[199, 0]
    print(f"{name}: {reached:.3f} after 200 steps, limit {limit:.3f}")
    assert 0.95 * limit < reached < limit
    axes[number].plot(values, color=f"C{number}")
    axes[number].axhline(limit, color="#8a8a8a", lw=0.8, ls=":")
    axes[number].axvline(199.5, color="#8a8a8a", lw=0.8)
    axes[number].set_title(f"c, {name}")
axes[1].set_xlabel("step")
plt.show()

# %%
# In C++
# ------
# The same two functions, the same two changes. This is all of it:
#
# .. literalinclude:: /learn/coupled.diff
#    :language: diff
#    :caption: docs/learn/coupled.diff
#
# Nothing else moves. The tile still computes four columns a unit, weights keep their names, the
# tape keeps four gates, and everything that is built on them (layers, directions, ragged batches,
# checkpoints, streams) has the new cell. The second half of it changes the NumPy LSTM of the tests
# in the same way, so that what you have to prove stands there already. In a clone of the sources:
#
# .. code-block:: sh
#
#    git apply docs/learn/coupled.diff
#    pip install scikit-build-core pybind11 eigency==5.0.1.1 cmake ninja
#    pip install --no-build-isolation -e '.[test]' -C build-dir=build/dev
#    pytest tests/test_reference.py tests/test_gradcheck.py
#
# ``nox -s other_gate`` does all of that, in a clone of its own. Tests that compare with torch fail,
# as they should.
#
# Where other changes go:
#
# - **Peepholes** (gates that see *c*): three weights a unit are new parameters. They need a name
#   in ``python/lstm_native/parameters.py`` and a place in ``PackedLayer`` and ``TransposedLayer``
#   (``cpp/kernel_api.hpp``), and ``advance`` and ``pullback`` are handed a packet of each. *i* and
#   *f* look at ``c_prev``, *o* at the new *c*, so it comes after it. In ``pullback`` *o* then adds
#   :math:`w_o \odot dz_o` to :math:`\delta`, and *i* and *f* add theirs to :math:`dc_{t-1}`. The
#   gradients of the new weights are sums of *dz* times *c* over all frames. They belong into
#   ``cpp/kernels/gradients.hpp``, whose ``GradientPass`` has *x*, *h* and *dz* but no *c* yet.
# - **Another activation**: ``cpp/kernels/activations.hpp``, with its largest error stated and
#   tried.
# - **Fewer gates**, as in a GRU, is another library: ``packets_per_panel`` is 4 throughout.
#
# ``CONTRIBUTING.md`` in the sources has the map.

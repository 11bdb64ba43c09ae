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

from lstm_native import LSTM

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
# What it does to *c*, with the same weights and a constant input that pushes: the ordinary cell
# adds up without a bound, the coupled one saturates.

lstm = LSTM(1, 1, dtype=np.float64)
lstm.load_state_dict(
    {
        "weight_ih_l0": np.array([[2.0], [4.0], [3.0], [0.0]]),
        "weight_hh_l0": np.zeros((4, 1)),
        "bias_ih_l0": np.zeros(4),
        "bias_hh_l0": np.zeros(4),
    }
)
x = np.ones((60, 1))
x[30:] = -0.2
_, _, ordinary = lstm(x, return_cells=True)
c, coupled = np.zeros(1), []
for frame in x:
    _, c, _ = advance(frame @ lstm.weight_ih_l0.T, c)
    coupled.append(c)

figure, axis = plt.subplots()
axis.plot(ordinary, label="ordinary")
axis.plot(coupled, label="coupled, i = 1 - f")
axis.plot(x, ":", color="#8a8a8a", label="x")
axis.set(xlabel="step", title="c of one unit")
axis.legend()

# %%
# In C++
# ------
# The same two functions, the same two changes. This is all of it:
#
# .. literalinclude:: /learn/coupled.diff
#    :language: diff
#    :caption: docs/learn/coupled.diff, to be applied with ``git apply``
#
# Nothing else moves. The tile still computes four columns a unit, weights keep their names, the
# tape keeps four gates, and everything that is built on them (layers, directions, ragged batches,
# checkpoints, streams) has the new cell. Then build it, and change ``scan`` and ``scan_backward``
# in ``tests/reference.py`` in the same way: what you have to prove stands in the tests already.
#
# .. code-block:: sh
#
#    pip install --no-build-isolation -e . -C build-dir=build/dev
#    pytest tests/test_reference.py tests/test_gradcheck.py
#
# Where other changes go:
#
# - **Peepholes** (gates that see *c*): ``advance`` has ``c_prev`` at hand; the three new weights a
#   unit are parameters, so they need a name in ``python/lstm_native/parameters.py`` and a place in
#   ``PackedLayer``, and their gradients are sums like those of the biases in
#   ``cpp/kernels/gradients.hpp``.
# - **Another activation**: ``cpp/kernels/activations.hpp``, with its largest error stated and
#   tried.
# - **Fewer gates**, as in a GRU, is another library: ``packets_per_panel`` is 4 throughout.
#
# ``CONTRIBUTING.md`` in the sources has the map.

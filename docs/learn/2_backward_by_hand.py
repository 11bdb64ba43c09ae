r"""
The backward pass by hand
=========================

Training asks how a loss *L* changes with every parameter. The backward pass answers by going
through the steps of :doc:`1_what_an_lstm_computes` from the last to the first. This page does it in
NumPy for one step, then for all of them, and compares with ``LSTM.backward``.

In what follows ``dv`` is the derivative of *L* by *v*.
"""

import matplotlib.pyplot as plt
import numpy as np

from lstm_native import LSTM, manual_seed

manual_seed(0)
rng = np.random.default_rng(0)
T, N, I, H = 5, 2, 3, 4
lstm = LSTM(I, H, dtype=np.float64)
w_ih, w_hh = lstm.weight_ih_l0, lstm.weight_hh_l0
bias = lstm.bias_ih_l0 + lstm.bias_hh_l0
x = rng.standard_normal((T, N, I))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def compare(what, ours, by_hand):
    """Print the largest difference, and stop the build if it is more than rounding."""
    difference = np.abs(ours - by_hand).max()
    print(f"{what}: largest difference {difference:.1e}")
    assert difference < 1e-13


# %%
# One step
# --------
# The forward pass keeps what its derivative needs: the gates and *c*. lstm_native calls that a
# :class:`~lstm_native.Tape`.


def forward(x, h, c):
    z = x @ w_ih.T + h @ w_hh.T + bias
    z_i, z_f, z_g, z_o = np.split(z, 4, axis=-1)
    gates = sigmoid(z_i), sigmoid(z_f), np.tanh(z_g), sigmoid(z_o)
    i, f, g, o = gates
    c_new = f * c + i * g
    return o * np.tanh(c_new), c_new, gates


# %%
# Now backwards. The loss asks something of :math:`h_t`, and later steps ask something of
# :math:`c_t`, too. What reaches :math:`c_t`, :math:`\delta`, is the sum of both ways, and from
# there every gate has its share. The derivatives of the two functions need nothing but their
# values: :math:`s (1 - s)` for a sigmoid of value *s*, and :math:`1 - t^2` for a tanh of value *t*.
#
# .. grid:: 12
#    :gutter: 3
#
#    .. grid-item::
#       :columns: 12 12 5 5
#
#       .. math::
#
#          \begin{align*}
#          \delta &= dc_t + dh_t \odot o \odot (1 - \tanh^2 c_t) \\
#          dz_i &= \delta \odot g \odot i \odot (1 - i) \\
#          dz_f &= \delta \odot c_{t-1} \odot f \odot (1 - f) \\
#          dz_g &= \delta \odot i \odot (1 - g^2) \\
#          dz_o &= dh_t \odot \tanh c_t \odot o \odot (1 - o) \\
#          dc_{t-1} &= \delta \odot f
#          \end{align*}
#
#       The last line is the heart of the LSTM. On its direct way back through time the gradient of
#       *c* is multiplied by *f* and by nothing else: where *f* is near 1 it does not vanish. What
#       goes round through *h* comes on top, inside :math:`\delta`: it is multiplied by *U* at each
#       step, and that may vanish or grow. :doc:`/_built/gallery/3_gradients_over_time` draws both.
#
#    .. grid-item::
#       :columns: 12 12 7 7
#
#       .. literalinclude:: /../cpp/kernels/cell.hpp
#          :language: cpp
#          :caption: cpp/kernels/cell.hpp
#          :start-at: EIGEN_STRONG_INLINE CellGradient<P> pullback
#          :end-at: return d;
#          :append: }


def pullback(gates, c, c_prev, dh, dc):
    i, f, g, o = gates
    tanh_c = np.tanh(c)
    dc = dc + dh * o * (1 - tanh_c**2)
    dz_i = dc * g * i * (1 - i)
    dz_f = dc * c_prev * f * (1 - f)
    dz_g = dc * i * (1 - g**2)
    dz_o = dh * tanh_c * o * (1 - o)
    return np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=-1), dc * f


# %%
# From *dz* everything else follows by the rules for a matrix product: *x* and *h* get
# :math:`dz\,W`, the weights the outer products :math:`dz^T x` and :math:`dz^T h`, and both biases
# *dz* itself. For one step, against lstm_native:

h_0, c_0 = rng.standard_normal((2, N, H))
dh, dc = rng.standard_normal((2, N, H))

h, c, gates = forward(x[0], h_0, c_0)
dz, dc_0 = pullback(gates, c, c_0, dh, dc)

_, _, tape = lstm.record(x[:1], (h_0[None], c_0[None]))
gradients = lstm.backward(tape, grad_state=(dh[None], dc[None]))
named = lstm.parameter_views(gradients.parameters)

compare("d x", gradients.input[0], dz @ w_ih)
compare("d h_0", gradients.h_0[0], dz @ w_hh)
compare("d c_0", gradients.c_0[0], dc_0)
compare("d weight_ih", named["weight_ih_l0"], dz.T @ x[0])
compare("d weight_hh", named["weight_hh_l0"], dz.T @ h_0)
compare("d bias_ih", named["bias_ih_l0"], dz.sum(axis=0))
compare("d bias_hh", named["bias_hh_l0"], dz.sum(axis=0))

# %%
# All steps
# ---------
# Only one thing runs from step to step: ``dh = dz @ w_hh``, beside ``dc``. All else can wait until
# every *dz* is known, and is then one large product over all frames rather than T small ones. The
# C++ is cut along this line: ``cpp/kernels/backward.hpp`` is the recurrence,
# ``cpp/kernels/gradients.hpp`` what may wait.

states = [(np.zeros((N, H)), np.zeros((N, H)))]
tape_by_hand = []
for frame in x:
    h, c, gates = forward(frame, *states[-1])
    tape_by_hand.append((gates, c, states[-1][1]))
    states.append((h, c))

dy = rng.standard_normal((T, N, H))  # what the loss asks of every output
dh, dc = np.zeros((N, H)), np.zeros((N, H))
dz = np.empty((T, N, 4 * H))
for t in reversed(range(T)):
    dz[t], dc = pullback(*tape_by_hand[t], dh + dy[t], dc)
    dh = dz[t] @ w_hh

h_before = np.array([h for h, _ in states[:-1]])
d_w_ih = np.einsum("tnz,tni->zi", dz, x)
d_w_hh = np.einsum("tnz,tnh->zh", dz, h_before)

_, _, tape = lstm.record(x)
print(tape)
gradients = lstm.backward(tape, dy)
named = lstm.parameter_views(gradients.parameters)
compare("d x", gradients.input, dz @ w_ih)
compare("d weight_ih", named["weight_ih_l0"], d_w_ih)
compare("d weight_hh", named["weight_hh_l0"], d_w_hh)
compare("d bias_ih", named["bias_ih_l0"], dz.sum(axis=(0, 1)))

# %%
# Is it right?
# ------------
# A derivative can be checked without knowing its formula: move one number a little and see what the
# loss does. The difference to the formula falls with the square of the step, until rounding takes
# over. ``tests/test_gradcheck.py`` does this for every kind of network.


def loss():
    return float((lstm(x)[0] * dy).sum())


steps = np.logspace(-1, -9, 33)
errors = []
for step in steps:
    before = w_hh[0, 0]
    w_hh[0, 0] = before + step
    above = loss()
    w_hh[0, 0] = before - step
    below = loss()
    w_hh[0, 0] = before
    errors.append(abs((above - below) / (2 * step) - named["weight_hh_l0"][0, 0]))
assert min(errors) < 1e-8

figure, axis = plt.subplots(figsize=(8, 3.2))
axis.loglog(steps, errors, "o-", ms=3, label="central difference")
axis.loglog(steps, errors[0] * (steps / steps[0]) ** 2, ":", color="#8a8a8a", label="step squared")
axis.loglog(steps, 1e-16 / steps, "--", color="#8a8a8a", lw=1, label="rounding over step")
axis.set(xlabel="step", ylabel="difference to backward", title="One weight, moved by a step")
axis.set_ylim(1e-14, 1)
axis.legend()
plt.show()

# %%
# Next: :doc:`3_changing_a_gate`. How to train with this: :doc:`/training`.

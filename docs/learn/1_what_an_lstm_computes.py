r"""
What an LSTM computes
=====================

An LSTM reads a sequence of vectors, one step after another, and keeps two vectors between steps:
*h*, which it shows to the outside, and *c*, which it keeps to itself. This page writes it in NumPy,
equation by equation, beside the lines of C++ that do the same in lstm_native, and compares the two
at every stage. At its end stands an LSTM of forty lines with layers, directions, a projection and
ragged batches.

One alphabet holds everywhere, here and in the sources:

- **T** steps, **N** rows of the batch
- **I** input features, **H** hidden units, **P** output features: H, or ``proj_size``
- *x* input, I numbers a step; *h* output state, P numbers; *c* cell state, H numbers
- *z* what goes into the gates; *i*, *f*, *g*, *o* the gates
"""

import matplotlib.pyplot as plt
import numpy as np

from lstm_native import LSTM, manual_seed

manual_seed(0)
rng = np.random.default_rng(0)
T, N, I, H = 6, 2, 3, 4

lstm = LSTM(I, H, dtype=np.float64)
x = rng.standard_normal((T, N, I))
output, (h_n, c_n) = lstm(x)
print(lstm, "gives", output.shape)

# %%
# One step
# --------
# A step turns *x* and the *h* of the step before into four vectors of H numbers each, by four
# linear maps. Each goes through a function that bends it into a bounded range:
#
# .. grid:: 1 1 2 2
#    :gutter: 3
#
#    .. grid-item::
#
#       .. math::
#
#          \begin{align*}
#          i &= \sigma(W_i x_t + U_i h_{t-1} + b_i) \\
#          f &= \sigma(W_f x_t + U_f h_{t-1} + b_f) \\
#          g &= \tanh(W_g x_t + U_g h_{t-1} + b_g) \\
#          o &= \sigma(W_o x_t + U_o h_{t-1} + b_o)
#          \end{align*}
#
#    .. grid-item::
#
#       - *i*, the input gate: how much of what is new goes in.
#       - *f*, the forget gate: how much of *c* stays.
#       - *g*, the candidate: what is new.
#       - *o*, the output gate: how much of *c* is shown.
#       - :math:`\sigma(z) = 1 / (1 + e^{-z})`, the sigmoid, lies between 0 and 1, tanh between -1
#         and 1.
#
# Then the state moves on. In C++ these lines work on packets, V units at once: 16 floats in a
# register of AVX-512. ``pmadd(a, b, c)`` is *ab + c*, rounded once where the CPU has fused
# multiply-add (AVX2 and AVX-512; plain x86-64 rounds twice). This is the only place in the library
# where the equations stand.
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
#          c_t &= f \odot c_{t-1} + i \odot g \\
#          h_t &= o \odot \tanh(c_t)
#          \end{align*}
#
#       :math:`\odot` multiplies element by element: no unit sees another one here. What was in *c*
#       is scaled and added to, never pushed through a matrix. That is why an LSTM remembers.
#
#    .. grid-item::
#       :columns: 12 12 7 7
#
#       .. literalinclude:: /../cpp/kernels/cell.hpp
#          :language: cpp
#          :caption: cpp/kernels/cell.hpp
#          :start-at: EIGEN_STRONG_INLINE CellStep<P> advance
#          :end-at: return step;
#          :append: }
#
# The same in NumPy, from the gates' inputs *z* on:


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def advance(z_i, z_f, z_g, z_o, c):
    i, f, g, o = sigmoid(z_i), sigmoid(z_f), np.tanh(z_g), sigmoid(z_o)
    c = f * c + i * g
    return o * np.tanh(c), c


# %%
# The parameters have torch's names and torch's shapes. ``weight_ih_l0`` holds the four *W*, one
# under another, in the order **i, f, g, o**; ``weight_hh_l0`` the four *U*. There are two biases
# where one would do, since cuDNN had two: only their sum counts, and their gradients are equal.

w_ih, w_hh = lstm.weight_ih_l0, lstm.weight_hh_l0
bias = lstm.bias_ih_l0 + lstm.bias_hh_l0
print("weight_ih_l0", w_ih.shape, "weight_hh_l0", w_hh.shape, "biases", bias.shape)

W_i, W_f, W_g, W_o = np.split(w_ih, 4)
U_i, U_f, U_g, U_o = np.split(w_hh, 4)
b_i, b_f, b_g, b_o = np.split(bias, 4)

h, c = np.zeros((N, H)), np.zeros((N, H))
h, c = advance(
    x[0] @ W_i.T + h @ U_i.T + b_i,
    x[0] @ W_f.T + h @ U_f.T + b_f,
    x[0] @ W_g.T + h @ U_g.T + b_g,
    x[0] @ W_o.T + h @ U_o.T + b_o,
    c,
)


def compare(what, ours, by_hand):
    """Print the largest difference, and stop the build if it is more than rounding."""
    difference = np.abs(ours - by_hand).max()
    print(f"{what}: largest difference {difference:.1e}")
    assert difference < 1e-14


compare("first step", output[0], h)

# %%
# Four gates are one product
# --------------------------
# Four maps of *x* and four of *h* are eight matrix products a step. Stacked they are one:
#
# .. math::
#
#    z = \begin{pmatrix} z_i \\ z_f \\ z_g \\ z_o \end{pmatrix}
#      = \begin{pmatrix} W_i & U_i \\ W_f & U_f \\ W_g & U_g \\ W_o & U_o \end{pmatrix}
#        \begin{pmatrix} x_t \\ h_{t-1} \end{pmatrix} + b

weights = np.concatenate([w_ih, w_hh], axis=1)  # (4H, I + H)
xh = np.concatenate([x[0], np.zeros((N, H))], axis=1)  # (N, I + H)
z = xh @ weights.T + bias  # (N, 4H)
again, _ = advance(*np.split(z, 4, axis=1), np.zeros((N, H)))
compare("one product", h, again)

# %%
# Nothing is computed twice this way, and *x* and *h* are read once for all gates. Here it is for
# the second row of the batch, at the last step: each number of *z* is a row of the weights times
# the column.

column = np.concatenate([x[-1, 1], output[-2, 1]])
z = weights @ column + bias

# sphinx_gallery_start_ignore
figure, axes = plt.subplots(
    1, 5, figsize=(8, 4.4), width_ratios=[7, 1, 1.6, 1, 1], gridspec_kw={"wspace": 0.1}
)
largest = np.abs(z).max()
axes[0].imshow(weights, vmin=-0.6, vmax=0.6, aspect="auto")
axes[0].set_title("weights, (4H, I + H)")
axes[0].axvline(I - 0.5, color="black", lw=1)
axes[0].set_xticks([1, I + (H - 1) / 2], ["W: for x", "U: for h"])
axes[0].set_yticks([H * gate + (H - 1) / 2 for gate in range(4)], list("ifgo"), fontsize=13)
for axis in (axes[0], axes[3], axes[4]):
    for border in (1, 2, 3):
        axis.axhline(H * border - 0.5, color="black", lw=1)
axes[1].imshow(column[:, None], vmin=-largest, vmax=largest, aspect="auto")
axes[1].axhline(I - 0.5, color="black", lw=1)
axes[1].set_title("x, h")
axes[2].text(0.5, 0.5, "+ b =", ha="center", va="center", fontsize=15)
axes[3].imshow(z[:, None], vmin=-largest, vmax=largest, aspect="auto")
axes[3].set_title("z")
gates = np.concatenate([sigmoid(z[: 2 * H]), np.tanh(z[2 * H : 3 * H]), sigmoid(z[3 * H :])])
axes[4].imshow(gates[:, None], vmin=-1, vmax=1, aspect="auto")
axes[4].set_title("gates")
for axis in axes[1:]:
    axis.set_xticks([])
    axis.set_yticks([])
axes[2].set_axis_off()
for axis in (*axes[:2], *axes[3:]):
    axis.spines[:].set_visible(True)
    axis.tick_params(length=0)
# sphinx_gallery_end_ignore

# %%
# The C++ goes a step further. It does not keep the rows in the order i, f, g, o but packs them
# once: V units of gate i, the same V units of f, of g and of o, then the next V units. The four
# numbers that a unit needs come out of the loop side by side, in registers, where the cell takes
# them at once. Inference never writes a gate to memory.

V = 2  # of this picture; 4, 8 or 16 floats in truth
order = np.arange(4 * H).reshape(4, H // V, V).transpose(1, 0, 2).ravel()
# sphinx_gallery_start_ignore
figure, axes = plt.subplots(1, 2, figsize=(8, 3.6))
colours = plt.matplotlib.colors.ListedColormap(["#0072B2", "#D55E00", "#009E73", "#CC79A7"])
for axis, rows, title in zip(
    axes, (np.arange(4 * H), order), ("as torch stores them", "as the tile reads them"), strict=True
):
    axis.imshow((rows // H)[:, None].repeat(I + H, 1), cmap=colours, alpha=0.75, aspect="auto")
    for place, row in enumerate(rows):
        axis.text(
            (I + H - 1) / 2,
            place,
            f"{'ifgo'[row // H]} of unit {row % H}",
            ha="center",
            va="center",
            color="white",
            fontsize=9,
        )
    for border in range(4 * V, 4 * H, 4 * V):
        if rows is order:
            axis.axhline(border - 0.5, color="black", lw=2)
    axis.set_title(title)
    axis.set_axis_off()
# sphinx_gallery_end_ignore

# %%
# .. literalinclude:: /../cpp/kernels/gates.hpp
#    :language: cpp
#    :caption: cpp/kernels/gates.hpp: z = b + W x, then + U h
#    :start-at: EIGEN_STRONG_INLINE void input_gates
#    :end-before: }  // namespace
#
# and the loop that all of it comes down to, ``accumulate``: R rows of the batch and B blocks of
# units at a time. It is every product of this library, forward and backward.
#
# .. literalinclude:: /../cpp/kernels/tile.hpp
#    :language: cpp
#    :caption: cpp/kernels/tile.hpp
#    :start-at: EIGEN_STRONG_INLINE void accumulate
#    :end-before: };
#
# Each number of *z* has one sum, and *k* goes up through the features of *x* and then those of *h*,
# whatever R and B are. That is why results are :doc:`the same bits </reproducibility>` for any
# number of threads and any batch. :doc:`4_how_it_is_fast` has the rest of that story.
#
# All steps
# ---------
# A sequence is a loop, and *h* of one step is the input of the next. Nothing can be computed ahead
# but ``W x``, which is known for all steps from the start:


def scan(x, w_ih, w_hh, bias, h, c):
    """One layer, one direction: (T, N, I) to (T, N, H), and the state after the last step."""
    ahead = x @ w_ih.T + bias
    y = []
    for z in ahead:
        h, c = advance(*np.split(z + h @ w_hh.T, 4, axis=-1), c)
        y.append(h)
    return np.array(y), h, c


y, h, c = scan(x, w_ih, w_hh, bias, np.zeros((N, H)), np.zeros((N, H)))
compare("output", output, y)
compare("h_n", h_n[0], h)
compare("c_n", c_n[0], c)

# %%
# The gates over time, for the first row of a longer sequence: unit by unit, *f* says how long *c*
# keeps what it has.

longer = rng.standard_normal((60, 1, I))
_, _, cells = lstm(longer, return_cells=True)
kept = []
h, c = np.zeros((1, H)), np.zeros((1, H))
for frame in longer:
    z = frame @ w_ih.T + h @ w_hh.T + bias
    kept.append(sigmoid(z[0, H : 2 * H]))
    h, c = advance(*np.split(z, 4, axis=-1), c)
# sphinx_gallery_start_ignore
figure, (above, below) = plt.subplots(2, 1, figsize=(8, 3.4), sharex=True)
shown = above.imshow(np.array(kept).T, vmin=0, vmax=1, cmap="viridis", aspect="auto")
above.set(title="f, the forget gate of each unit", yticks=range(H), ylabel="unit")
figure.colorbar(shown, ax=above)
shown = below.imshow(cells[:, 0].T, vmin=-1, vmax=1, aspect="auto")
below.set(title="c", yticks=range(H), ylabel="unit", xlabel="step")
figure.colorbar(shown, ax=below)
# sphinx_gallery_end_ignore

# %%
# Both directions, layers, a projection
# -------------------------------------
# - The **reverse direction** is a second set of weights that reads the sequence from its end. Its
#   output stands beside that of the forward direction: D*H features.
# - A **layer** on top reads the output of the one below, and has an I of D*H.
# - A **projection** makes *h* smaller than *c*: :math:`h_t = W_{hr} (o \odot \tanh(c_t))` has P
#   numbers, and so have the columns of *U*.
# - In a **ragged batch** row n ends after ``lengths[n]`` steps: its state stays as it is, its
#   output is zero, and its reverse direction begins at its own end.
#
# That is the whole of it:


def network(parameters, x, lengths):
    """Every kind of LSTM: (T, N, I) to (T, N, D*P), h_n (L*D, N, P) and c_n (L*D, N, H)."""
    alive = np.arange(len(x))[:, None] < lengths
    h_n, c_n, layer = [], [], 0
    while f"weight_ih_l{layer}" in parameters:
        outputs = []
        for direction in ("", "_reverse"):
            names = [
                f"{kind}_l{layer}{direction}"
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
            ]
            if names[0] not in parameters:
                continue
            w_ih, w_hh, b_ih, b_hh, w_hr = map(parameters.get, names)
            h = np.zeros((x.shape[1], w_hh.shape[1]))
            c = np.zeros((x.shape[1], w_hh.shape[0] // 4))
            y = np.zeros((*x.shape[:2], h.shape[1]))
            steps = range(len(x))
            for t in reversed(steps) if direction else steps:
                rows = alive[t]
                z = x[t, rows] @ w_ih.T + b_ih + h[rows] @ w_hh.T + b_hh
                h_new, c[rows] = advance(*np.split(z, 4, axis=-1), c[rows])
                h[rows] = y[t, rows] = h_new if w_hr is None else h_new @ w_hr.T
            outputs.append(y)
            h_n.append(h)
            c_n.append(c)
        x, layer = np.concatenate(outputs, axis=-1), layer + 1
    return x, np.array(h_n), np.array(c_n)


lengths = [6, 2]
for options in (
    {},
    {"bidirectional": True},
    {"num_layers": 3},
    {"num_layers": 2, "bidirectional": True},
    {"proj_size": 2},
    {"num_layers": 2, "bidirectional": True, "proj_size": 3},
):
    lstm = LSTM(I, H, dtype=np.float64, **options)
    output, (h_n, c_n) = lstm(x, lengths=lengths)
    y, h, c = network(lstm.state_dict(), x, lengths)
    compare(f"{lstm}", output, y)
    compare("    h_n", h_n, h)
    compare("    c_n", c_n, c)
plt.show()

# %%
# ``tests/reference.py`` in the sources is this program with its derivative, a state to begin with,
# dropout and resets. Every release is held against it, and against torch.
#
# Next: :doc:`2_backward_by_hand`.

"""
What the gates of a trained network do
======================================

A network of two units learns to recall: it sees noise, now and then a mark with a number, and has
to say that number until the next mark. Afterwards its gates can be read.
"""

import matplotlib.pyplot as plt
import numpy as np

from lstm_native import LSTM, manual_seed, optim

manual_seed(0)
rng = np.random.default_rng(1)
H, STEPS = 2, 120


def draw(rows):
    """Noise and marks (T, N, 2), and the number to recall (T, N, 1)."""
    marks = rng.random((STEPS, rows)) < 0.03
    marks[0] = True
    numbers = rng.uniform(-1, 1, (STEPS, rows)).astype(np.float32)
    target = np.zeros((STEPS, rows, 1), np.float32)
    for t in range(STEPS):
        target[t, :, 0] = np.where(marks[t], numbers[t], target[t - 1, :, 0])
    return np.stack([marks, numbers], axis=-1).astype(np.float32), target


lstm = LSTM(2, H)
lstm.bias_ih_l0[H : 2 * H] = 3  # begin with open forget gates
weight, bias = np.zeros((1, H), np.float32), np.zeros(1, np.float32)
adam = optim.Adam([lstm.flat_parameters, weight, bias])
losses = []
for step in range(600):
    adam.lr = 0.03 * (1 - step / 600)
    x, target = draw(32)
    output, _, tape = lstm.record(x)
    missed = output @ weight.T + bias - target
    losses.append(float(np.mean(missed**2)))
    slope = 2 * missed / missed.size
    gradients = [
        lstm.backward(tape, slope @ weight).parameters,
        np.einsum("tnk,tnh->kh", slope, output),
        slope.sum((0, 1)),
    ]
    optim.clip_grad_norm_(gradients, 1.0)
    adam.step(gradients)
print(f"mean squared error {losses[0]:.3f} at first, {np.mean(losses[-20:]):.3f} at last")
assert np.mean(losses[-20:]) < 0.02

# %%
# Sequences that it has not seen, and its gates, computed from the output with the lines of
# :doc:`/_built/learn/1_what_an_lstm_computes`:

x, target = draw(32)
output, _, cells = lstm(x, return_cells=True)
before = np.concatenate([np.zeros((1, 32, H), np.float32), output[:-1]])
z = x @ lstm.weight_ih_l0.T + before @ lstm.weight_hh_l0.T + lstm.bias_ih_l0 + lstm.bias_hh_l0
i, f = 1 / (1 + np.exp(-z[..., :H])), 1 / (1 + np.exp(-z[..., H : 2 * H]))

marked = x[..., 0] > 0
moved = np.abs(np.diff(cells, axis=0)).mean(axis=-1)
for name, which in (("at a mark", marked), ("between", ~marked)):
    print(
        f"{name:9}  f {f[which].mean():.2f}  i {i[which].mean():.2f}  "
        f"c moves {moved[which[1:]].mean():.3f}"
    )
assert f[~marked].mean() > 0.9 > 0.5 > f[marked].mean()
assert i[marked].mean() > 2 * i[~marked].mean()
assert moved[marked[1:]].mean() > 4 * moved[~marked[1:]].mean()

# %%
# At a mark the forget gates close and the input gates open. In between they hold: *c* moves by a
# hundredth a step, and the two units together say the same number. Here is the sequence with the
# most marks:

row = marked.sum(axis=0).argmax()
marks = np.flatnonzero(marked[:, row])
figure, axes = plt.subplots(4, 1, figsize=(8.6, 6.6), sharex=True, height_ratios=[1.6, 1, 1, 1])
axes[0].plot(x[:, row, 1], ".", color="#b0b0b0", label="seen")
axes[0].plot(marks, x[marks, row, 1], "o", color="C1", label="marked")
axes[0].plot(target[:, row], color="C1", lw=1, label="to recall")
axes[0].plot((output @ weight.T + bias)[:, row], color="C0", label="said")
axes[0].legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.32))
for axis, values, title in zip(axes[1:], (f, i, cells), ("f", "i", "c"), strict=True):
    for unit in range(H):
        axis.plot(values[:, row, unit], color=f"C{unit + 2}", label=f"unit {unit}")
    for mark in marks:
        axis.axvline(mark, color="#b0b0b0", lw=0.8, ls=":")
    axis.set_ylabel(title, rotation=0, labelpad=12)
for axis in axes[1:3]:
    axis.set_ylim(-0.05, 1.05)
axes[1].legend(ncols=2, loc="lower right")
axes[3].set_xlabel("step")
plt.show()

# %%
# Two units have little choice. Twelve, begun with a bias of 1, recall as well with forget gates of
# about 0.6 between marks: what *c* loses at a step comes back through *h*. A gate that is not near
# 1 need not mean that something is forgotten.

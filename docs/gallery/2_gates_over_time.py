"""
What the gates of a trained network do
======================================

A network of 12 units learns to recall: it sees noise, now and then a mark with a number, and has to
say that number until the next mark. Afterwards its gates can be read.
"""

import matplotlib.pyplot as plt
import numpy as np

from lstm_native import LSTM, optim

rng = np.random.default_rng(1)
H = 12


def draw(steps, rows):
    """Noise and marks (T, N, 2), and the number to recall (T, N, 1)."""
    marks = rng.random((steps, rows)) < 0.08
    marks[0] = True
    numbers = rng.uniform(-1, 1, (steps, rows)).astype(np.float32)
    target = np.zeros((steps, rows, 1), np.float32)
    for t in range(steps):
        target[t, :, 0] = np.where(marks[t], numbers[t], target[t - 1, :, 0])
    return np.stack([marks, numbers], axis=-1).astype(np.float32), target


lstm = LSTM(2, H)
lstm.bias_ih_l0[H : 2 * H] = 1  # begin with open forget gates
weight, bias = np.zeros((1, H), np.float32), np.zeros(1, np.float32)
adam = optim.Adam([lstm.flat_parameters, weight, bias], lr=1e-2)
losses = []
for step in range(600):
    adam.lr = 1e-2 * (1 - step / 600)
    x, target = draw(60, 32)
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
assert np.mean(losses[-20:]) < 0.05

# %%
# One sequence that it has not seen, and its gates, computed from the output with the four lines of
# :doc:`/_built/learn/1_what_an_lstm_computes`. At every mark the forget gates close and the input
# gates open; in between they hold, and *c* stands still.

x, target = draw(60, 1)
output, _, cells = lstm(x, return_cells=True)
before = np.concatenate([np.zeros((1, H), np.float32), output[:-1, 0]])
z = x[:, 0] @ lstm.weight_ih_l0.T + before @ lstm.weight_hh_l0.T + lstm.bias_ih_l0 + lstm.bias_hh_l0
i, f, _, o = (1 / (1 + np.exp(-part)) for part in np.split(z, 4, axis=1))

figure, axes = plt.subplots(4, 1, figsize=(8.6, 6.2), sharex=True, height_ratios=[1.5, 1, 1, 1])
marks = np.flatnonzero(x[:, 0, 0])
axes[0].plot(x[:, 0, 1], ".", color="#b0b0b0", label="seen")
axes[0].plot(marks, x[marks, 0, 1], "o", color="C1", label="marked")
axes[0].plot(target[:, 0], color="C1", lw=1, label="to recall")
axes[0].plot((output @ weight.T + bias)[:, 0], color="C0", label="said")
axes[0].legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, 1.32))
largest = np.abs(cells).max()
for axis, values, title, scale in (
    (axes[1], f, "forget gates", (0, 1, "viridis")),
    (axes[2], i, "input gates", (0, 1, "viridis")),
    (axes[3], cells[:, 0], "c", (-largest, largest, "RdBu_r")),
):
    shown = axis.imshow(values.T, vmin=scale[0], vmax=scale[1], cmap=scale[2], aspect="auto")
    axis.set(title=title, yticks=[], ylabel="units")
    figure.colorbar(shown, ax=axis)
axes[3].set_xlabel("step")

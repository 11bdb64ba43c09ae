"""
Rows that begin anew
====================

In reinforcement learning a row of the batch holds one episode after another. ``resets`` says where
they begin: the state is set to zero there, inside the kernel, and no gradient crosses the border.
"""

import matplotlib.pyplot as plt
import numpy as np

from lstm_native import LSTM, manual_seed

manual_seed(0)
rng = np.random.default_rng(3)
T, N, H = 80, 6, 24
x = np.cumsum(rng.standard_normal((T, N, 3), np.float32), axis=0) / 4
resets = rng.random((T, N)) < 0.05

lstm = LSTM(3, H)
lstm.bias_ih_l0[H : 2 * H] = 3  # a long memory, so that the borders show
output, _, cells = lstm(x, resets=resets, return_cells=True)

# %%
# How far the last output of each row reaches back: the gradient stops where its episode began.

_, _, tape = lstm.record(x, resets=resets)
last = np.zeros_like(output)
last[-1] = 1
reach = np.linalg.norm(lstm.backward(tape, last).input, axis=-1)

figure, (above, below) = plt.subplots(2, 1, figsize=(8.6, 4.4), sharex=True)
shown = above.imshow(np.linalg.norm(cells, axis=-1).T, cmap="viridis", aspect="auto")
above.set(title="size of c", ylabel="row")
figure.colorbar(shown, ax=above)
with np.errstate(divide="ignore"):
    shown = below.imshow(np.log10(reach).T, cmap="magma", aspect="auto", vmin=-4)
below.set_facecolor("#dddddd")
below.set(
    title="log10 of the gradient of the last output; grey is none", ylabel="row", xlabel="step"
)
figure.colorbar(shown, ax=below)
for axis in (above, below):
    for row in range(N):
        axis.vlines(
            np.flatnonzero(resets[:, row]) - 0.5, row - 0.5, row + 0.5, color="white", lw=1.5
        )
plt.show()

for row in range(N):
    begins = max(np.flatnonzero(resets[:, row]), default=0)
    assert not reach[:begins, row].any()
    assert reach[begins:, row].all()

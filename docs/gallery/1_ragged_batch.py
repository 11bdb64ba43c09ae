"""
A ragged batch and its frames
=============================

Sequences have their own lengths. Padded, a batch is a rectangle, and whoever computes the rectangle
computes padding. Here nine sentences of made-up lengths: what is computed, and in what order.
"""

import matplotlib.pyplot as plt
import numpy as np

from lstm_native import LSTM, manual_seed, pack_padded_sequence

manual_seed(0)
lengths = np.array([7, 30, 12, 3, 18, 24, 5, 1, 10])
T, N = lengths.max(), len(lengths)
x = np.random.default_rng(0).standard_normal((T, N, 16), np.float32)

lstm = LSTM(16, 32, bidirectional=True).eval()
output, (h_n, c_n) = lstm(x, lengths=lengths)
assert not output[7:, 0].any()  # past its end a row is zero

# %%
# On the left the batch as it was given; grey is padding, which is never read. On the right what the
# kernels walk over: rows sorted by length inside, each step with as many rows as are alive, so that
# the live ones are always the first.

alive = np.arange(T)[:, None] < lengths
order = np.argsort(-lengths, kind="stable")
packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
assert (packed.batch_sizes == alive.sum(axis=1)).all()

figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.2))
size = np.where(alive, np.linalg.norm(output, axis=-1), np.nan)
for axis, rows, title in ((left, np.arange(N), "as given"), (right, order, "as computed")):
    axis.set_facecolor("#dddddd")
    axis.imshow(size[:, rows].T, cmap="viridis", aspect="auto", interpolation="none")
    axis.set(title=title, xlabel="step", yticks=range(N), yticklabels=[f"{n}" for n in rows])
left.set_ylabel("row of the batch")
plt.show()

# %%
# Of the rectangle this is

share = alive.sum() / alive.size
print(f"{alive.sum()} of {alive.size} frames, {share:.0%}")

# %%
# and that, about, is what the call costs: see the ragged rows of :doc:`/performance`. More on
# ragged batches: :doc:`/ragged`.

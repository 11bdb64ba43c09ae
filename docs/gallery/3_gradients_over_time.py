"""
Gradients over time
===================

How much does the last output depend on what was read long ago? The gradient says: it is multiplied
by the forget gate at every step on its way back (:doc:`/_built/learn/2_backward_by_hand`). Fresh
networks have forget gates near one half, so what is twenty steps away is a millionth. That is why
people add 1 or more to the bias of the forget gate before training (Gers et al. 2000, Jozefowicz et
al. 2015).
"""

import matplotlib.pyplot as plt
import numpy as np

from lstm_native import LSTM

T, N, I, H = 100, 64, 8, 64
x = np.random.default_rng(0).standard_normal((T, N, I), np.float32)

figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.6), width_ratios=[1.4, 1])
lstm = LSTM(I, H)
fresh = lstm.bias_ih_l0.copy()
for number, added in enumerate((0, 1, 2, 4)):
    lstm.bias_ih_l0 = fresh
    lstm.bias_ih_l0[H : 2 * H] += added
    output, _, tape = lstm.record(x)
    last = np.zeros_like(output)
    last[-1] = 1
    gradient = lstm.backward(tape, last).input
    sizes = np.linalg.norm(gradient, axis=-1).mean(axis=1)
    color = f"C{number}"
    left.semilogy(np.arange(T)[::-1], sizes / sizes[-1], color=color, label=f"bias + {added}")
    gate = 1 / (1 + np.exp(-(added + 0.25 * np.random.default_rng(1).standard_normal(2000))))
    right.hist(gate, bins=40, range=(0, 1), color=color, alpha=0.8)
left.set(xlabel="steps back", ylim=(1e-12, 2), title="gradient of the last output by the input")
left.legend()
right.set(xlabel="forget gate", yticks=[], title="the gates, roughly")

# %%
# The vertical axis has twelve powers of ten.

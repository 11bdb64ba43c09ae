"""
Gradients over time
===================

How much does the last output depend on what was read long ago? The gradient says. On its way back
through *c* it is multiplied by the forget gate at every step; what goes round through *h* and *U*
is added (:doc:`/_built/learn/2_backward_by_hand`). Fresh networks have forget gates near one half,
and forget. That is why people add 1 or more to the bias of the forget gate before training (Gers
et al. 2000, Jozefowicz et al. 2015).
"""

import matplotlib.pyplot as plt
import numpy as np

from lstm_native import LSTM, manual_seed

manual_seed(0)
T, N, I, H = 100, 64, 8, 64
x = np.random.default_rng(0).standard_normal((T, N, I), np.float32)

figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.8), width_ratios=[1.4, 1])
lstm = LSTM(I, H)
fresh = lstm.bias_ih_l0.copy()
forget = slice(H, 2 * H)
for number, added in enumerate((0, 1, 2, 4)):
    lstm.bias_ih_l0 = fresh
    lstm.bias_ih_l0[forget] += added
    output, _, tape = lstm.record(x)
    last = np.zeros_like(output)
    last[-1] = 1
    gradient = lstm.backward(tape, last).input
    sizes = np.linalg.norm(gradient, axis=-1).mean(axis=1)[::-1]
    sizes /= sizes[0]

    before = np.concatenate([np.zeros((1, N, H), np.float32), output[:-1]])
    z = x @ lstm.weight_ih_l0[forget].T + before @ lstm.weight_hh_l0[forget].T
    gate = 1 / (1 + np.exp(-(z + lstm.bias_ih_l0[forget] + lstm.bias_hh_l0[forget])))
    direct = np.cumprod(gate[::-1], axis=0).mean(axis=(1, 2))  # through c alone

    color = f"C{number}"
    left.semilogy(sizes, color=color, label=f"bias + {added}")
    left.semilogy(np.arange(1, T + 1), direct, ":", color=color, lw=1)
    right.hist(gate.ravel(), bins=80, range=(0, 1), density=True, color=color, alpha=0.8)
    print(
        f"bias + {added}: f {gate.mean():.2f} in the mean; "
        f"gradient 20 steps back {sizes[20]:.2g}, 90 back {sizes[90]:.2g}"
    )
left.set(xlabel="steps back", xlim=(0, T - 1), ylim=(1e-12, 30))
left.set_title("gradient of the last output by the input")
left.legend(loc="lower left")
right.set(xlabel="forget gate", yticks=[], title="the gates")
plt.show()

# %%
# Dotted is the product of the forget gates, the way through *c* alone. With gates half open most of
# the gradient goes round through *h*, which is multiplied by a matrix at each step, and vanishes.
# With gates near 1 little is lost on the way through *c*, and what goes round comes on top: at
# "bias + 4" the gradient is larger 90 steps back than at the last step. An LSTM does not keep
# gradients from exploding, and so one clips them: :doc:`/training`.

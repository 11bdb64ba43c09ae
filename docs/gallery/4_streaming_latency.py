"""
How long a step takes
=====================

A :class:`~lstm_native.Stream` is fed one frame at a time. What counts there is not the mean but the
slow steps. Ten thousand of them, on the machine that built this page and with whatever else it was
doing, so do not compare across builds; :doc:`/streaming` has figures from a quiet machine.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

from lstm_native import LSTM, isa

stream = LSTM(128, 128).eval().stream()  # the size of Silero VAD
frames = np.random.default_rng(0).standard_normal((1000, 128), np.float32)
out = np.empty(128, np.float32)

took = []
for _ in range(10):
    for frame in frames:
        start = time.perf_counter_ns()
        stream.step(frame, out)
        took.append((time.perf_counter_ns() - start) / 1e3)
took = np.array(took[1000:])

# %%
# The same network stepped by calls, which make a result and a state each time:

lstm = LSTM(128, 128).eval()
state, calls = None, []
for _ in range(10):
    for frame in frames:
        start = time.perf_counter_ns()
        _, state = lstm(frame[None], state)
        calls.append((time.perf_counter_ns() - start) / 1e3)
calls = np.array(calls[1000:])

figure, axis = plt.subplots()
bins = np.geomspace(took.min() * 0.9, np.quantile(calls, 0.998) * 1.5, 90)
for values, name in ((took, "stream.step"), (calls, "a call")):
    axis.hist(values, bins=bins, alpha=0.75, label=name)
for quantile in (0.5, 0.99):
    value = np.quantile(took, quantile)
    axis.axvline(value, color="black", lw=0.8, ls=":")
    axis.text(value, axis.get_ylim()[1], f" {quantile:.0%}", va="top", fontsize=8)
axis.set_xscale("log")
axis.set(xlabel="microseconds", yticks=[], title=f"one step of 128 units, {isa()}")
axis.xaxis.set_major_formatter("{x:g}")
axis.legend()

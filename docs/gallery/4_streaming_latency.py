"""
How long a step takes
=====================

A :class:`~lstm_native.Stream` is fed one frame at a time. What counts there is not the mean but the
slow steps, so this counts them: ten thousand steps, on the machine that built this page and with
whatever else it was doing. Do not compare across builds; :doc:`/streaming` has figures from a quiet
machine.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

from lstm_native import LSTM, isa, manual_seed

manual_seed(0)
WARM, COUNTED = 1_000, 10_000
lstm = LSTM(128, 128).eval()  # the size of Silero VAD
frames = np.random.default_rng(0).standard_normal((WARM + COUNTED, 128), np.float32)


def timed(step):
    """Microseconds of each step, from the fastest to the slowest."""
    took = []
    for frame in frames:
        start = time.perf_counter_ns()
        step(frame)
        took.append((time.perf_counter_ns() - start) / 1e3)
    return np.sort(took[WARM:])


stream, out = lstm.stream(), np.empty(128, np.float32)
stepped = timed(lambda frame: stream.step(frame, out))

# %%
# The same network stepped by calls, which make a result and a state each time:

state = None


def call(frame):
    global state
    _, state = lstm(frame[None], state)


called = timed(call)

# %%
# For each time the share of the steps that took longer, to the slowest of all. Steps of
# milliseconds are those in which another process had the core:

share = 1 - np.arange(COUNTED) / COUNTED
figure, axis = plt.subplots()
for values, name in ((stepped, "stream.step"), (called, "a call")):
    axis.step(values, share, where="post", label=f"{name}, the slowest {values[-1]:.0f} us")
    axis.plot(values[-1], share[-1], "o", ms=4, color=axis.lines[-1].get_color())
axis.set(xscale="log", yscale="log", title=f"one step of 128 units, {isa()}")
axis.set(xlabel="microseconds", ylabel="steps that took longer")
axis.xaxis.set_major_formatter("{x:g}")
first, last = stepped[0], max(stepped[-1], called[-1])
ticks = np.array([n * 10**power for power in range(-1, 6) for n in (1, 2, 5)])
axis.set_xticks(ticks[(ticks > 0.8 * first) & (ticks < 1.3 * last)])
axis.minorticks_off()
axis.set_yticks([1, 0.1, 0.01, 0.001, 0.0001], ["all", *(f"1 in {10**n:,}" for n in (1, 2, 3, 4))])
axis.legend()
plt.show()

for name, values in (("stream.step", stepped), ("a call", called)):
    half, most, nearly = np.quantile(values, (0.5, 0.99, 0.999))
    print(f"{name:11} median {half:.1f} us, 99 % below {most:.1f}, 99.9 % below {nearly:.1f}")

r"""
How it is fast
==============

Three things can limit an LSTM on a CPU: how many multiply-adds its cores do in a second, how fast
they read the weights, and, where a call is short, the call itself. This page shows which of them it
is for which network, how near lstm_native comes to it, and who computes what when there are two
cores. All figures are those of a committed run of the benchmark; :doc:`/performance` has its
tables, its method and what was tried. To run it yourself you need a clone of the sources: it
imports their folder ``bench``.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from bench import picture, report, targets

results = report.read(report.newest("avx512"))
forward = [row for row in results["rows"] if row["mode"] == "forward"]
machine = results["machine"]
print(machine["cpu"], machine["isa"], f"{machine['cores']} cores,", machine["date"][:10])

# %%
# The limits
# ----------
# A step multiplies all recurrent weights with *h*, and the next step cannot begin before. So the
# weights are read once a step. With many rows in the batch each weight that was read is used many
# times, and arithmetic is the limit: the flat roof on the right. With one row each is used once,
# and what counts is where the weights lie: in L1, L2, L3 or memory, the slanted lines.

figure, axes = plt.subplots(figsize=(8.6, 5.6))
picture.roofline(axes, [row for row in forward if row.get("limit")], machine["peaks"])
# sphinx_gallery_start_ignore
kinds = dict.fromkeys(row["shape"]["kind"] for row in forward)
handles = [Line2D([], [], marker="o", ls="", color=picture.COLOURS[kind]) for kind in kinds]
axes.legend(handles, kinds, loc="lower right", fontsize=8)
# sphinx_gallery_end_ignore

# %%
# Each point is a network of the benchmark, forward, at its better number of threads; the lines are
# the limits of two. Some of them, with the part that each reaches of the limit of as many threads
# as it took:

shown = ["guitar-24", "stepped-silero-vad", "one-512", "mid-32x512", "large-128x512"]
shown += ["ragged-32x256"]
for row in forward:
    if row["row"] in shown:
        best, reached = row["best"]["lstm_native"], row["limit"]["reached"]
        rate = row["flops"] / best["seconds"] / 1e9
        print(
            f"{row['row']:18} {report.sizes(row['shape']):26} on {best['threads']}: "
            f"{1e6 * best['seconds']:8.1f} us, {rate:3.0f} GF/s, {reached:.0%}"
        )
print(
    f"ahead of the best peer, geometric mean over {len(forward)} rows: {targets.mean(forward):.2f}"
)

# %%
# ``guitar-24`` is a call of one step on a network of 24 units. Reading its weights would take a
# twentieth of a microsecond: nearly all of its time is that of a call from Python.
#
# At mid and large batch nobody can be much faster than anybody else, and the figures say so. What
# is left to win lies elsewhere: in small calls, in frames that need not be computed, in the kinds
# of LSTM that others take apart into single operations.

kinds = {}
for row in forward:
    kinds.setdefault(row["shape"]["kind"], []).append(row)


def ahead_of(peer, rows):
    """The peer's time over ours, geometric mean; None if it cannot do these."""
    both = [row["best"] for row in rows if peer in row["best"]]
    ratios = [best[peer]["seconds"] / best["lstm_native"]["seconds"] for best in both]
    return np.exp(np.mean(np.log(ratios))) if ratios else None


# sphinx_gallery_start_ignore
names = {"torch": "torch", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
figure, axis = plt.subplots(figsize=(8, 3.4))
for number, (peer, name) in enumerate(names.items()):
    means = [(place, ahead_of(peer, rows)) for place, rows in enumerate(kinds.values())]
    places, heights = zip(*((p, mean - 1) for p, mean in means if mean), strict=True)
    at = np.array(places) + 0.27 * (number - 1)
    axis.bar(at, heights, 0.25, bottom=1, color=f"C{number}", label=name)
axis.axhline(1, color="black", lw=1)
axis.set_yscale("log")
axis.set_yticks([1, 2, 4, 8, 16, 32, 64], ["1", "2", "4", "8", "16", "32", "64"])
axis.minorticks_off()
axis.set_xticks(range(len(kinds)), [f"{kind}\n{len(rows)} rows" for kind, rows in kinds.items()])
axis.set_title("Time of a peer over ours, by the kind of row; no bar: cannot do it")
axis.legend()
# sphinx_gallery_end_ignore

# %%
# One row or many
# ---------------
# The product is one register tile (:doc:`1_what_an_lstm_computes`): R rows of the batch times some
# packets of units, whose sums stay in registers while *k* runs. With AVX-512 24 of the 32 registers
# hold sums: six rows times the four gates of one packet, or one row times those of six packets, so
# that no multiply-add waits for the one before it. What follows from the shape:
#
# - **No more rows than a tile has** (six with AVX-512, three with AVX2): ``W x`` of many coming
#   steps is computed at once, ahead of the recurrence. The tile is full, and the input weights are
#   read once for all those steps. Every other step the units are walked backwards, so that the
#   weights that were read last, and are still in cache, are read first.
# - **More rows**: *x* and *h* go through one loop, and *z* never leaves the registers.
# - **Ragged batches** have their rows sorted by length, and a step computes only those alive:
#   :doc:`/ragged`.
# - **Training** keeps gates and *c* on a tape. Backwards only ``dz U`` runs from step to step; the
#   gradients of the weights are sums over 256 frames at a time, at H = 1024 at 80 to 100 of the 117
#   GF/s of a core.
#
# Two cores
# ---------
# Threads divide outputs, never a sum. How, the cost model in ``cpp/plan.cpp`` decides for each call
# and each layer, from measured rates:
#
# .. literalinclude:: /../cpp/plan.cpp
#    :language: cpp
#    :caption: cpp/plan.cpp
#    :start-at: // Reading weights hides behind computing
#    :end-before: // Steps [0, until) of one direction
#
# There are six ways, here for two cores, blue and red. Time runs to the right; a white gap is a
# barrier, where one core waits for the other.

lengths = np.array([10, 10, 9, 8, 6, 5, 3, 2])  # of the ragged batch

# sphinx_gallery_start_ignore
BLUE, RED = "C0", "C1"
STEPS = 10


def paint(axis, x, y, width, height, colour):
    axis.add_patch(Rectangle((x, y), width, height, color=colour, lw=0))


def alone(axis):
    paint(axis, 0, 0, STEPS, 8, BLUE)
    return "a call too short to share", "rows"


def rows(axis):
    paint(axis, 0, 0, STEPS, 3.95, BLUE)
    paint(axis, 0, 4.05, STEPS, 3.95, RED)
    return "rows: no barrier, all weights read twice", "rows"


def units(axis):
    for step in range(STEPS):
        paint(axis, step, 0, 0.85, 3.95, BLUE)
        paint(axis, step, 4.05, 0.85, 3.95, RED)
    return "units: a barrier each step, half the weights", "units"


def tail(axis):
    cut = 6
    for row, length in enumerate(lengths):
        paint(axis, 0, row, min(length, cut), 0.92, BLUE if row % 2 else RED)
    for step in range(cut, STEPS):
        alive = (lengths > step).sum()
        paint(axis, step + 0.1, 0, 0.8, alive / 2 - 0.04, BLUE)
        paint(axis, step + 0.1, alive / 2, 0.8, alive / 2 - 0.04, RED)
    return "tail: rows while there are many, then units", "rows"


def directions(axis):
    paint(axis, 0, 0, STEPS, 3.9, BLUE)
    paint(axis, 0, 4.1, STEPS, 3.9, RED)
    for y, text in ((1.95, "forward"), (6.05, "reverse")):
        axis.text(STEPS / 2, y, text, color="white", ha="center", va="center")
    return "directions: one each", "direction"


def layers(axis):
    for chunk in range(5):
        paint(axis, 2 * chunk, 0, 1.85, 3.9, BLUE)
        paint(axis, 2 * chunk + 2, 4.1, 1.85, 3.9, RED)
    for y, text in ((1.95, "layer 0"), (6.05, "layer 1")):
        axis.text(STEPS / 2 + 1, y, text, color="white", ha="center", va="center")
    return "layers: each a chunk behind the one below", "layer"


figure, axes = plt.subplots(2, 3, figsize=(10, 4.8))
for axis, way in zip(axes.flat, (alone, rows, units, tail, directions, layers), strict=True):
    title, what = way(axis)
    axis.set_title(title, fontsize=8)
    axis.set(xlim=(0, 12.2), ylim=(8, 0), xticks=[], yticks=[], ylabel=what, xlabel="steps")
# sphinx_gallery_end_ignore
plt.show()

# %%
# Whichever is chosen, an output is one sum with *k* going up, so the choice cannot be seen in the
# results: :doc:`/reproducibility`. ``python -m bench`` runs the whole comparison on your machine,
# and ``lstm-native bench`` a single shape.

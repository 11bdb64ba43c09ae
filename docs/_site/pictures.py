"""The pictures of the front page, drawn from committed results while the site is built.

Owns what they show and their two versions, for light and dark pages. Takes its figures as they
stand in ``bench/results``.
"""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from sphinx.application import Sphinx

from _site.figures import NAMES
from _site.style import SETTINGS
from bench import report

# Row of the benchmark, mode, and what it is to a reader.
ROWS = (
    ("stepped-silero-vad", "forward", "one step of a stream\n128 units"),
    ("open-unmix", "forward", "one sequence\n3 layers of 256, both ways"),
    ("mid-32x256", "forward", "a batch of 32\n256 units"),
    ("large-256x1024", "forward", "a batch of 256\n1024 units"),
    ("ragged-32x256", "forward", "a ragged batch of 32\n256 units"),
    ("projection-16x1024", "forward", "1024 units, projected to 512"),
    ("float64-32x64-three-layers", "forward", "float64, 3 layers of 64"),
    ("one-512", "train", "training, one sequence"),
    ("ragged-32x256", "train", "training, a ragged batch"),
)
PEERS = ("torch", "onnxruntime", "openvino")
INK = {"light": "#22303c", "dark": "#e8edf2"}
FAINT = {"light": "#9aa5ae", "dark": "#6f7b86"}


def speed(results: dict[str, Any], theme: str) -> Figure:
    """Draw how many times as long a peer takes, for some rows."""
    rows = {(row["row"], row["mode"]): row for row in results["rows"]}
    figure = Figure(figsize=(10, 5.6), facecolor="none")
    axis = figure.add_subplot(facecolor="none")
    ink, place, labelled = INK[theme], 0.0, []
    for name, mode, label in ROWS:
        best = rows[name, mode]["best"]
        present = [peer for peer in PEERS if peer in best]
        labelled.append((place + (len(present) - 1) / 2, label))
        for peer in present:
            ratio = best[peer]["seconds"] / best["lstm_native"]["seconds"]
            colour = f"C{PEERS.index(peer)}"
            axis.barh(place, ratio - 1, 0.86, left=1, color=colour)
            text = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}"
            axis.annotate(
                text, (max(ratio, 1), place), (4, 0), textcoords="offset points",
                va="center", fontsize=9, color=ink,
            )  # fmt: skip
            place += 1
        place += 0.75
    axis.axvline(1, color=ink, lw=1.2)
    axis.set_xscale("log")
    axis.set_xlim(0.97, 30)
    axis.set_ylim(place - 0.9, -0.8)
    axis.set_xticks([1, 2, 4, 8, 16], ["as fast", "2 times as long", "4", "8", "16"])
    axis.minorticks_off()
    axis.set_yticks([at for at, _ in labelled], [label for _, label in labelled], fontsize=11)
    axis.tick_params(colors=ink, length=0, labelsize=10.5)
    axis.grid(axis="x", color=FAINT[theme], lw=0.5, alpha=0.5)
    axis.set_axisbelow(True)
    axis.spines[:].set_visible(False)
    peers = [NAMES[peer] for peer in PEERS]
    handles = [Patch(color=f"C{number}", label=name) for number, name in enumerate(peers)]
    axis.legend(handles=handles, loc="lower right", labelcolor=ink, frameon=False, fontsize=11)
    return figure


def draw(app: Sphinx) -> None:
    """Draw all pictures, light and dark, before pages are read."""
    folder = Path(app.srcdir) / "_built"
    folder.mkdir(exist_ok=True)
    results = report.read(report.newest("avx512"))
    with mpl.rc_context({**SETTINGS, "svg.hashsalt": "lstm_native"}):
        for theme in INK:
            figure = speed(results, theme)
            figure.savefig(folder / f"speed-{theme}.svg", transparent=True, metadata={"Date": None})


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx."""
    app.connect("builder-inited", draw, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

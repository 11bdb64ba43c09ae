"""The pictures of the front page, drawn from committed results while the site is built.

Owns what they show and their two versions, for light and dark pages. Takes its figures as they
stand in ``bench/results``.
"""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from sphinx.application import Sphinx

from _site.style import SETTINGS
from bench import report

RESULTS = Path(report.__file__).parent / "results"
SPEED = "2026-11-21-avx512.json"

# Row of the benchmark, mode, and what it is to a reader.
ROWS = (
    ("stepped-silero-vad", "forward", "streaming, one step of 128 units"),
    ("open-unmix", "forward", "one sequence, 3 layers of 256, both ways"),
    ("mid-32x256", "forward", "batch of 32, 256 units"),
    ("ragged-geometric-32x256", "forward", "ragged batch of 32, 256 units"),
    ("projection-16x1024", "forward", "projected from 1024 units to 512"),
    ("float64-32x64-three-layers", "forward", "float64, 3 layers of 64"),
    ("one-512", "train", "training, one sequence, 512 units"),
    ("ragged-32x256", "train", "training, ragged batch of 32"),
)
PEERS = {"torch": "torch", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
INK = {"light": "#22303c", "dark": "#e8edf2"}
FAINT = {"light": "#9aa5ae", "dark": "#6f7b86"}


def speed(results: dict[str, Any], theme: str) -> Figure:
    """Draw how many times as long a peer takes, for some rows."""
    rows = {(row["row"], row["mode"]): row for row in results["rows"]}
    figure = Figure(figsize=(9, 4.9), facecolor="none")
    axis = figure.add_subplot(facecolor="none")
    most = 0.0
    for place, (name, mode, label) in enumerate(ROWS):
        best = rows[name, mode]["best"]
        ours = best["lstm_native"]["seconds"]
        present = [peer for peer in PEERS if peer in best]
        axis.text(1.0, place - 0.38, f"{label}", color=INK[theme], fontsize=10, va="bottom")
        for slot, peer in enumerate(present):
            ratio = best[peer]["seconds"] / ours
            most = max(most, ratio)
            height = 0.62 / len(present)
            y = place - 0.3 + height * (slot + 0.5)
            color = f"C{list(PEERS).index(peer)}"
            axis.barh(y, max(ratio - 1, 0.004), height * 0.9, left=1, color=color)
            text = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}"
            axis.text(max(ratio, 1) * 1.02, y, text, va="center", fontsize=8, color=INK[theme])
    axis.axvline(1, color=INK[theme], lw=1.2)
    axis.set_xscale("log")
    axis.set_xlim(0.95, most * 1.25)
    axis.set_ylim(len(ROWS) - 0.5, -0.75)
    axis.set_xticks([1, 2, 4, 8, 16], ["as fast", "2 times as long", "4", "8", "16"])
    axis.minorticks_off()
    axis.set_yticks([])
    axis.tick_params(colors=INK[theme], length=3)
    axis.spines[:].set_visible(False)
    axis.spines["bottom"].set(visible=True, color=FAINT[theme])
    handles = [
        mpl.patches.Patch(color=f"C{number}", label=name)
        for number, name in enumerate(PEERS.values())
    ]
    legend = axis.legend(handles=handles, loc="lower right", labelcolor=INK[theme])
    legend.set_frame_on(False)
    return figure


def draw(app: Sphinx) -> None:
    """Draw all pictures, light and dark, before pages are read."""
    folder = Path(app.srcdir) / "_built"
    folder.mkdir(exist_ok=True)
    results = report.read(RESULTS / SPEED)
    with mpl.rc_context({**SETTINGS, "svg.hashsalt": "lstm_native"}):
        for theme in INK:
            figure = speed(results, theme)
            figure.savefig(folder / f"speed-{theme}.svg", transparent=True, metadata={"Date": None})


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx."""
    app.connect("builder-inited", draw, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

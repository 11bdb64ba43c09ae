"""What `bench.scaling` measured, as a picture: frames per second, and memory of four workers.

Owns its layout; takes its figures as they are. Needs matplotlib.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench import sharing

OURS, GREY, DARK = "#0072B2", "#8A8A8A", "#333333"


def draw(rates: Sequence[tuple[str, float]], memory: dict[str, Any], path: Path) -> None:
    """Draw both.

    Parameters
    ----------
    rates : sequence of (str, float)
        Frames per second of each way to read batches, the single thread first.
    memory : dict
        As `bench.sharing.all_ways` gives it.
    path : Path
        Where the PNG goes.
    """
    figure = Figure(figsize=(10, 3.4), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    base = rates[0][1]
    shown = [(title, rate / base, f"{rate:,.0f} /s") for title, rate in rates]
    bars(left, "Reading batches: frames per second, of one thread", shown)
    left.axvline(1, color=GREY, linewidth=0.8, linestyle=":")
    size = memory["parameters_mib"]
    rows = [(way, memory["ways"][way]["mib"]) for way in sharing.WAYS]
    shown = [(way, mib / size, f"{mib:.0f} MiB") for way, mib in rows]
    title = f"Memory of {memory['workers']} workers, of a network's {size:.0f} MiB"
    bars(right, title, shown)
    figure.savefig(path)


def bars(axis: Axes, title: str, rows: Sequence[tuple[str, float, str]]) -> None:
    """Draw a bar for each row (name, length, text), the first on top."""
    names, lengths, texts = zip(*rows, strict=True)
    drawn = axis.barh(range(len(rows)), lengths, color=OURS, height=0.6)
    axis.bar_label(drawn, texts, padding=3, color=DARK, fontsize=8)
    axis.set_yticks(range(len(rows)), names, fontsize=9)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.25 * max(lengths))
    axis.set_title(title, fontsize=9, color=DARK, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=9)

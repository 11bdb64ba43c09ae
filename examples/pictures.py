"""The pictures of both examples.

Owns what they look like. Must not know networks or data: numbers come in as plain arrays.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image

OURS, BEFORE, GOAL, PLAIN = "#c8382b", "#e7aca5", "#222222", "#8a8a8a"
DAY = 24


def forecast(
    path: Path,
    curves: Sequence[tuple[Sequence[float], Sequence[float]]],
    naive: float,
    errors: Mapping[str, ArrayLike],
    week: tuple[ArrayLike, ArrayLike, Sequence[Sequence[float]]],
    days: Sequence[str],
) -> None:
    """Draw how the forecast was learned, how its error grows, and some days of it.

    Parameters
    ----------
    path : Path
        Where the PNG goes.
    curves : sequence of (training, validation)
        Errors of each network, epoch by epoch.
    naive : float
        The baseline's error on the validation span.
    errors : mapping of str to array, shape (24,)
        Held-out errors by hours ahead: of the baseline, of others, and last of the LSTM.
    week : (observed, baseline, forecasts)
        Temperatures of consecutive hours, twice, and forecasts of a day each.
    days : sequence of str
        The names of those days.
    """
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    parts = figure.subplot_mosaic([["learning", "ahead"], ["week", "week"]])

    axis = titled(parts["learning"], "Learning", "epoch", "mean absolute error, °C")
    for training, validation in curves:
        epochs = np.arange(1, len(validation) + 1)
        axis.plot(epochs, training, color=BEFORE, linewidth=1, label="training")
        axis.plot(epochs, validation, color=OURS, linewidth=1, label="validation")
    axis.axhline(naive, color=PLAIN, linestyle=":", label="seasonal-naive, validation")
    named_once(axis)

    axis = titled(parts["ahead"], "Held out", "hours ahead", "mean absolute error, °C")
    styles = (PLAIN, ":"), (PLAIN, "-"), (GOAL, "-"), (OURS, "-")
    for (name, values), (color, line) in zip(errors.items(), styles, strict=True):
        axis.plot(np.arange(1, DAY + 1), values, color=color, linestyle=line, label=name)
    axis.set_xticks([1, 6, 12, 18, 24])
    axis.set_ylim(bottom=0)
    named_once(axis)

    observed, baseline, forecasts = week
    axis = titled(parts["week"], "A held-out week at JFK", "", "°C")
    hours = np.arange(len(days) * DAY) / DAY
    axis.plot(hours, baseline, color=PLAIN, linestyle=":", label="seasonal-naive")
    axis.plot(hours, observed, color=GOAL, label="observed")
    for day, values in enumerate(forecasts):
        axis.plot(hours[day * DAY :][:DAY], values, color=OURS, label="LSTM, the evening before")
        axis.axvline(day, color="#dddddd", linewidth=0.8, zorder=0)
    axis.set_xticks(np.arange(len(days)) + 0.5, days)
    axis.tick_params(axis="x", length=0)
    axis.set_xlim(0, len(days))
    named_once(axis)
    write(figure, path)


def tagger(
    path: Path,
    curve: Sequence[float],
    baseline: float,
    words: Mapping[str, tuple[float, float]],
) -> None:
    """Draw the learning curve, and who is right about words of how many syllables.

    Parameters
    ----------
    path : Path
        Where the PNG goes.
    curve : sequence of float
        The share of validation words that are right, for every epoch.
    baseline : float
        The same, of the baseline.
    words : mapping of str to (float, float)
        The shares of held-out words of so many syllables: of the baseline and of the network.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    axis = titled(left, "Learning", "epoch", "validation words right, %")
    epochs = np.arange(1, len(curve) + 1)
    axis.plot(epochs, 100 * np.array(curve), marker="o", color=OURS, label="LSTM and CRF")
    axis.axhline(100 * baseline, color=PLAIN, linestyle=":", label="longest known ending")
    axis.set_xticks(epochs)
    named_once(axis)

    axis = titled(right, "Held out", "syllables", "words right, %")
    places = np.arange(len(words))
    for index, (name, color) in enumerate(
        (("longest known ending", PLAIN), ("LSTM and CRF", OURS))
    ):
        heights = [100 * shares[index] for shares in words.values()]
        bars = axis.bar(places + 0.4 * index - 0.2, heights, 0.38, color=color, label=name)
        axis.bar_label(bars, fmt="%.0f", padding=2, fontsize=9)
    axis.set_xticks(places, list(words))
    axis.set_ylim(0, 115)
    axis.set_yticks(range(0, 101, 20))
    axis.legend(frameon=False, loc="upper center", ncols=2)
    write(figure, path)


def titled(axis: Axes, title: str, x: str, y: str) -> Axes:
    """Name an axis, and take away the lines that say nothing."""
    axis.set_title(title, loc="left")
    axis.set(xlabel=x, ylabel=y)
    axis.spines[["top", "right"]].set_visible(False)
    return axis


def named_once(axis: Axes) -> None:
    """Show a legend in which each name stands once."""
    handles, names = axis.get_legend_handles_labels()
    once: dict[str, Any] = dict(zip(names, handles, strict=True))
    axis.legend(once.values(), once.keys(), frameon=False)


def write(figure: Figure, path: Path) -> None:
    """Write a PNG of 64 colours: enough for lines and letters, and a third of the size."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    Image.open(drawn).convert("RGB").quantize(64).save(path, optimize=True)

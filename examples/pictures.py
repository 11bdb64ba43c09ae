"""The pictures of the examples.

Owns what they look like. Must not know networks or data: numbers come in as plain arrays.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from PIL import Image

OURS, BEFORE, GOAL, PLAIN = "#c8382b", "#e7aca5", "#222222", "#8a8a8a"
GRAY = "#c9c9c9"
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


def vad(
    path: Path,
    heard: Sequence[tuple[str, ArrayLike, ArrayLike]],
    rate: int,
    threshold: float,
) -> None:
    """Draw recordings, and over them the probability of speech.

    Parameters
    ----------
    path : Path
        Where the PNG goes.
    heard : sequence of (name, samples, probabilities)
        Recordings from -1 to 1; their probabilities lie at equal distances.
    rate : int
        Samples a second.
    threshold : float
        From where on it counts as speech.
    """
    figure = Figure(figsize=(9, 1.2 + 1.9 * len(heard)), layout="constrained")
    for axis, (name, samples, probabilities) in zip(
        figure.subplots(len(heard), 1, squeeze=False)[:, 0], heard, strict=True
    ):
        titled(axis, name, "seconds" if name == heard[-1][0] else "", "probability of speech")
        sound, found = np.asarray(samples), np.asarray(probabilities)
        seconds = np.arange(len(sound)) / rate
        axis.plot(seconds, 0.5 + sound / 2, color=GRAY, linewidth=0.4, label="sound")
        window = -(-len(sound) // max(len(found), 1)) / rate
        ends = np.arange(len(found) + 1) * window
        axis.stairs(found, ends, color=OURS, linewidth=1.5, baseline=None, label="Stream")
        axis.axhline(threshold, color=PLAIN, linestyle=":", linewidth=0.8)
        axis.set(xlim=(0, seconds[-1] if len(seconds) else 1), ylim=(-0.03, 1.03))
        named_once(axis)
    write(figure, path)


def speaker(path: Path, names: Sequence[str], cosines: NDArray[Any]) -> None:
    """Draw how alike every two voices are.

    Parameters
    ----------
    path : Path
        Where the PNG goes.
    names : sequence of str
        The recordings.
    cosines : ndarray, shape (recordings, recordings)
        Of the angles between their voices.
    """
    figure = Figure(figsize=(7.5, 6), layout="constrained")
    axis = figure.subplots()
    axis.imshow(cosines, cmap="Greys", vmin=0, vmax=1.2)
    for (row, column), cosine in np.ndenumerate(cosines):
        color = "white" if cosine > 0.75 else GOAL
        axis.text(column, row, f"{cosine:.2f}", ha="center", va="center", color=color, fontsize=8)
    axis.set_title("How alike two voices are: the cosine of their embeddings", loc="left")
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axis.set_yticks(range(len(names)), names)
    axis.tick_params(length=0)
    write(figure, path)


def ocr(
    path: Path,
    curves: Mapping[str, Sequence[float]],
    read: Sequence[tuple[ArrayLike, Sequence[int], Sequence[int]]],
) -> None:
    """Draw the learning curves, and some lines with what was read.

    Parameters
    ----------
    path : Path
        Where the PNG goes.
    curves : mapping of str to sequence of float
        The losses of each network, step by step: of the baseline, and of the LSTM.
    read : sequence of (image, right, given)
        Held-out lines, the digits on them, and those that were read.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    halves = figure.subfigures(1, 2, squeeze=False)[0]
    axis = titled(halves[0].subplots(), "Learning", "step", "loss, mean of 20 steps")
    for (name, losses), color in zip(curves.items(), (PLAIN, OURS), strict=True):
        means = np.array(losses)[: len(losses) // 20 * 20].reshape(-1, 20).mean(axis=1)
        axis.semilogy(20 * np.arange(1, len(means) + 1), means, color=color, label=name)
    named_once(axis)
    for axis, (image, digits, given) in zip(halves[1].subplots(len(read), 1), read, strict=True):
        axis.imshow(image, cmap="gray_r", vmin=0, vmax=1)
        axis.set_xlim(-0.5, 80)
        axis.set_axis_off()
        text = "".join(map(str, given))
        color = GOAL if tuple(digits) == tuple(given) else OURS
        axis.text(np.shape(image)[1] + 2, 5, text, va="center", color=color)
    write(figure, path)


def estimators(
    path: Path,
    curves: Sequence[tuple[Sequence[float], Sequence[float]]],
    found: Mapping[str, Mapping[str, Sequence[float]]],
) -> None:
    """Draw how classifiers learned, and how often they are right.

    Parameters
    ----------
    path : Path
        Where the PNG goes.
    curves : sequence of (losses, scores)
        Of each network, epoch by epoch.
    found : mapping of str to mapping of str to sequence of float
        By data set and then by model, accuracies with several seeds; the LSTM first.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    axis = titled(left, "Learning digits, with early stopping", "epoch", "loss")
    other = axis.twinx()
    other.spines["top"].set_visible(False)
    other.set_ylabel("accuracy on the validation part, %")
    for losses, scores in curves:
        epochs = np.arange(1, len(losses) + 1)
        axis.semilogy(epochs, losses, color=BEFORE, linewidth=1, label="loss_curve_")
        other.plot(epochs, 100 * np.array(scores), color=OURS, linewidth=1)
        best = int(np.argmax(scores[::-1]))
        other.plot(epochs[-1 - best], 100 * scores[-1 - best], "o", color=OURS, markersize=4)
    axis.plot([], [], color=OURS, linewidth=1, label="validation_scores_")
    axis.plot([], [], "o", color=OURS, markersize=4, label="whose weights stay")
    other.set_ylim(None, 101)
    named_once(axis, "center right")

    axis = titled(right, "Held out", "", "right, %")
    for place, models in enumerate(found.values()):
        for index, ((name, shares), color) in enumerate(
            zip(models.items(), (OURS, PLAIN), strict=True)
        ):
            values = 100 * np.array(shares)
            at = np.full(len(values), place + 0.3 * index - 0.15)
            axis.plot(at, values, "o", color=color, alpha=0.5, markersize=5, label=name)
            axis.plot(at[0], values.mean(), "_", color=color, markersize=22)
    axis.set_xticks(range(len(found)), list(found))
    axis.set_xlim(-0.6, len(found) - 0.4)
    named_once(axis)
    write(figure, path)


def titled(axis: Axes, title: str, x: str, y: str) -> Axes:
    """Name an axis, and take away the lines that say nothing."""
    axis.set_title(title, loc="left")
    axis.set(xlabel=x, ylabel=y)
    axis.spines[["top", "right"]].set_visible(False)
    return axis


def named_once(axis: Axes, loc: Literal["best", "center right"] = "best") -> None:
    """Show a legend in which each name stands once."""
    handles, names = axis.get_legend_handles_labels()
    once: dict[str, Any] = dict(zip(names, handles, strict=True))
    axis.legend(once.values(), once.keys(), frameon=False, loc=loc)


def write(figure: Figure, path: Path) -> None:
    """Write a PNG of 64 colours: enough for lines and letters, and a third of the size."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=100)
    Image.open(drawn).convert("RGB").quantize(64).save(path, optimize=True)

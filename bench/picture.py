"""A result as a picture: how far ahead of the best peer, and how far below the machine's limit.

Owns its layout and colours; takes its figures as they are. Needs matplotlib.
"""

import math
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from bench import labels, targets
from bench.report import TITLES
from bench.sides import OURS

# Okabe and Ito's colours, which the colour-blind tell apart.
COLOURS = {
    "streaming": "#E69F00",
    "stream": "#B8860B",
    "batch 1": "#D55E00",
    "mid batch": "#0072B2",
    "large batch": "#56B4E9",
    "ragged": "#009E73",
    "projection": "#CC79A7",
    "float64": "#7F7F7F",
}
GREY, DARK = "#8A8A8A", "#333333"
# In inches
WIDTH, ROW_HEIGHT, ROOFLINE_HEIGHT = 10.0, 0.2, 5.4
HEAD, GAP, FOOT = 0.75, 1.0, 0.5
TICKS = [0.25, 0.5, 1, 2, 4, 8, 16, 32]
# Lines nearer to each other than this factor leave no room for a word between them.
ROOM = 1.35


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw a result that has at least one row with a ratio or a limit.

    Parameters
    ----------
    results : dict
        ``machine`` and ``rows``, as the JSON file holds them.
    path : Path
        Where to; its suffix, .png or .svg, says how.
    """
    modes = [mode for mode in TITLES if any(row["mode"] == mode for row in results["rows"])]
    names = list(dict.fromkeys(row["row"] for row in results["rows"] if row["ratio"]))
    limited = [row for row in results["rows"] if row.get("limit")]

    heights = [max(1.0, ROW_HEIGHT * len(names)), *[ROOFLINE_HEIGHT] * bool(limited)]
    height = HEAD + sum(heights) + GAP * (len(heights) - 1) + FOOT
    figure = Figure(figsize=(WIDTH, height), dpi=150, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        len(heights), max(1, len(modes)), height_ratios=heights, left=0.235, right=0.985,
        top=1 - HEAD / height, bottom=FOOT / height, wspace=0.06,
        hspace=GAP * len(heights) / sum(heights),
    )  # fmt: skip
    ratios = [row["ratio"] for row in results["rows"] if row["ratio"]]
    # Room for a name right of the longest bar.
    limits = min([0.8, *(0.9 * ratio for ratio in ratios)]), 2.1 * max([1.5, *ratios])
    for place, mode in enumerate(modes):
        axes = figure.add_subplot(grid[0, place])
        _ratios(axes, [row for row in results["rows"] if row["mode"] == mode], names, mode)
        axes.set_xlim(limits)
        axes.tick_params(labelleft=place == 0)
    kinds = [kind for kind in COLOURS if any(r["shape"]["kind"] == kind for r in results["rows"])]
    handles = [Line2D([], [], color=COLOURS[kind], lw=5, label=kind) for kind in kinds]
    figure.legend(
        handles=handles, loc="upper center", ncols=len(kinds), frameon=False, fontsize=9,
        handlelength=0.9, columnspacing=1.4,
    )  # fmt: skip
    if limited:
        shown = [row for row in limited if row["mode"] == limited[0]["mode"]]
        axes = figure.add_subplot(grid[1, :])
        box = axes.get_position()
        axes.set_position((0.075, box.y0, box.x1 - 0.075, box.height))
        roofline(axes, shown, results["machine"]["peaks"])
    figure.savefig(path)


def _ratios(axes: Any, rows: list[dict[str, Any]], names: list[str], mode: str) -> None:
    """Draw a bar for each row, from 1 to the right where we are faster."""
    places = {name: place for place, name in enumerate(names)}
    for row in rows:
        if row["ratio"] is None:
            continue
        place, ratio = places[row["row"]], row["ratio"]
        axes.barh(place, ratio - 1, left=1, height=0.72, color=_colour(row))
        axes.annotate(
            f"{ratio:.2f} {row['best_peer']}", (max(1, ratio), place), (3, -0.5),
            textcoords="offset points", va="center", fontsize=7, color=DARK,
        )  # fmt: skip
    mean = targets.mean(rows)
    title = TITLES[mode] if mean is None else f"{TITLES[mode]}, geometric mean {mean:.2f}"
    axes.axvline(1, color=DARK, lw=1)
    axes.set_xscale("log")
    axes.set_xticks(TICKS)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8, color=GREY)
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel("best peer's time / ours", fontsize=8.5)
    _plain(axes)


def roofline(axes: Any, rows: list[dict[str, Any]], peaks: dict[str, Any]) -> None:
    """Draw what each row does, over what it does with each byte of weights, under the limits."""
    threads = max(peaks["levels"], key=int)
    xs = [row["flops"] / row["limit"]["bytes"] for row in rows]
    ys = [row["flops"] / row["best"][OURS]["seconds"] / 1e9 for row in rows]
    left, right = min(xs) / 2.2, max(xs) * 2.2
    roofs = {
        dtype: peaks["gflops"][dtype][threads]
        for dtype in dict.fromkeys(row["shape"]["dtype"] for row in rows)
    }
    top = max(roofs.values())
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(left, right)
    axes.set_ylim(min(ys) / 1.8, top * 1.9)
    lines = []
    angle, above = _angle(axes), math.inf
    for level in peaks["levels"][threads]:
        rate = level["gbytes"]
        lines.append((left, left * rate, top / rate, top))
        # Along its line, and below it where the one above leaves no room.
        across = -1.5 if above / rate < ROOM else 1.5
        above = rate
        offset = (
            8 * math.cos(angle) - across * math.sin(angle),
            8 * math.sin(angle) + across * math.cos(angle),
        )
        axes.annotate(
            f"{level['name']} {rate:.0f} GB/s", (left, left * rate), offset,
            textcoords="offset points", fontsize=7, color=GREY, rotation=math.degrees(angle),
            rotation_mode="anchor", va="bottom" if across > 0 else "top",
        )  # fmt: skip
    fastest = max(level["gbytes"] for level in peaks["levels"][threads])
    for dtype, roof in roofs.items():
        lines.append((roof / fastest, roof, right, roof))
        axes.annotate(
            f"multiply-add, {dtype}: {roof:.0f} GF/s", (right, roof), (-4, 3),
            textcoords="offset points", fontsize=7, color=GREY, ha="right",
        )  # fmt: skip
    for x, y, to_x, to_y in lines:
        axes.plot([x, to_x], [y, to_y], color=GREY, lw=0.9, zorder=1)
    axes.scatter(xs, ys, c=[_colour(row) for row in rows], s=20, zorder=3, linewidths=0)
    points = [(x, y, row["row"]) for x, y, row in zip(xs, ys, rows, strict=True)]
    labels.place(axes, points, lines, fontsize=6.5, color=DARK)
    axes.set_xlabel("flops per byte of weights read", fontsize=8.5)
    axes.set_ylabel("GF/s", fontsize=8.5)
    axes.tick_params(labelsize=8, color=GREY)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    what = f"{TITLES[rows[0]['mode']]}: each row under the limits measured with {threads} threads"
    axes.set_title(what, fontsize=10, loc="left")
    _plain(axes)


def _angle(axes: Any) -> float:
    """The angle at which proportionality is drawn."""
    (x_low, x_high), (y_low, y_high) = axes.get_xlim(), axes.get_ylim()
    box = axes.get_window_extent()
    rise = box.height / math.log(y_high / y_low)
    run = box.width / math.log(x_high / x_low)
    return math.atan2(rise, run)


def _colour(row: dict[str, Any]) -> str:
    return COLOURS.get(row["shape"]["kind"], GREY)


def _plain(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GREY)
    axes.set_axisbelow(True)

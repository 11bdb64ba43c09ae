"""Words beside points, not over each other.

Owns the search for a free place; knows nothing of what is labelled.
"""

import itertools
import math
from collections.abc import Iterable
from typing import Any, TypeAlias

# left, bottom, right, top in pixels
Box: TypeAlias = tuple[float, float, float, float]

DISTANCES = (5.0, 11.0, 19.0, 29.0)
ANGLES = [step * math.pi / 8 for step in range(16)]
# From this distance on, in points, a line leads from the point to its word.
LEADER = 15.0


def place(
    axes: Any,
    points: list[tuple[float, float, str]],
    lines: list[tuple[float, float, float, float]],
    **style: Any,
) -> None:
    """Write a word beside each point, as near as a free place allows.

    Greedy: points in order, each taking the first place around it, from near to far, that covers no
    earlier word, no point and no line; if there is none, the place that covers the least.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where the points are drawn; its limits must be final.
    points : list of (x, y, word)
        In data coordinates.
    lines : list of (x, y, x, y)
        Straight lines to keep clear of, from end to end, in data coordinates.
    **style
        What `Axes.annotate` takes.
    """
    renderer = axes.figure.canvas.get_renderer()
    scale = axes.figure.dpi / 72
    frame = axes.get_window_extent(renderer).extents
    centres = [tuple(axes.transData.transform((x, y))) for x, y, _ in points]
    taken = [_around(x, y, 3 * scale) for x, y in centres]
    taken += [tuple(text.get_window_extent(renderer).extents) for text in axes.texts]
    for line in lines:
        taken += _along(axes.transData.transform((line[:2], line[2:])), scale)
    # Those in the densest company choose first.
    order = sorted(range(len(points)), key=lambda i: _company(centres[i], centres), reverse=True)
    for index in order:
        x, y, word = points[index]
        text = axes.annotate(word, (x, y), (0, 0), textcoords="offset points", **style)
        extent = text.get_window_extent(renderer)
        sizes = extent.width, extent.height
        best = min(
            itertools.product(DISTANCES, ANGLES),
            key=lambda to: _cost(_at(centres[index], to, scale, sizes), taken, frame, to[0]),
        )
        box = _at(centres[index], best, scale, sizes)
        offset = ((box[0] - centres[index][0]) / scale, (box[1] - centres[index][1]) / scale)
        text.remove()
        if best[0] >= LEADER:
            style_of_line = {"arrowstyle": "-", "color": "#999999", "linewidth": 0.5}
            arrow = style | {"arrowprops": style_of_line | {"shrinkA": 0, "shrinkB": 2}}
        else:
            arrow = style
        axes.annotate(word, (x, y), offset, textcoords="offset points", va="bottom", **arrow)
        taken.append(box)


def _at(
    centre: tuple[float, float],
    to: tuple[float, float],
    scale: float,
    sizes: tuple[float, float],
) -> Box:
    """The box of a word whose nearest edge lies in some distance and direction of its point."""
    distance, angle = to
    width, height = sizes
    x = centre[0] + distance * scale * math.cos(angle) + width / 2 * (math.cos(angle) - 1)
    y = centre[1] + distance * scale * math.sin(angle) + height / 2 * (math.sin(angle) - 1)
    return x, y, x + width, y + height


def _cost(box: Box, taken: Iterable[Box], frame: Any, distance: float) -> float:
    covered = sum(_overlap(box, other) for other in taken)
    inside = _overlap(box, (frame[0], frame[1], frame[2], frame[3]))
    outside = (box[2] - box[0]) * (box[3] - box[1]) - inside
    return 1e3 * (covered + 10 * outside) + distance


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def _along(ends: Any, scale: float) -> list[Box]:
    """Small boxes along a line."""
    (x, y), (to_x, to_y) = ends
    count = max(1, round(math.dist((x, y), (to_x, to_y)) / (4 * scale)))
    parts = [step / count for step in range(count + 1)]
    return [_around(x + p * (to_x - x), y + p * (to_y - y), 1.5 * scale) for p in parts]


def _around(x: float, y: float, radius: float) -> Box:
    return x - radius, y - radius, x + radius, y + radius


def _company(centre: tuple[float, float], centres: list[tuple[float, float]]) -> float:
    return sum(1 / (20 + math.dist(centre, other)) for other in centres)

"""Lines of handwritten digits, and how wrong a reading of them is.

Owns how lines are put together from single digits, and the error rate. Must not know networks.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_native.demo.digits import Digits

HEIGHT = 10  # two more than a digit's: each stands a little higher or lower
FEWEST, MOST = 3, 8  # digits on a line
CLOSEST, WIDEST = -3, 2  # columns between two digits; below 0 they overlap
NOISE = 0.15


class Line(NamedTuple):
    """A picture, (10, columns) from 0 (paper) to 1 (ink), and the digits on it."""

    image: NDArray[np.float32]
    digits: tuple[int, ...]


def draw(
    digits: Digits, count: int, generator: np.random.Generator, most: int = MOST
) -> list[Line]:
    """Write `count` lines of at most `most` digits, each image chosen at random."""
    return [_line(digits, generator, most) for _ in range(count)]


def _line(digits: Digits, generator: np.random.Generator, most: int) -> Line:
    length = generator.integers(min(FEWEST, most), most + 1)
    chosen = generator.integers(len(digits.labels), size=length)
    gaps = generator.integers(CLOSEST, WIDEST + 1, size=len(chosen))
    rows = generator.integers(HEIGHT - 7, size=len(chosen))
    lefts = 2 + np.cumsum(8 + gaps) - (8 + gaps[0])
    image = np.zeros((HEIGHT, lefts[-1] + 8 + 2), np.float32)
    for index, row, left in zip(chosen, rows, lefts, strict=True):
        place = image[row : row + 8, left : left + 8]
        np.maximum(place, digits.images[index], out=place)
    image += generator.normal(scale=NOISE, size=image.shape)
    return Line(image.clip(0, 1), tuple(digits.labels[chosen].tolist()))


def distance(given: Sequence[int], right: Sequence[int]) -> int:
    """Count the digits to insert, leave out or exchange (Levenshtein)."""
    row = list(range(len(right) + 1))
    for i, one in enumerate(given, 1):
        before, row[0] = row[0], i
        for j, two in enumerate(right, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (one != two))
    return row[-1]


def error_rate(given: Sequence[Sequence[int]], lines: Sequence[Line]) -> float:
    """Errors among all digits of the lines."""
    errors = sum(distance(each, line.digits) for each, line in zip(given, lines, strict=True))
    return errors / sum(len(line.digits) for line in lines)

"""A look at some digits and what the model took them for: as PNG, or in plain characters.

Owns both pictures; knows nothing of the model.
"""

import io

import numpy as np
from numpy.typing import NDArray

from lstm_native.demo.digits import Digits

COLUMNS = 8
ROWS = 3
INK = " .:-=+*#%@"


def png(digits: Digits, read: NDArray[np.int64]) -> bytes:
    """Draw 24 digits, misread ones first and in red.

    Parameters
    ----------
    digits : Digits
        Images and what they show.
    read : ndarray of int64, shape (N,)
        What the model took them for.

    Returns
    -------
    bytes
        The contents of a PNG file.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    # Figure without pyplot: draws with Agg, needs no display and leaves no global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(COLUMNS, ROWS * 1.25), layout="constrained")
    axes = list(figure.subplots(ROWS, COLUMNS).flat)
    for axis, index in zip(axes, _misread_first(digits, read), strict=False):
        wrong = read[index] != digits.labels[index]
        title = f"{read[index]}, is {digits.labels[index]}" if wrong else f"{read[index]}"
        axis.imshow(digits.images[index], cmap="gray_r", vmin=0, vmax=1)
        axis.set_title(title, color="red" if wrong else "black", fontsize=10)
    for axis in axes:
        axis.set_axis_off()
    contents = io.BytesIO()
    figure.savefig(contents, format="png", dpi=120)
    return contents.getvalue()


def text(digits: Digits, read: NDArray[np.int64], count: int = 4) -> str:
    """Draw the first few digits in characters, two for each pixel.

    Parameters
    ----------
    digits : Digits
        Images and what they show.
    read : ndarray of int64, shape (N,)
        What the model took them for.
    count : int
        How many to draw, side by side.

    Returns
    -------
    str
        Nine lines: eight of pixels, one of readings.
    """
    images = digits.images[:count]
    shades = (images * (len(INK) - 1)).round().astype(int)
    lines = [
        "   ".join("".join(INK[shade] * 2 for shade in row) for row in rows).rstrip()
        for rows in shades.swapaxes(0, 1)
    ]
    width = 2 * images.shape[2]
    readings = [
        f"{is_read} (is {label})" if is_read != label else f"{is_read}"
        for is_read, label in zip(read[:count], digits.labels[:count], strict=True)
    ]
    return "\n".join([*lines, "   ".join(f"{r:^{width}}" for r in readings).rstrip()])


def _misread_first(digits: Digits, read: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.argsort(read == digits.labels, kind="stable")

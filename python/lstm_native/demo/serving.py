"""Serving: images one at a time, as they come, or all at once.

Owns the two ways, their speed and the comparison of their bits; knows nothing of files.
"""

import time
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_native.demo.reader import DigitReader


class Served(NamedTuple):
    """The answers to N images and how long they took.

    Attributes
    ----------
    output : ndarray of float32, shape (N, 8, 128)
        The LSTM's output for every image.
    digits : ndarray of int64, shape (N,)
        The digits read.
    seconds : float
        Wall time of all N.
    """

    output: NDArray[np.float32]
    digits: NDArray[np.int64]
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Images read in a second."""
        return len(self.digits) / self.seconds


def one_at_a_time(reader: DigitReader, images: NDArray[np.float32]) -> Served:
    """Serve each image of (N, 8, 8) by a call of its own, as (8, 8)."""
    start = time.perf_counter()
    readings = [reader.read(image) for image in images]
    seconds = time.perf_counter() - start
    return Served(
        np.stack([reading.output for reading in readings]),
        np.stack([reading.digit for reading in readings]),
        seconds,
    )


def as_a_batch(reader: DigitReader, images: NDArray[np.float32]) -> Served:
    """Serve all images, (N, 8, 8), by one call."""
    start = time.perf_counter()
    reading = reader.read(images)
    seconds = time.perf_counter() - start
    return Served(reading.output, reading.digit, seconds)


def same_bits(one: Served, other: Served) -> bool:
    """Tell whether two ways of serving agree in every bit of the LSTM's output and every digit.

    Bytes are compared, so that even 0.0 and -0.0 differ.
    """
    return (
        one.output.dtype == other.output.dtype
        and one.output.shape == other.output.shape
        and one.output.tobytes() == other.output.tobytes()
        and np.array_equal(one.digits, other.digits)
    )

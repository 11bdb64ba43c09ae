"""The model: a bidirectional LSTM reads an image row by row, a linear head names the digit.

Owns the joint between the two parts and their weight file; knows nothing of training.
"""

from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

import lstm_native
from lstm_native._head import Head
from lstm_native.demo.digits import CLASSES, SIDE

HIDDEN = 64


class Reading(NamedTuple):
    """What the model makes of N images, or of one (then without the axis N).

    Attributes
    ----------
    output : ndarray of float32, shape (N, 8, 128) or (8, 128)
        The LSTM's output after each row of pixels.
    digit : ndarray of int64, shape (N,) or ()
        The digit the head sees.
    """

    output: NDArray[np.float32]
    digit: NDArray[np.int64]


class DigitReader:
    """Reads images of handwritten digits.

    Parameters
    ----------
    lstm : LSTM
        Bidirectional, one layer; each image is a sequence of 8 rows of 8 pixels.
    head : Head
        Ten scores from the two final states of the LSTM.
    """

    def __init__(self, lstm: lstm_native.LSTM, head: Head) -> None:
        self.lstm = lstm
        self.head = head

    @classmethod
    def random(cls, seed: int) -> Self:
        """Make an untrained model; the same seed gives the same weights."""
        lstm_native.manual_seed(seed)
        lstm = lstm_native.LSTM(SIDE, HIDDEN, batch_first=True, bidirectional=True)
        head = Head.random(2 * HIDDEN, CLASSES, np.random.default_rng(seed))
        return cls(lstm, head)

    def read(self, images: NDArray[np.float32]) -> Reading:
        """Read N images, or one.

        Parameters
        ----------
        images : ndarray of float32, shape (N, 8, 8) or (8, 8)
            Pixels from 0 (paper) to 1 (ink).

        Returns
        -------
        Reading
            The LSTM's output and the digits.
        """
        output, (h_n, _) = self.lstm(images)
        digit = self.head.scores(join(h_n)).argmax(axis=-1)
        return Reading(output, np.asarray(digit))

    def save(self, path: Path) -> None:
        """Write both parts into one file, under ``lstm.`` and ``head.``."""
        state = self.lstm.state_dict(prefix="lstm.") | self.head.state_dict(prefix="head.")
        lstm_native.save(path, state)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Build a model, ready to serve, from nothing but its weight file."""
        state = lstm_native.load(path)
        lstm = lstm_native.LSTM.from_state_dict(state, prefix="lstm.", batch_first=True)
        return cls(lstm, Head.from_state_dict(state, prefix="head."))


def join(h_n: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lay the final states of both directions side by side: (2, ..., H) to (..., 2H)."""
    return np.concatenate((h_n[0], h_n[1]), axis=-1)


def part(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Undo `join`, for the way back: (N, 2H) to (2, N, H)."""
    return np.stack(np.split(features, 2, axis=-1))

"""The handwritten digits and their fixed split.

Owns the data file and the choice of what is held out; knows nothing of models.
"""

import importlib.resources
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CLASSES = 10
SIDE = 8
DEEPEST_INK = 16


class Digits(NamedTuple):
    """Images with their labels.

    Attributes
    ----------
    images : ndarray of float32, shape (N, 8, 8)
        N images of 8 rows of 8 pixels, from 0 (paper) to 1 (ink).
    labels : ndarray of int64, shape (N,)
        The digit each image shows, 0 to 9.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


def load() -> Digits:
    """Read the 1,797 digits that come with the package.

    Returns
    -------
    Digits
        The UCI optdigits test set, in its original order (see ``DIGITS.md``).
    """
    resource = importlib.resources.files(__package__) / "digits.npz"
    with resource.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return Digits(
            images=arrays["images"].astype(np.float32) / DEEPEST_INK,
            labels=arrays["labels"].astype(np.int64),
        )


def split(digits: Digits) -> tuple[Digits, Digits]:
    """Hold out the fifth, tenth, fifteenth ... image of every digit.

    The split is the same for every seed and on every machine, and each digit has its share in
    both parts.

    Parameters
    ----------
    digits : Digits
        All images and labels.

    Returns
    -------
    training, held_out : Digits
        1,442 images to learn from and 355 to be judged by, each in the original order.
    """
    is_held_out = np.zeros(len(digits.labels), dtype=bool)
    for digit in range(CLASSES):
        is_held_out[np.flatnonzero(digits.labels == digit)[4::5]] = True
    return (
        Digits(digits.images[~is_held_out], digits.labels[~is_held_out]),
        Digits(digits.images[is_held_out], digits.labels[is_held_out]),
    )

"""How ``digits.npz`` was made; run it with scikit-learn installed to make the file again.

``python -m lstm_native.demo.make_digits digits.npz``
"""

import importlib
import sys

import numpy as np
from numpy.typing import NDArray


def digits_of_sklearn() -> dict[str, NDArray[np.uint8]]:
    """Give the digits as scikit-learn ships them, in one byte a pixel.

    Returns
    -------
    dict of str to ndarray of uint8
        ``images`` (1797, 8, 8), 0 to 16, and ``labels`` (1797,), 0 to 9.

    Raises
    ------
    ModuleNotFoundError
        If scikit-learn is not installed.
    """
    digits = importlib.import_module("sklearn.datasets").load_digits()
    return {
        "images": digits.images.astype(np.uint8),
        "labels": digits.target.astype(np.uint8),
    }


if __name__ == "__main__":
    np.savez_compressed(sys.argv[1], allow_pickle=False, **digits_of_sklearn())

"""What counts as numbers, in X, in values and in weights.

Owns what NumPy would make numbers of that are none, and what is too large for any float. Must not
know what the numbers stand for.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

# NumPy reads digits in a text, and counts the days of a date. What else is no number it refuses,
# and what is complex scikit-learn does.
_KINDS = "buifcO"
_TEXTS_AND_DATES = (str, bytes, bytearray, memoryview, np.datetime64, np.timedelta64)


@contextmanager
def numbers(value: Any, name: str) -> Iterator[None]:
    """Let the block convert `value` to floats, if it holds numbers.

    What overflows becomes infinite without a warning.

    Raises
    ------
    ValueError
        There are strings or dates, objects among them; or an integer is too large for any float.
    """
    array = np.asarray(value)
    if array.dtype.kind not in _KINDS:
        raise ValueError(f"{name} should be numeric, got {array.dtype}")
    if array.dtype.kind == "O":
        for each in array.flat:
            if isinstance(each, _TEXTS_AND_DATES):
                raise ValueError(f"{name} should be numeric, got a {type(each).__name__}: {each!r}")
    try:
        with np.errstate(over="ignore"):
            yield
    except OverflowError as error:
        raise ValueError(f"{name} has a value too large for any float") from error

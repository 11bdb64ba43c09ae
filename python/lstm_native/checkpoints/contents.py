"""What every reader gives: arrays by name, and notes on what shapes cannot tell.

Owns nothing but that form. A note's name is the path of an attribute, ``encoder.batch_first``, and
its value the attribute as JSON, ``true``. Must not know any format, nor networks.
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple, TypeAlias

from numpy.lib.array_utils import byte_bounds
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
State: TypeAlias = dict[str, Array]


class Contents(NamedTuple):
    """The arrays and notes of one file, in its order."""

    arrays: State
    notes: dict[str, str]

    def option(self, name: str) -> Any:
        """The value of a note; ValueError if it is no JSON."""
        try:
            return json.loads(self.notes[name], parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise ValueError(f"its note on {name} is {self.notes[name]!r}") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def extent(arrays: Iterable[Array]) -> int:
    """How many bytes of memory arrays lie in; what several share counts once."""
    size = end = 0
    for start, stop in sorted(map(byte_bounds, arrays)):
        size += max(0, stop - max(start, end))
        end = max(end, stop)
    return size


def joined(prefix: str, name: str) -> str:
    """The name of a part of what `prefix` names."""
    return f"{prefix}.{name}" if prefix else name


def add(arrays: State, name: str, array: Array) -> None:
    """Add an array; ValueError if its name is taken."""
    if name in arrays:
        raise ValueError(f"the name {name!r} stands twice in it")
    arrays[name] = array

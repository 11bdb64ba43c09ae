"""One call, and what may come of it.

Owns the faults a call can have: an exception that is not documented, something changed by a call
that failed, a result that depends on how an argument lies in memory. Must not know what is called.
"""

from __future__ import annotations

import builtins
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from fuzz.strangers import Lie
from lstm_native import PackedSequence

Errors = tuple[type[BaseException], ...]

# Any call may meet an argument of a wrong type, the end of memory, and a liar.
ALWAYS: Errors = (TypeError, MemoryError, Lie)
LARGEST_COMPARED = 100_000


class Fault(AssertionError):
    """What must not happen."""


@dataclass(slots=True)
class Call:
    """A function, its arguments by name, and what it may raise beside ``ALWAYS``."""

    function: Callable[..., Any]
    arguments: dict[str, Any]
    raises: Errors
    # Called again it gives the same, to the bit; and whether it changes what it belongs to.
    repeatable: bool = False
    changes: bool = False
    # Its first two arguments may be arrays of any order, alignment, class or protocol.
    tolerant: bool = False
    # Whether it must succeed as it is, not altered.
    right: bool = True
    # Looks at what the call left behind when it failed.
    afterwards: Callable[[], None] | None = None
    name: str = ""

    def __call__(self) -> Any:
        return self.function(**self.arguments)

    def __str__(self) -> str:
        shown = ", ".join(f"{name}={described(value)}" for name, value in self.arguments.items())
        return f"{self.name or getattr(self.function, '__qualname__', self.function)}({shown})"


@cache
def documented(function: Callable[..., Any]) -> Errors:
    """The exceptions that a docstring names under Raises."""
    text = inspect.getdoc(function) or ""
    section = re.search(
        r"^Raises\n-+\n(.*?)(?=\n\n\w[^\n]*\n-+\n|\Z)", text, re.DOTALL | re.MULTILINE
    )
    names = re.findall(r"^(\w+(?:, \w+)*)$", section[1], re.MULTILINE) if section else []
    return tuple(getattr(builtins, name) for line in names for name in line.split(", "))


def outcome(call: Call, state: Callable[[], Any]) -> tuple[bool, Any]:
    """Make a call: whether it succeeded, and its result. ``state`` gives what must not change."""
    arrays = [v for v in leaves(call.arguments) if type(v) is np.ndarray]
    before = state(), [digest(array) for array in arrays]
    try:
        result, succeeded = call(), True
    except (*ALWAYS, *call.raises) as error:
        result, succeeded = error, False
    except Exception as error:
        raise Fault(f"{call} raised {type(error).__name__}: {error}") from error
    if succeeded and (call.changes or not call.repeatable):
        return True, result
    if (state(), [digest(array) for array in arrays]) != before:
        raise Fault(f"{call} changed something, and {'gave' if succeeded else 'raised'} {result!r}")
    return succeeded, result


def leaves(value: Any) -> list[Any]:
    """List what stands in nested tuples, lists and dicts."""
    if isinstance(value, dict):
        value = list(value.values())
    if type(value) in (tuple, list, PackedSequence) and len(value) < 50:
        return [leaf for v in value if v is not value for leaf in leaves(v)]
    return [value]


def digest(array: Any) -> Any:
    """What tells two arrays apart; of a large one no values."""
    values = array.tobytes() if array.size < LARGEST_COMPARED and array.dtype != object else None
    return array.shape, array.dtype, array.strides, array.flags.writeable, values


def plain(value: Any) -> Any:
    """The same value as simple as can be: native, C-contiguous, a copy."""
    if isinstance(value, PackedSequence):
        return PackedSequence._make(plain(field) for field in value)
    if isinstance(value, tuple | list):
        return [plain(v) for v in value] if isinstance(value, list) else tuple(map(plain, value))
    if isinstance(value, Mapping):
        return {name: plain(v) for name, v in value.items()}
    if isinstance(value, np.generic):
        return value
    if isinstance(value, np.ndarray | memoryview) or hasattr(value, "__array__"):
        array = np.asarray(value)
    elif hasattr(value, "__dlpack__"):
        array = np.from_dlpack(value)
    else:
        return value
    if array.size < LARGEST_COMPARED and array.dtype.kind in "fiub":
        return np.array(array, array.dtype.newbyteorder("="), order="C", subok=False)
    return value


def same(left: Any, right: Any) -> bool:
    """Whether two results have the same bits."""
    if isinstance(left, tuple | list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, np.ndarray):
        if left.shape != right.shape:
            return False
        # Of large results no bits: there is no memory for three of them.
        numbers = left.dtype.kind in "fiubc" and left.size < LARGEST_COMPARED
        return not numbers or left.tobytes() == right.tobytes()
    return type(left) is type(right)


def described(value: Any, depth: int = 2) -> str:
    """A short text for a value of any kind, which asks no liar."""
    kind = type(value).__name__
    if isinstance(value, np.ndarray):
        odd = "" if value.flags.c_contiguous else f", strides {value.strides}"
        odd += "" if value.flags.aligned else ", unaligned"
        odd += "" if value.flags.writeable else ", read-only"
        return f"{kind}({value.dtype.str} {value.shape}{odd})"
    if isinstance(value, int | float | str | bytes | np.generic | type(None)):
        return repr(value)[:80]
    if isinstance(value, tuple | list) and depth and len(value) < 8:
        return f"{kind}[{', '.join(described(v, depth - 1) for v in value)}]"
    if isinstance(value, dict) and depth:
        inside = ", ".join(f"{k!r:.30}: {described(v, depth - 1)}" for k, v in value.items())
        return f"{{{inside}}}"
    return f"<{kind}>"

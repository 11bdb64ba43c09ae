"""Values that are no arrays, and objects that say they are.

Owns the liars. A liar never points to memory that is not there: NumPy believes the shape, strides
and offset of an array interface, even beside a buffer whose size it could look at, and whoever lies
there has crashed the process by himself. Must not know what is called.
"""

from __future__ import annotations

import decimal
import fractions
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fuzz.choices import Choices

Array = np.ndarray[Any, Any]

# Past every memory, and past the integers of C. What only a strong machine could hold is left out.
HUGE = (2**31, 2**40, 2**62, 2**63 - 1, 2**63, 2**64, 2**70, 10**400)
INTEGERS = (0, 1, 2, 3, 7, 255, -1, -2, -(2**31), -(2**63), -(10**400), *HUGE)
FLOATS = (0.0, -0.0, 0.5, 1.0, 1.5, -1.0, 5e-324, 1e308, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    "", "x", "weight_ih_l0", "\0", "\ud800", "a" * 300, "any", "rows", "stdout", "right", "é",
    "int8",
)  # fmt: skip


class Lie(Exception):
    """What a liar's own methods raise; it may pass through any call."""


def raising(*_: Any, **__: Any) -> Any:
    raise Lie("a method of the argument's own")


class Number:
    """Is a number where one is asked for, of another value each time."""

    fickle = True

    def __init__(self, answers: tuple[Any, ...]) -> None:
        self._answers = answers
        self._asked = 0

    def _answer(self) -> Any:
        self._asked += 1
        return self._answers[self._asked % len(self._answers)]

    def __index__(self) -> Any:
        return self._answer()

    def __float__(self) -> Any:
        return self._answer()

    def __bool__(self) -> Any:
        return self._answer()

    def __len__(self) -> Any:
        return self._answer()


class Refusing:
    """Raises at whatever it is asked."""

    __index__ = __float__ = __bool__ = __len__ = __iter__ = __array__ = __fspath__ = raising
    __eq__ = __str__ = __repr__ = raising
    __hash__ = None  # type: ignore[assignment]


class Sequence3:
    """A sequence of three, by the old protocol, whose length lies."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> float:
        if index >= 3:
            raise IndexError
        return 1.0


def giving(array: Any) -> Any:
    """An object whose ``__array__`` gives this, whatever it is."""
    return type("Giving", (), {"__array__": lambda self, dtype=None, copy=None: array})()


def alternating(array: Array) -> Any:
    """An object that gives another array each time it is asked."""
    answers = iter([array, array[:0], array.astype("i4"), array.ravel()] * 8)
    methods = {"__array__": lambda self, *_, **__: next(answers), "fickle": True}
    return type("Alternating", (), methods)()


def interface(array: Array, **changes: Any) -> Any:
    """An object of an array interface."""
    fields = {"shape": array.shape, "typestr": array.dtype.str, "version": 3, "data": bytes(array)}
    fields.update(changes)
    return type("Interface", (), {"__array_interface__": fields})()


def dlpack(array: Array, capsule: Any = None, device: Any = (1, 0)) -> Any:
    """An object of the DLPack protocol."""
    give = (lambda self, **_: array.__dlpack__()) if capsule is None else capsule
    methods = {"__dlpack__": give, "__dlpack_device__": lambda self: device}
    return type("Capsule", (), methods)()


LIARS: tuple[Callable[[Array], Any], ...] = (
    lambda a: giving(None),
    lambda a: giving(a.tolist()),
    lambda a: giving(a[None]),
    lambda a: giving(giving(a)),
    alternating,
    lambda a: interface(a, shape=(-1,)),
    lambda a: interface(a, shape="x"),
    lambda a: interface(a, typestr="<f3"),
    lambda a: interface(a, typestr=None),
    lambda a: interface(a, version=2),
    lambda a: type("Bare", (), {"__array_interface__": {}})(),
    lambda a: type("Struct", (), {"__array_struct__": 3})(),
    lambda a: dlpack(a, lambda self, **_: None),
    lambda a: dlpack(a, lambda self, **_: a.ravel()[:0].__dlpack__()),
    lambda a: dlpack(a, raising),
    lambda a: dlpack(a, device=(2, 0)),
    lambda a: dlpack(a, device="x"),
)


def _nested(depth: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    return nested


def _endless() -> list[Any]:
    itself: list[Any] = []
    itself.append(itself)
    return itself


def _broken() -> Iterator[Any]:
    yield np.zeros((2, 3), np.float32)
    raise Lie


OBJECTS: tuple[Callable[[], Any], ...] = (
    lambda: None,
    lambda: True,
    lambda: 1j,
    list,
    tuple,
    dict,
    object,
    lambda: b"",
    lambda: bytearray(24),
    lambda: [1.0, 2.0, 3.0],
    lambda: (None, None),
    lambda: {0: 1},
    lambda: range(2**40),
    lambda: Ellipsis,
    lambda: slice(None, None, -1),
    lambda: np.ndarray,
    lambda: np.float32(1.5),
    lambda: np.bool_(False),
    lambda: np.datetime64("NaT"),
    lambda: np.array(None, object),
    lambda: np.array([None, 1], object),
    lambda: np.ma.masked,
    lambda: decimal.Decimal("NaN"),
    lambda: fractions.Fraction(1, 3),
    lambda: memoryview(bytes(24)),
    lambda: memoryview(bytes(24)).cast("f", (2, 3)),
    lambda: Number((1, 2**62)),
    lambda: Number((2**70,)),
    lambda: Number(("x", None)),
    Refusing,
    Sequence3,
    lambda: _nested(100),
    _endless,
    _broken,
)


def stranger(choices: Choices) -> Any:
    """Give a value that has nothing to do with what was asked for."""
    kind = choices.below(6)
    if kind == 0:
        return choices.pick(INTEGERS)
    if kind == 1:
        return choices.pick(FLOATS)
    if kind == 2:
        return choices.pick(TEXTS)
    return choices.pick(OBJECTS)()

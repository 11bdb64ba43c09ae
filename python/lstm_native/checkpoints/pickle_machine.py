"""The pickle language without its power: values are made, nothing is imported, nothing is run.

Owns the opcodes that torch writes and the bounds on what they may cost. What a name means, and what
may be called, is asked of a `Dictionary`; must not know torch, and must not import pickle.
"""

import struct
from collections.abc import Callable
from typing import Any, Protocol

# A state dict takes about 30 opcodes for each tensor; an honest one with an optimizer's state fits.
MOST_OPCODES = 500_000
# Names and numbers in one pickle; tensors lie outside it.
MOST_TEXT = 4_000_000
LARGEST_NUMBER = 16

_SCALARS = (str, int, float, type(None))


class Dictionary(Protocol):
    """What the pickle's names mean; each method raises ValueError for what it does not allow."""

    def find(self, module: str, name: str) -> Any:
        """The meaning of a global name."""

    def call(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """The value of a call."""

    def create(self, kind: Any, arguments: tuple[Any, ...]) -> Any:
        """A new object of a class."""

    def build(self, value: Any, state: Any) -> None:
        """Give an object its state."""

    def stored(self, identity: Any) -> Any:
        """What lies outside the pickle under an identity."""


def run(data: memoryview, position: int, dictionary: Dictionary) -> tuple[Any, int]:
    """Run one pickle in `data`.

    Returns its value, and the position after it; ValueError if it is damaged or not allowed.
    """
    machine = _Machine(data, position, dictionary)
    try:
        for _ in range(MOST_OPCODES):
            opcode = machine.byte()
            if opcode == ord("."):
                return machine.stack.pop(), machine.position
            operation = _OPERATIONS.get(opcode)
            if operation is None:
                raise ValueError(
                    f"its pickle has an opcode {bytes([opcode])!r} that is not allowed"
                )
            operation(machine)
    except (IndexError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise ValueError(f"its pickle is damaged before byte {machine.position}") from error
    raise ValueError(f"its pickle has more than {MOST_OPCODES} opcodes")


class _Machine:
    """A stack, marks in it, a memo, and a place in the data."""

    def __init__(self, data: memoryview, position: int, dictionary: Dictionary) -> None:
        self.data = data
        self.position = position
        self.dictionary = dictionary
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.text = 0

    def byte(self) -> int:
        value = self.data[self.position]
        self.position += 1
        return value

    def take(self, size: int) -> bytes:
        if size > len(self.data) - self.position:
            raise ValueError("its pickle ends too early")
        self.text += size
        if self.text > MOST_TEXT:
            raise ValueError(f"its pickle holds more than {MOST_TEXT} bytes of text")
        piece = self.data[self.position : self.position + size].tobytes()
        self.position += size
        return piece

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def long(self) -> int:
        size = self.byte()
        if size > LARGEST_NUMBER:
            raise ValueError(f"its pickle holds a number of {size} bytes")
        return int.from_bytes(self.take(size), "little", signed=True)

    def line(self) -> str:
        window = self.data[self.position : self.position + 1000].tobytes()
        return self.take(window.index(b"\n") + 1)[:-1].decode()

    def after_mark(self) -> list[Any]:
        mark = self.marks.pop()
        values = self.stack[mark:]
        del self.stack[mark:]
        return values

    def tuple_of(self, size: int) -> None:
        if size > len(self.stack):
            raise IndexError
        values = tuple(self.stack[len(self.stack) - size :])
        del self.stack[len(self.stack) - size :]
        self.stack.append(values)

    def extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise TypeError
        target.extend(values)

    def add_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not set or not all(isinstance(value, _SCALARS) for value in values):
            raise TypeError
        target.update(values)

    def set_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(values) % 2:
            raise TypeError
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Hashing a deep tuple would overrun the C stack.
            if not isinstance(key, _SCALARS):
                raise ValueError(f"a key in its pickle is of type {type(key).__name__}")
            target[key] = value

    def find(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise TypeError
        self.stack.append(self.dictionary.find(module, name))

    def apply(self, how: Callable[[Any, tuple[Any, ...]], Any]) -> None:
        arguments, target = self.stack.pop(), self.stack.pop()
        if type(arguments) is not tuple:
            raise TypeError
        self.stack.append(how(target, arguments))

    def build(self) -> None:
        state = self.stack.pop()
        self.dictionary.build(self.stack[-1], state)


def _push(value: Callable[[_Machine], Any]) -> Callable[[_Machine], None]:
    return lambda m: m.stack.append(value(m))


def _remember(index: Callable[[_Machine], int]) -> Callable[[_Machine], None]:
    return lambda m: m.memo.__setitem__(index(m), m.stack[-1])


def _global(m: _Machine) -> None:
    module = m.line()
    m.find(module, m.line())


def _stack_global(m: _Machine) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    m.find(module, name)


def _pair(m: _Machine) -> list[Any]:
    value, key = m.stack.pop(), m.stack.pop()
    return [key, value]


_OPERATIONS: dict[int, Callable[[_Machine], Any]] = {
    0x80: lambda m: m.byte(),  # PROTO
    0x95: lambda m: m.take(8),  # FRAME
    ord("("): lambda m: m.marks.append(len(m.stack)),
    ord("0"): lambda m: m.stack.pop(),
    ord("1"): lambda m: m.after_mark(),
    ord("N"): _push(lambda m: None),
    0x88: _push(lambda m: True),
    0x89: _push(lambda m: False),
    ord("J"): _push(lambda m: m.number("<i")),
    ord("K"): _push(lambda m: m.byte()),
    ord("M"): _push(lambda m: m.number("<H")),
    0x8A: _push(lambda m: m.long()),
    ord("G"): _push(lambda m: m.number(">d")),
    ord("X"): _push(lambda m: m.take(m.number("<I")).decode(errors="surrogatepass")),
    0x8C: _push(lambda m: m.take(m.byte()).decode(errors="surrogatepass")),
    ord("U"): _push(lambda m: m.take(m.byte()).decode("latin-1")),
    ord("T"): _push(lambda m: m.take(m.number("<I")).decode("latin-1")),
    ord(")"): _push(lambda m: ()),
    ord("t"): _push(lambda m: tuple(m.after_mark())),
    0x85: lambda m: m.tuple_of(1),
    0x86: lambda m: m.tuple_of(2),
    0x87: lambda m: m.tuple_of(3),
    ord("]"): _push(lambda m: []),
    ord("l"): _push(lambda m: m.after_mark()),
    ord("a"): lambda m: m.extend([m.stack.pop()]),
    ord("e"): lambda m: m.extend(m.after_mark()),
    0x8F: _push(lambda m: set()),
    0x90: lambda m: m.add_items(m.after_mark()),
    ord("}"): _push(lambda m: {}),
    ord("s"): lambda m: m.set_items(_pair(m)),
    ord("u"): lambda m: m.set_items(m.after_mark()),
    ord("c"): _global,
    0x93: _stack_global,
    ord("R"): lambda m: m.apply(m.dictionary.call),
    0x81: lambda m: m.apply(m.dictionary.create),
    ord("b"): lambda m: m.build(),
    ord("Q"): _push(lambda m: m.dictionary.stored(m.stack.pop())),
    ord("q"): _remember(lambda m: m.byte()),
    ord("r"): _remember(lambda m: m.number("<I")),
    0x94: _remember(lambda m: len(m.memo)),
    ord("h"): _push(lambda m: m.memo[m.byte()]),
    ord("j"): _push(lambda m: m.memo[m.number("<I")]),
}

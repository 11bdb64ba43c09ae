"""Damage that knows no format: bits, numbers, pieces, ends.

Owns also the integers that formats are likely to trip over.
"""

import random
from collections.abc import Callable

Mutator = Callable[[bytes, random.Random], bytes]

_POWERS = (7, 8, 15, 16, 31, 32, 48, 62, 63, 64)
EXTREMES = [0, 1, 2, -1, -2, *(2**p + d for p in _POWERS for d in (-1, 0, 1))]


def extreme(rng: random.Random, size: int) -> int:
    """An integer at an edge: of a type, or of the file."""
    return rng.choice([rng.choice(EXTREMES), size + rng.randint(-2, 2), rng.randrange(1 << 16)])


def packed(value: int, width: int, order: str = "little") -> bytes:
    """The lowest bytes of a value."""
    return (value % (1 << 8 * width)).to_bytes(width, "little" if order == "little" else "big")


def overwritten(content: bytes, at: int, piece: bytes) -> bytes:
    """The content with a piece in the place of as many bytes."""
    return content[:at] + piece + content[at + len(piece) :]


def bits(content: bytes, rng: random.Random) -> bytes:
    """Flip a few bits."""
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if damaged:
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def integer(content: bytes, rng: random.Random) -> bytes:
    """Write an integer at an edge over something."""
    width = rng.choice((1, 2, 4, 8))
    at = rng.randrange(max(1, len(content) - width))
    if rng.random() < 0.5:
        at -= at % width
    return overwritten(content, at, packed(extreme(rng, len(content)), width))


def cut(content: bytes, rng: random.Random) -> bytes:
    """Lose the end."""
    return content[: rng.randrange(len(content) + 1)]


def piece_lost(content: bytes, rng: random.Random) -> bytes:
    """Lose a piece of the middle."""
    at, size = rng.randrange(len(content) + 1), rng.choice((1, 4, 16, 200))
    return content[:at] + content[at + size :]


def piece_copied(content: bytes, rng: random.Random) -> bytes:
    """Put a piece elsewhere, too, over what is there or between."""
    size = rng.choice((1, 4, 8, 30, 500))
    start, at = (rng.randrange(len(content) + 1) for _ in range(2))
    piece = content[start : start + size]
    return content[:at] + piece + content[at + rng.choice((0, len(piece))) :]


def noise(content: bytes, rng: random.Random) -> bytes:
    """Put in random bytes."""
    at, size = rng.randrange(len(content) + 1), rng.choice((1, 3, 10, 100))
    return content[:at] + rng.randbytes(size) + content[at + rng.choice((0, size)) :]


MUTATORS: list[Mutator] = [bits, bits, integer, integer, cut, piece_lost, piece_copied, noise]


def any_of(content: bytes, rng: random.Random) -> bytes:
    """Damage in one of these ways."""
    return rng.choice(MUTATORS)(content, rng)

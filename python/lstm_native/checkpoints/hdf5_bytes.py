"""The bytes of an HDF5 file, for what is looked at before the HDF5 library does.

Owns the numbers in them, and the form of file that is looked at. Must not know what they mean.
"""

from mmap import mmap
from typing import TypeAlias

Bytes: TypeAlias = bytes | mmap

MAGIC = b"\x89HDF\r\n\x1a\n"


def number(content: Bytes, at: int, size: int) -> int:
    """An unsigned number of `size` bytes."""
    return int.from_bytes(content[at : at + size], "little")


def check_form(content: Bytes) -> None:
    """Refuse a file whose addresses are not of eight bytes from its beginning on."""
    if len(content) < 48:
        raise ValueError("it ends too early")
    old = content[8] < 2
    sizes, base = (content[13:15], 24) if old else (content[9:11], 12)
    if content[8] == 1:
        base += 4
    if sizes != b"\x08\x08" or number(content, base, 8):
        raise ValueError("its addresses are of an unusual form")

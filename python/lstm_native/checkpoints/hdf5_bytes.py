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
    """Refuse a file of addresses that are not of eight bytes, or begin elsewhere; or of a driver.

    The library never returns from some forged addresses of a driver's information, or of the
    extension in its place since version 2 of the form.
    """
    if len(content) < 64:
        raise ValueError("it ends too early")
    old = content[8] < 2
    sizes, base, driver = (content[13:15], 24, 48) if old else (content[9:11], 12, 20)
    shift = 4 if content[8] == 1 else 0
    plain = number(content, base + shift, 8) == 0
    plain &= content[driver + shift : driver + shift + 8] == b"\xff" * 8
    if sizes != b"\x08\x08" or not plain:
        raise ValueError("its addresses are of an unusual form")

"""The heaps in which HDF5 files keep texts, looked at before the HDF5 library does.

Owns one check: the library never returns from a heap with an object that is forged to have no size.
Must not know anything else of HDF5.
"""

from mmap import mmap

_SIGNATURE = b"GCOL\x01"  # and the version
_HEADER = 16


def check(content: bytes | mmap) -> None:
    """Refuse a file with a heap whose objects do not fill it one after the other."""
    at = content.find(_SIGNATURE)
    while at >= 0:
        size = _number(content, at + 8)
        if not _HEADER <= size <= len(content) - at:
            raise ValueError(f"its heap at byte {at} goes beyond its end")
        _check_objects(content, at + _HEADER, at + size)
        at = content.find(_SIGNATURE, at + 1)


def _check_objects(content: bytes | mmap, at: int, end: int) -> None:
    while end - at >= _HEADER:
        index, size = int.from_bytes(content[at : at + 2], "little"), _number(content, at + 8)
        # The free space at the end is object 0, and its size includes the header.
        step = size if index == 0 else _HEADER + (size + 7) // 8 * 8
        if not _HEADER <= step <= end - at:
            raise ValueError(f"an object in its heap, at byte {at}, is said to have {size} bytes")
        at += step


def _number(content: bytes | mmap, at: int) -> int:
    return int.from_bytes(content[at : at + 8], "little")

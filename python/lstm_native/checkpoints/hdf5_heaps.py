"""The heaps in which HDF5 files keep texts, looked at before the HDF5 library does.

Owns one check: the library never returns from a heap with an object that is forged to have no size.
Must not know anything else of HDF5.
"""

from lstm_native.checkpoints.hdf5_bytes import Bytes, number

_SIGNATURE = b"GCOL\x01"  # and the version
_HEADER = 16


def check(content: Bytes) -> None:
    """Refuse a file with a heap whose objects do not fill it one after the other."""
    at, last = content.find(_SIGNATURE), 0
    while at >= 0:
        size = number(content, at + 8, 8)
        if not _HEADER <= size <= len(content) - at:
            raise ValueError(f"its heap at byte {at} goes beyond its end")
        if at < last:
            raise ValueError(f"its heap at byte {at} lies within another")
        last = at + size
        _check_objects(content, at + _HEADER, last)
        at = content.find(_SIGNATURE, at + 1)


def _check_objects(content: Bytes, at: int, end: int) -> None:
    while end - at >= _HEADER:
        index, size = number(content, at, 2), number(content, at + 8, 8)
        # The free space at the end is object 0, and its size includes the header.
        step = size if index == 0 else _HEADER + (size + 7) // 8 * 8
        if not _HEADER <= step <= end - at:
            raise ValueError(f"an object in its heap, at byte {at}, is said to have {size} bytes")
        at += step

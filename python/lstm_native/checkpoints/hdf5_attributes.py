"""Texts among the attributes of HDF5 objects, looked at before the HDF5 library reads them.

Owns one check: the library takes as much memory as a text is said to be long, up to 4 GB, before it
finds that the text is not there. Where an object's header lies is the library's to say. Must not
know what the texts mean.

Source: the HDF5 File Format Specification, version 3.0, IV.A (object headers and their messages).
"""

from collections.abc import Iterator

from lstm_native.checkpoints.hdf5_bytes import Bytes, number

MOST_BLOCKS = 1000

_ATTRIBUTE, _CONTINUATION = 0x0C, 0x10


def check_text(content: Bytes, header: int, name: str) -> None:
    """Refuse an attribute of the object at `header` whose text is said to exceed the file.

    Attributes that do not lie in the header itself are refused, too.
    """
    for kind, start, end in _messages(content, header):
        if kind == _ATTRIBUTE and (data := _data(content, start, end, name.encode())) is not None:
            length = number(content, data, 4)
            if length > len(content):
                raise ValueError(f"its text {name!r} is said to have {length} bytes")
            return
    raise ValueError(f"its text {name!r} lies where it is not looked for")


def _messages(content: Bytes, header: int) -> Iterator[tuple[int, int, int]]:
    """The kind, start and end of every message of an object's header, of either version."""
    modern = content[header : header + 4] == b"OHDR"
    tracked = 0
    if modern:
        flags = content[header + 5]
        tracked = 2 if flags & 4 else 0
        start = header + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        blocks = [(start + width, number(content, start, width))]
    else:
        blocks = [(header + 16, number(content, header + 8, 4))]
    for _ in range(MOST_BLOCKS):
        if not blocks:
            return
        at, size = blocks.pop()
        end = min(at + size, len(content))
        while at + 8 <= end:
            if modern:
                kind, length, at = content[at], number(content, at + 1, 2), at + 4 + tracked
            else:
                kind, length, at = number(content, at, 2), number(content, at + 2, 2), at + 8
            if kind == _CONTINUATION:
                place, size = number(content, at, 8), number(content, at + 8, 8)
                # A continuation of the newer version has a signature before and a checksum after.
                blocks.append((place + 4, size - 8) if modern else (place, size))
            yield kind, at, min(at + length, end)
            at += length


def _data(content: Bytes, start: int, end: int, name: bytes) -> int | None:
    """Where the data of an attribute message begins, if the attribute is called `name`."""
    if end - start < 9:
        return None
    version = content[start]
    sizes = [number(content, start + at, 2) for at in (2, 4, 6)]
    begin = start + (9 if version == 3 else 8)
    if content[begin : begin + sizes[0]].rstrip(b"\0") != name:
        return None
    if version == 1:
        sizes = [(size + 7) // 8 * 8 for size in sizes]
    data = begin + sum(sizes)
    return data if data + 4 <= end else None

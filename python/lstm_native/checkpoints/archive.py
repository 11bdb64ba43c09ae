"""Zip archives: the outer form of npz, PyTorch and Keras files.

Owns the bounds within which an archive is believed, so that a hostile one costs no more than its
size allows: directory, names, places of the members, methods of compression. Must not know what the
members hold.
"""

import contextlib
import io
import os
import zipfile
import zlib
from collections.abc import Iterator

# No read asks for more at once, so neither can the directory, which zipfile reads in one piece.
LARGEST_READ = 1_000_000
# What is unpacked may exceed the file this much: twice its size, and a little for small files.
MOST_GROWTH = 2
MOST_EXTRA = 12_000_000

_LOCAL_HEADER = 30
_ENCRYPTED = 1


def recognises(start: bytes) -> bool:
    """Tell a zip archive, of whatever, from its first bytes."""
    return start.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def most_bytes(path: str) -> int:
    """How much the contents of a compressed file may take, before they are taken for a bomb."""
    return MOST_GROWTH * os.path.getsize(path) + MOST_EXTRA


@contextlib.contextmanager
def opened(path: str) -> Iterator[zipfile.ZipFile]:
    """Open an archive of distinct names that do not overlap.

    Whatever is wrong in it, and every ValueError of the block, becomes a ValueError that names the
    path.
    """
    with _BoundedReader(io.FileIO(path)) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                _check_directory(archive)
                yield archive
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OverflowError,
            RuntimeError,  # encrypted, or (NotImplementedError) of a version yet to come
            ValueError,
        ) as error:
            raise ValueError(f"{path} cannot be read: {error}.") from error


def unpacked(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """The bytes of a member of at most `most` bytes."""
    size = archive.getinfo(name).file_size
    if size > most:
        raise ValueError(f"{name!r} would take {size} bytes (at most {most})")
    with archive.open(name) as member:
        pieces = []
        for start in range(0, size, LARGEST_READ):
            pieces.append(member.read(min(LARGEST_READ, size - start)))
        member.read(1)  # the end: here the checksum is compared
    return b"".join(pieces)


def place(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[int, int]:
    """Where the bytes of a member begin and end in the file, as its own header says."""
    file = archive.fp
    assert file is not None
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER)
    if len(header) < _LOCAL_HEADER or header[:4] != b"PK\x03\x04":
        raise ValueError(f"the directory points to no member at {info.filename!r}")
    name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    start = info.header_offset + _LOCAL_HEADER + name + extra
    return start, start + info.compress_size


def stored(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[int, int]:
    """Where a member lies that can be mapped: neither compressed nor encrypted."""
    start, stop = place(archive, info)
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & _ENCRYPTED:
        raise ValueError(f"{info.filename!r} should be stored as it is, not compressed")
    if stop - start != info.file_size:
        raise ValueError(f"{info.filename!r} is said to have two sizes")
    return start, stop


class _BoundedReader(io.BufferedReader):
    """A file in which a damaged directory leads to a ValueError, not to much memory or OSError."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > LARGEST_READ:
            raise ValueError(f"its directory would take {size} bytes (at most {LARGEST_READ})")
        return super().read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        if whence == io.SEEK_SET and offset < 0:
            raise ValueError("its directory points before its beginning")
        return super().seek(offset, whence)


def _check_directory(archive: zipfile.ZipFile) -> None:
    seen: set[str] = set()
    for info in archive.infolist():
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{info.filename!r} is compressed by a method that is not read")
        if info.filename in seen:
            name = info.filename.removesuffix(".npy")
            raise ValueError(f"the name {name!r} stands twice in it")
        seen.add(info.filename)
    last = ("", 0)
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset):
        if info.header_offset > archive.start_dir:
            raise ValueError(f"its directory points beyond itself for {info.filename!r}")
        if info.header_offset < last[1]:
            raise ValueError(f"{last[0]!r} and {info.filename!r} overlap")
        last = (info.filename, place(archive, info)[1])
    if last[1] > archive.start_dir:
        raise ValueError(f"{last[0]!r} overlaps the directory")

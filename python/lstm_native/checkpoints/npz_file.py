"""npz files, NumPy's own: a zip archive of one ``.npy`` member per array.

Owns the bounds within which an archive is believed, so that a hostile file costs no more than its
size allows and never runs code. Must not know other formats.
"""

import contextlib
import io
import math
import os
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]

# No read asks for more at once, so neither can the directory, which zipfile reads in one piece.
LARGEST_READ = 1_000_000
# What is unpacked may exceed the file this much: twice its size, and a little for small files.
MOST_GROWTH = 2
MOST_EXTRA = 12_000_000

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def recognises(start: bytes) -> bool:
    """Tell a zip archive, of whatever, from its first bytes."""
    return start.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def members(path: str) -> list[str]:
    """List what a zip archive holds; ValueError if it is damaged."""
    with _opened(path) as archive:
        return archive.namelist()


def read(path: str) -> dict[str, Array]:
    """Read the arrays of a file; ValueError if it is not sound."""
    with _opened(path) as archive:
        most = MOST_GROWTH * os.path.getsize(path) + MOST_EXTRA
        total = sum(info.file_size for info in archive.infolist())
        if total > most:
            raise ValueError(
                f"its arrays would take {total} bytes, suspiciously many for its size (at most "
                f"{most}). If you trust it, read it with numpy.load and save it uncompressed"
            )
        arrays: dict[str, Array] = {}
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name == info.filename:
                raise ValueError(f"its member {name!r} is no .npy array")
            if name in arrays:
                raise ValueError(f"the name {name!r} stands twice in it")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{name!r} is compressed by a method that NumPy does not use")
            with archive.open(info) as member:
                arrays[name] = _array(name, member, info.file_size)
        return arrays


def write(path: str, arrays: dict[str, Array], metadata: dict[str, str] | None) -> None:
    """Write arrays to a new file; the same arrays give the same bytes."""
    if metadata is not None:
        raise ValueError("metadata: an npz file has no place for it; save as .safetensors")
    for name in arrays:
        if "\0" in name:
            raise ValueError(f"state: an npz file cannot hold the name {name!r}")
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            # A ZipInfo made by hand has a fixed date; the archive must not depend on the hour.
            info = zipfile.ZipInfo(f"{name}.npy")
            with archive.open(info, "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)


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


@contextlib.contextmanager
def _opened(path: str) -> Iterator[zipfile.ZipFile]:
    """Open an archive; whatever is wrong in it becomes a ValueError that names the path."""
    with _BoundedReader(io.FileIO(path)) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                yield archive
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OverflowError,
            RuntimeError,  # encrypted, or (NotImplementedError) of a version yet to come
            ValueError,
        ) as error:
            raise ValueError(f"{path} is an npz file that cannot be read: {error}.") from error


def _array(name: str, member: IO[bytes], size: int) -> Array:
    """Read one ``.npy`` member of `size` bytes, which must be those its header speaks of."""
    version = npy.read_magic(member)
    if version not in _HEADERS:
        raise ValueError(f"{name!r} is of .npy version {version}, which no array of numbers needs")
    try:
        shape, fortran_order, dtype = _HEADERS[version](member)
    except MemoryError:
        raise
    except Exception as error:
        # NumPy parses it by ast.literal_eval, which raises nearly anything.
        raise ValueError(f"the .npy header of {name!r} is damaged: {error}") from error
    if dtype.kind not in "biufc":
        raise ValueError(f"{name!r} holds no numbers or booleans but {dtype}, which is not read")
    expected, left = math.prod(shape) * dtype.itemsize, size - member.tell()
    if expected != left:
        raise ValueError(f"{name!r} should hold {expected} bytes of data but has {left}")
    array = np.empty(shape[::-1] if fortran_order else shape, dtype)
    data = array.reshape(-1).view(np.uint8)
    for start in range(0, left, LARGEST_READ):
        piece = data[start : start + LARGEST_READ]
        piece[:] = np.frombuffer(member.read(piece.size), np.uint8)
    return array.T if fortran_order else array

"""npz files, NumPy's own: a zip archive of one ``.npy`` member per array.

Owns the ``.npy`` members, and the archive's comment, which holds the notes as a JSON object where
NumPy does not look. Must not know other formats.
"""

import json
import math
import zipfile
from typing import IO

import numpy as np
from numpy.lib import format as npy

from lstm_native.checkpoints import archive
from lstm_native.checkpoints.contents import Array, Contents, add

LARGEST_COMMENT = 65535  # a zip archive's own limit

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read(path: str) -> Contents:
    """Read the arrays of a file; ValueError if it is not sound."""
    with archive.opened(path) as file:
        most = archive.most_bytes(path)
        total = sum(info.file_size for info in file.infolist())
        if total > most:
            raise ValueError(
                f"its arrays would take {total} bytes, suspiciously many for its size (at most "
                f"{most}). If you trust it, read it with numpy.load and save it uncompressed"
            )
        arrays: dict[str, Array] = {}
        for info in file.infolist():
            name = info.filename.removesuffix(".npy")
            if name == info.filename:
                raise ValueError(f"its member {name!r} is no .npy array")
            with file.open(info) as member:
                add(arrays, name, _array(name, member, info.file_size))
        return Contents(arrays, _notes(file.comment))


def write(path: str, arrays: dict[str, Array], notes: dict[str, str] | None) -> None:
    """Write arrays to a new file; the same arrays give the same bytes."""
    for name in arrays:
        if "\0" in name:
            raise ValueError(f"state: an npz file cannot hold the name {name!r}")
    comment = json.dumps(notes).encode() if notes else b""
    if len(comment) > LARGEST_COMMENT:
        raise ValueError(
            f"metadata: an npz file cannot hold {len(comment)} bytes of it (at most "
            f"{LARGEST_COMMENT})"
        )
    with zipfile.ZipFile(path, "w") as file:
        file.comment = comment
        for name, array in arrays.items():
            # A ZipInfo made by hand has a fixed date; the archive must not depend on the hour.
            info = zipfile.ZipInfo(f"{name}.npy")
            with file.open(info, "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)


def _notes(comment: bytes) -> dict[str, str]:
    """The notes in an archive's comment; a comment of others is none of our notes."""
    try:
        notes = json.loads(comment.decode())
    except (ValueError, RecursionError):
        return {}
    if not isinstance(notes, dict) or not all(isinstance(v, str) for v in notes.values()):
        return {}
    return notes


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
    for start in range(0, left, archive.LARGEST_READ):
        piece = data[start : start + archive.LARGEST_READ]
        content = member.read(piece.size)
        if len(content) != piece.size:
            raise ValueError(f"{name!r} ends before its {left} bytes of data")
        piece[:] = np.frombuffer(content, np.uint8)
    return array.T if fortran_order else array

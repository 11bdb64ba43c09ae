"""safetensors files: read as views of the mapped file, written by the ``safetensors`` package.

Owns the way from the header to arrays, and its table of dtypes. The package, imported on first use,
judges the file; reading the header again is needed since it gives no offsets and, without
``ml_dtypes``, no bfloat16. Files to be mapped are written here: the package orders arrays by name.
Must not know other formats.
"""

import json
from collections import Counter
from typing import Any

import numpy as np

from lstm_native.checkpoints import bfloat16
from lstm_native.checkpoints.contents import Array, Contents

# Room for the names of some 10,000 arrays, yet little enough to parse for anyone.
LARGEST_HEADER = 1_000_000

# Bytes. In a file to be mapped the first array begins at such a boundary, and the others where the
# one before ends; no supported CPU has smaller pages.
PAGE = 4096

_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("u1"),
    "U8": np.dtype("u1"),
    "I8": np.dtype("i1"),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "C64": np.dtype("<c8"),
}

_WRITTEN = {d: name for name, d in _DTYPES.items() if name not in ("BOOL", "BF16")}
_WRITTEN[np.dtype(bool)] = "BOOL"


def recognises(start: bytes) -> bool:
    """Tell from the first nine bytes: the length of the header, then its brace."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 2**63


def read(path: str) -> Contents:
    """Read the arrays of a file, mapped; ValueError if it is not sound."""
    import safetensors

    mapped = np.asarray(np.memmap(path, np.uint8, mode="c"))
    size = int.from_bytes(mapped[:8].tobytes(), "little")
    if size > LARGEST_HEADER:
        raise ValueError(
            f"{path} is no safetensors file that can be read: its header would take {size} bytes "
            f"(at most {LARGEST_HEADER})."
        )
    try:
        with safetensors.safe_open(path, framework="np"):
            pass
        header = json.loads(
            mapped[8 : 8 + size].tobytes().decode(), object_pairs_hook=_without_duplicates
        )
        notes = header.pop("__metadata__", None) or {}
        data = mapped[8 + size :]
        arrays = {name: _array(name, data, **entry) for name, entry in header.items()}
        return Contents(arrays, notes)
    except (safetensors.SafetensorError, ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is a damaged safetensors file: {error}") from error


def write(path: str, arrays: dict[str, Array], notes: dict[str, str] | None) -> None:
    """Write C-contiguous little-endian arrays to a new file."""
    import safetensors.numpy

    _check(arrays)
    safetensors.numpy.save_file(arrays, path, notes)


def write_in_order(path: str, arrays: dict[str, Array], notes: dict[str, str] | None) -> None:
    """Write C-contiguous little-endian arrays one after the other, the first at a page's start."""
    _check(arrays)
    header: dict[str, Any] = {"__metadata__": notes or {}}
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": _WRITTEN[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % PAGE)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            file.write(array.data)


def _check(arrays: dict[str, Array]) -> None:
    if "__metadata__" in arrays:
        raise ValueError("state: a safetensors file cannot hold an array named '__metadata__'")
    for name, array in arrays.items():
        if array.dtype not in _WRITTEN:
            raise TypeError(f"state[{name!r}]: a safetensors file cannot hold {array.dtype}")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise ValueError(f"the name {twice!r} stands twice in its header")
    return entries


def _array(
    name: str, data: Array, dtype: str, shape: list[int], data_offsets: tuple[int, int]
) -> Array:
    """Give a view of `data`, the bytes (uint8) after the header; a copy where it must change."""
    if dtype not in _DTYPES:
        raise ValueError(f"{name!r} is of dtype {dtype}, for which NumPy has none")
    start, stop = data_offsets
    array: Array = data[start:stop].view(_DTYPES[dtype]).reshape(shape)
    if dtype == "BF16":
        array = bfloat16.widened(array)
    if dtype == "BOOL":
        array = array != 0
    return array if array.flags.aligned else array.copy()

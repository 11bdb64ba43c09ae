"""The inside of HDF5 files: arrays by path, and text.

Owns how far a file is believed: links, sizes, filters, depth. The ``h5py`` package, an extra,
imported on first use, does the reading. Must not know Keras.
"""

import contextlib
import io
import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np

from lstm_native.checkpoints import hdf5_heaps
from lstm_native.checkpoints.contents import Array
from lstm_native.checkpoints.extras import needed

MAGIC = b"\x89HDF\r\n\x1a\n"
MOST_OBJECTS = 100_000
MOST_DEPTH = 50

_FILTERS = {1, 2, 3, 32000}  # deflate, shuffle, Fletcher's checksum, LZF


@contextlib.contextmanager
def opened(path: str, content: bytes | None = None) -> Iterator[Any]:
    """Open the file at `path`, or `content` of it; what is wrong becomes a ValueError."""
    h5py = needed("h5py", "keras", path, "a Keras (HDF5) file")
    try:
        if content is None:
            with open(path, "rb") as raw, mmap.mmap(raw.fileno(), 0, prot=mmap.PROT_READ) as mapped:
                hdf5_heaps.check(mapped)
        else:
            hdf5_heaps.check(content)
        with h5py.File(path if content is None else io.BytesIO(content), "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path} is an HDF5 file that cannot be read: {error}.") from error


def text(item: Any, name: str) -> str | None:
    """A text among the attributes of a file or group; None if there is none."""
    if name not in item.attrs:
        return None
    attribute = item.attrs.get_id(name)
    if attribute.shape != ():
        return None
    value = item.attrs[name]
    if isinstance(value, bytes):
        return value.decode()
    return value if isinstance(value, str) else None


def datasets(group: Any, most: int) -> dict[str, Array]:
    """The arrays of numbers in a group by path; ValueError if they would take over `most` bytes."""
    found: dict[str, Array] = {}
    for path, item in _objects(group):
        if not hasattr(item, "shape") or item.shape is None or item.dtype.kind not in "biufc":
            continue
        most -= item.size * item.dtype.itemsize
        if most < 0:
            raise ValueError("its arrays would take suspiciously many bytes for its size")
        _check_storage(path, item)
        array = np.empty(item.shape, item.dtype)
        if array.size:
            item.read_direct(array)
        found[path] = array
    return found


def _objects(group: Any) -> Iterator[tuple[str, Any]]:
    """What is in a group, and in the groups in it; only what lies in this file, each once."""
    import h5py

    waiting: list[tuple[str, Any, int]] = [("", group, 0)]
    seen: set[Any] = set()
    while waiting:
        path, item, depth = waiting.pop()
        if depth > MOST_DEPTH or len(seen) > MOST_OBJECTS:
            raise ValueError("its groups contain each other too deeply")
        if not isinstance(item, h5py.Group):
            yield path, item
            continue
        for name in item:
            if not isinstance(item.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{path}/{name} is a link, which is not followed")
            child = item[name]
            address = h5py.h5o.get_info(child.id).addr
            if address in seen:
                raise ValueError(f"{path}/{name} stands twice in it")
            seen.add(address)
            waiting.append((f"{path}/{name}".lstrip("/"), child, depth + 1))


def _check_storage(path: str, dataset: Any) -> None:
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{path} lies in other files, which are not read")
    plan = dataset.id.get_create_plist()
    filters = {plan.get_filter(index)[0] for index in range(plan.get_nfilters())}
    if filters - _FILTERS:
        raise ValueError(f"{path} is compressed by a method that is not read")
    stored, size = dataset.id.get_storage_size(), dataset.size * dataset.dtype.itemsize
    if stored < size and not filters:
        raise ValueError(f"{path} should have {size} bytes but has {stored}")

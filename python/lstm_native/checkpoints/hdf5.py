"""The inside of HDF5 files: arrays by path, and text.

Owns how far a file is believed: links, sizes, filters, depth. The ``h5py`` package, an extra,
imported on first use, does the reading. Must not know Keras.
"""

import contextlib
import io
import math
import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np

from lstm_native.checkpoints import hdf5_attributes, hdf5_bytes, hdf5_heaps
from lstm_native.checkpoints.contents import Array
from lstm_native.checkpoints.extras import needed
from lstm_native.checkpoints.hdf5_bytes import Bytes

MAGIC = hdf5_bytes.MAGIC
MOST_OBJECTS = 20_000
MOST_DEPTH = 50

_FILTERS = {1, 2, 3, 32000}  # deflate, shuffle, Fletcher's checksum, LZF


class File:
    """An open file, and its bytes."""

    def __init__(self, root: Any, content: Bytes) -> None:
        self.root = root
        self._content = content

    def group(self, path: str) -> Any | None:
        """A group by its path, if it lies in this file."""
        import h5py

        if not isinstance(self.root.get(path, getlink=True), h5py.HardLink):
            return None
        found = self.root[path]
        return found if isinstance(found, h5py.Group) else None

    def text(self, group: Any, name: str) -> str | None:
        """A text among the attributes of a group; None if there is none."""
        import h5py

        if name not in group.attrs:
            return None
        attribute = group.attrs.get_id(name)
        kind = attribute.get_type()
        if attribute.shape != () or not isinstance(kind, h5py.h5t.TypeStringID):
            return None
        if kind.is_variable_str():
            address = h5py.h5o.get_info(group.id).addr
            hdf5_attributes.check_text(self._content, address, name)
        value = group.attrs[name]
        return value.decode() if isinstance(value, bytes) else value


@contextlib.contextmanager
def opened(path: str, content: bytes | None = None) -> Iterator[File]:
    """Open the file at `path`, or `content` of it; what is wrong becomes a ValueError."""
    h5py = needed("h5py", "keras", path, "a Keras (HDF5) file")
    try:
        with contextlib.ExitStack() as stack:
            seen: Bytes
            if content is None:
                raw = stack.enter_context(open(path, "rb"))
                seen = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
                stack.callback(seen.close)
            else:
                seen = content
            hdf5_bytes.check_form(seen)
            hdf5_heaps.check(seen)
            source = path if content is None else io.BytesIO(content)
            yield File(stack.enter_context(h5py.File(source, "r")), seen)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path} is an HDF5 file that cannot be read: {error}.") from error


def datasets(group: Any, most: int) -> dict[str, Array]:
    """The arrays of numbers in a group by path; ValueError if they would take over `most` bytes."""
    import h5py

    found: dict[str, Array] = {}
    for path, item in _objects(group):
        if not isinstance(item, h5py.Dataset):
            continue
        _check_place(path, item)  # first: the shape of a virtual array may lie in other files
        if item.shape is None or item.dtype.kind not in "biufc":
            continue
        most -= item.size * item.dtype.itemsize
        if min(most, most - math.prod(item.chunks or ()) * item.dtype.itemsize) < 0:
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


def _check_place(path: str, dataset: Any) -> None:
    import h5py

    plan = dataset.id.get_create_plist()
    if plan.get_layout() == h5py.h5d.VIRTUAL or plan.get_external_count():
        raise ValueError(f"{path} lies in other files, which are not read")


def _check_storage(path: str, dataset: Any) -> None:
    plan = dataset.id.get_create_plist()
    filters = {plan.get_filter(index)[0] for index in range(plan.get_nfilters())}
    if filters - _FILTERS:
        raise ValueError(f"{path} is compressed by a method that is not read")
    stored, size = dataset.id.get_storage_size(), dataset.size * dataset.dtype.itemsize
    if stored < size and not filters:
        raise ValueError(f"{path} should have {size} bytes but has {stored}")

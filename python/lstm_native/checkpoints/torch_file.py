"""PyTorch's files: ``.pt`` archives, those of TorchScript, and the form before torch 1.6.

Owns where the pickle and the storages lie; storages are views of the mapped file. What a pickle may
say is the matter of ``torch_objects``. Must not know other formats.
"""

import zipfile
from typing import Any

import numpy as np

from lstm_native.checkpoints import archive, pickle_machine
from lstm_native.checkpoints.contents import Array, Contents
from lstm_native.checkpoints.torch_names import named
from lstm_native.checkpoints.torch_objects import Order, Storage, TorchDictionary

LARGEST_PICKLE = 8_000_000
MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001

_PICKLE = "/data.pkl"


def recognises_archive(members: list[str]) -> bool:
    """Tell an archive of torch, TorchScript's too, by the members that only they have."""
    return any(name.endswith(_PICKLE) for name in members)


def recognises(start: bytes) -> bool:
    """Tell a file of the form before torch 1.6 from its first bytes."""
    return start.startswith(b"\x80") and MAGIC.to_bytes(10, "little") in start


def read_archive(path: str) -> Contents:
    """Read the tensors of an archive, mapped; ValueError if it is not sound."""
    with archive.opened(path) as file:
        names = [name for name in file.namelist() if name.endswith(_PICKLE)]
        if len(names) != 1:
            raise ValueError(f"it holds {len(names)} pickles named data.pkl")
        root = names[0].removesuffix(_PICKLE)
        pickle = archive.unpacked(file, names[0], LARGEST_PICKLE)
        order = _order(file, f"{root}/byteorder")
        mapped = np.asarray(np.memmap(path, np.uint8, mode="c"))

        dictionary = TorchDictionary()
        value, _ = pickle_machine.run(memoryview(pickle), 0, dictionary)
        dictionary.finish()
        memory = {}
        for key, storage in dictionary.storages.items():
            start, stop = _member(file, f"{root}/data/{key}")
            memory[key] = _array(storage, mapped[start:stop], order)
        contents = _contents(value, memory)
        if not contents.arrays and f"{root}/constants.pkl" in file.namelist():
            raise ValueError(
                "it is a TorchScript archive without parameters: torch.jit.freeze leaves constants "
                "without names. Save the module before it is frozen"
            )
        return contents


def read(path: str) -> Contents:
    """Read the tensors of a file of the form before torch 1.6, mapped; ValueError if not sound."""
    mapped = np.asarray(np.memmap(path, np.uint8, mode="c"))
    data = mapped.data
    try:
        # Magic number, version and system are pickles of their own, before the one that matters.
        dictionary = TorchDictionary()
        magic, at = pickle_machine.run(data, 0, dictionary)
        version, at = pickle_machine.run(data, at, dictionary)
        system, at = pickle_machine.run(data, at, dictionary)
        if magic != MAGIC or version != VERSION or type(system) is not dict:
            raise ValueError("it does not begin as files of torch do")
        order: Order = "<" if system.get("little_endian", True) else ">"
        value, at = pickle_machine.run(data, at, dictionary)
        keys, at = pickle_machine.run(data, at, dictionary)
        dictionary.finish()
        if type(keys) is not list or not all(type(key) is str for key in keys):
            raise ValueError("it does not say which storages follow")
        memory = _sequence(mapped, at, keys, dictionary.storages, order)
        return _contents(value, memory)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{path} cannot be read: {error}.") from error


def _member(file: zipfile.ZipFile, name: str) -> tuple[int, int]:
    try:
        return archive.stored(file, file.getinfo(name))
    except KeyError:
        raise ValueError(f"there is no storage {name!r} in it") from None


def _sequence(
    mapped: Array, at: int, keys: list[str], storages: dict[str, Storage], order: Order
) -> dict[str, Array]:
    """The storages of a legacy file: each a count and its elements, one after the other.

    The file gives no sizes in bytes; they follow from the types named in the pickle.
    """
    if sorted(keys) != sorted(storages):
        raise ValueError("its storages are not those that its pickle speaks of")
    memory = {}
    for key in keys:
        count = mapped[at : at + 8].tobytes()
        storage, at = storages[key], at + 8
        if int.from_bytes(count, "little" if order == "<" else "big") != storage.count:
            raise ValueError(f"its storage {key!r} does not have {storage.count} elements")
        size = storage.count * storage.itemsize
        memory[key] = _array(storage, mapped[at : at + size], order)
        at += size
    return memory


def _array(storage: Storage, data: Array, order: Order) -> Array:
    if data.size != storage.count * storage.itemsize:
        raise ValueError(
            f"its storage {storage.key!r} should hold {storage.count} elements of "
            f"{storage.itemsize} bytes but has {data.size} bytes"
        )
    return storage.array(data, order)


def _contents(value: Any, memory: dict[str, Array]) -> Contents:
    tensors, notes = named(value)
    arrays = {name: tensor.array(memory[tensor.storage.key]) for name, tensor in tensors.items()}
    return Contents(arrays, notes)


def _order(file: zipfile.ZipFile, name: str) -> Order:
    if name not in file.namelist():
        return "<"
    order = archive.unpacked(file, name, 16)
    if order not in (b"little", b"big"):
        raise ValueError(f"its byte order is {order!r}")
    return "<" if order == b"little" else ">"

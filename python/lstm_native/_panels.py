"""Packed weights outside the core: the name of their order, and their place in a file.

A file written with ``packed=True`` holds the packed copy before the parameters, which lie as the
flat buffer does. A network made of it with ``mmap=True`` reads both where they are. Owns what such
a file must fulfil. Must not know formats, nor networks.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_native import functional
from lstm_native.parameters import Config, FloatArray, Storage

ARRAY = "lstm_native.packed"  # of the packed copy in a file
NOTE = "lstm_native.packing"  # on the order it is in

_AGAIN = "write it again on this machine with save(path, network, packed=True)"


@cache
def packing(dtype: np.dtype[Any], storage: Storage | None = None) -> str:
    """Name the order in which the kernels of this process read weights.

    The type of a weight, and a digest of how two networks of counted parameters are packed:
    whatever changes the order changes its name.
    """
    import hashlib  # slow to import, and seldom asked

    digest = hashlib.sha256()
    for config in (Config(3, 5, 2, bidirectional=True, proj_size=2), Config(37, 70)):
        weights = functional.pack(np.arange(config.parameter_count, dtype=dtype), config, storage)
        assert weights is not None
        digest.update(weights.panels().data)
    return f"{storage or dtype.name} {digest.hexdigest()[:16]}"


def mapped_weights(
    arrays: Mapping[str, NDArray[Any]],
    notes: Mapping[str, str],
    config: Config,
    dtype: np.dtype[Any],
    storage: Storage | None,
) -> functional.Weights:
    """Use the packed copy of a file where it lies; ValueError if it is not for this process."""
    if ARRAY not in arrays or NOTE not in notes:
        raise ValueError(
            "mmap=True needs a packed copy, and there is none: write the file with "
            "save(path, network, packed=True)"
        )
    if notes[NOTE] != packing(dtype, storage):
        raise ValueError(
            f"mmap=True needs weights packed for {packing(dtype, storage)!r}, and these are for "
            f"{notes[NOTE]!r}: {_AGAIN}"
        )
    try:
        # The core goes by the dtype of what it is given, not by that of the parameters.
        if arrays[ARRAY].dtype != dtype:
            raise TypeError(f"panels: expected {dtype}, got {arrays[ARRAY].dtype}")
        return functional.use_packed(arrays[ARRAY], config, storage)
    except (TypeError, ValueError) as error:
        raise ValueError(f"its packed copy is damaged: {error}") from None


def borrowed(parameters: Sequence[NDArray[Any]], dtype: np.dtype[Any]) -> FloatArray:
    """The piece of a mapped file that `parameters` fill one after the other, for reading only.

    ValueError if they lie otherwise.
    """
    filled = [array for array in parameters if array.size]
    mapping = _mapping(filled[0])
    end = start = filled[0].ctypes.data
    for array in filled:
        if (
            array.dtype != dtype
            or not array.flags.c_contiguous
            or array.ctypes.data != end
            or _mapping(array) is not mapping
        ):
            raise ValueError(f"mmap=True needs parameters that lie in one piece: {_AGAIN}")
        end += array.nbytes
    if not isinstance(mapping, np.memmap):
        raise ValueError(f"mmap=True needs parameters that need no conversion: {_AGAIN}")
    # Of a read-only view of the memory no array can be made writable again.
    memory = mapping.data.toreadonly()
    return np.frombuffer(
        memory, dtype, (end - start) // dtype.itemsize, start - mapping.ctypes.data
    )


def _mapping(array: NDArray[Any]) -> NDArray[Any]:
    """The array that owns the memory of `array`, or has it from something that is no array."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array

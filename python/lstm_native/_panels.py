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
from lstm_native.parameters import Config, FloatArray
from lstm_native.runtime import isa

ARRAY = "lstm_native.packed"  # of the packed copy in a file
NOTE = "lstm_native.packing"  # on the order it is in

_AGAIN = "write it again on this machine with save(path, network, packed=True)"


@cache
def packing(dtype: np.dtype[Any]) -> str:
    """Name the order in which the kernels of this process read weights.

    The ISA, and a digest of how it packs two networks of counted parameters: whatever changes the
    order changes its name.
    """
    import hashlib  # slow to import, and seldom asked

    digest = hashlib.sha256()
    for config in (Config(3, 5, 2, bidirectional=True, proj_size=2), Config(37, 70)):
        weights = functional.pack(np.arange(config.parameter_count, dtype=dtype), config)
        assert weights is not None
        digest.update(weights.panels().data)
    return f"{isa()} {dtype.name} {digest.hexdigest()[:16]}"


def mapped_weights(
    arrays: Mapping[str, NDArray[Any]],
    notes: Mapping[str, str],
    config: Config,
    dtype: np.dtype[Any],
) -> functional.Weights:
    """Use the packed copy of a file where it lies; ValueError if it is not for this process."""
    if ARRAY not in arrays or NOTE not in notes:
        raise ValueError(
            "mmap=True needs a packed copy, and there is none: write the file with "
            "save(path, network, packed=True)"
        )
    if notes[NOTE] != packing(dtype):
        raise ValueError(
            f"mmap=True needs weights packed for {packing(dtype)!r}, and these are for "
            f"{notes[NOTE]!r}: {_AGAIN}"
        )
    try:
        return functional.use_packed(arrays[ARRAY], config)
    except (TypeError, ValueError) as error:
        raise ValueError(f"its packed copy is damaged: {error}") from None


def borrowed(parameters: Sequence[NDArray[Any]], dtype: np.dtype[Any]) -> FloatArray:
    """The flat buffer that `parameters` lie in, one after the other; ValueError if they do not."""
    end = first = parameters[0].ctypes.data
    for array in parameters:
        if array.dtype != dtype or not array.flags.c_contiguous or array.ctypes.data != end:
            raise ValueError(f"mmap=True needs parameters that lie in one piece: {_AGAIN}")
        end += array.nbytes
    return np.lib.stride_tricks.as_strided(
        parameters[0].reshape(-1), [(end - first) // dtype.itemsize], writeable=False
    )


def may_lend(array: object, count: int, dtype: np.dtype[Any]) -> bool:
    """Whether a network may read its parameters where `array` has them, since nobody may write."""
    return (
        isinstance(array, np.ndarray)
        and not array.flags.writeable
        and array.shape == (count,)
        and array.dtype == dtype
        and array.flags.c_contiguous
        and array.flags.aligned
        and count > 0
    )

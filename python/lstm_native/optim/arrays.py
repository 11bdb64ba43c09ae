"""Parameters and gradients as the optimizers meet them: lists of arrays, checked, block by block.

Owns what may be a parameter or a gradient, and the walk over arrays in blocks that stay in cache.
Must not know any update rule.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lstm_native._checks.arrays import FLOATS

Array: TypeAlias = NDArray[Any]
Arrays: TypeAlias = Array | Iterable[Array]
Gradients: TypeAlias = Array | Iterable[Array | None]

# Of NumPy's search for an overlap of two arrays, which can take minutes where strides are odd.
MOST_WORK = 100_000

# In elements: the seven blocks that Adam works on are well inside the second-level cache.
BLOCK = 8_192


def listed(arrays: Any, name: str) -> list[Any]:
    """A list of what may be one array or an iterable of them."""
    if isinstance(arrays, np.ndarray):
        return [arrays]
    # A memoryview of more than one axis has no elements to iterate over.
    if not isinstance(arrays, Iterable) or isinstance(arrays, memoryview):
        kind = type(arrays).__name__
        raise TypeError(f"{name} should be an ndarray or an iterable of them, got {kind}")
    if hasattr(arrays, "_fields"):
        kind = type(arrays).__name__
        raise TypeError(f"{name} should be ndarrays, got {kind}: pass its .parameters")
    return list(arrays)


def check_float(array: object, name: str) -> None:
    """Refuse what cannot be changed in place as an array of float32 or float64."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} should be an ndarray, got {type(array).__name__}")
    if array.dtype not in FLOATS:
        raise TypeError(f"{name} should be float32 or float64, got {array.dtype}")


def check_parameters(arrays: list[Array]) -> None:
    """Refuse an empty list, what is no array of floats, and arrays that overlap."""
    if not arrays:
        raise ValueError("optimizer got an empty parameter list")
    for index, array in enumerate(arrays):
        check_float(array, f"parameters[{index}]")
        for other in range(index):
            if _overlap(array, arrays[other]):
                raise ValueError(
                    f"parameters[{other}] and parameters[{index}] share memory: "
                    "each step would change it twice"
                )


def _overlap(left: Array, right: Array) -> bool:
    try:
        return np.shares_memory(left, right, max_work=MOST_WORK)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True  # as good as certain: parameters do not lie like that


def check_apart(gradient: Array, parameter: Array, name: str) -> None:
    """Refuse a gradient that a step would change while it still reads it.

    The parameter itself may be its gradient: each element is read before it is written.
    """
    same = gradient.ctypes.data == parameter.ctypes.data and gradient.strides == parameter.strides
    if not same and np.may_share_memory(gradient, parameter):
        raise ValueError(f"{name} shares memory with its parameter: pass a copy")


def check_like(array: Array, parameter: Array, name: str) -> None:
    """Refuse an array of another dtype or shape than the parameter it belongs to."""
    if array.dtype != parameter.dtype:
        raise ValueError(
            f"{name} dtype ({array.dtype}) does not match parameter dtype ({parameter.dtype})"
        )
    if array.shape != parameter.shape:
        raise RuntimeError(f"Expected {name} size {parameter.shape}, got {list(array.shape)}")


def blocks(changed: Array, read: Array, *state: Array) -> Iterator[tuple[Array, ...]]:
    """Walk over arrays of one shape together, in 1-D blocks of at most `BLOCK` elements.

    Writing to a block of any but `read` changes the array, whatever its memory layout.
    """
    access: list[list[Literal["readonly", "readwrite"]]]
    access = [["readwrite"] for _ in (changed, read, *state)]
    access[1] = ["readonly"]
    with np.nditer(
        [changed, read, *state],
        ["external_loop", "buffered", "zerosize_ok"],
        access,
        buffersize=BLOCK,
    ) as walk:
        yield from walk

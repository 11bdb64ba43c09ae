"""Values for parameters: assignments and state dicts.

Owns what may become a weight, and the texts of a failed load. Must not know what holds the
parameters, or any file format.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_native._checks.arrays import as_ndarray
from lstm_native.parameters import Shape


def _castable(array: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    # Casting alone would let integers and booleans through; they are no weights.
    return array.dtype.kind not in "iub" and np.can_cast(array.dtype, dtype, "same_kind")


def same_shape(array: NDArray[Any], name: str, shape: Shape) -> None:
    """Refuse an array of another shape."""
    if array.shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")


def parameter(value: object, name: str, shape: Shape, dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array that may be assigned to the parameter `name`."""
    try:
        array = as_ndarray(value, name)
    except TypeError:
        kind = type(value).__name__
        raise TypeError(
            f"cannot assign '{kind}' as parameter '{name}' (numpy.ndarray expected)"
        ) from None
    if not _castable(array, dtype):
        raise TypeError(f"cannot assign {array.dtype} values as parameter '{name}' ({dtype})")
    same_shape(array, name, shape)
    return array


def mapping(state: object, prefix: object = "") -> Mapping[str, Any]:
    """The state dict; TypeError for what is none, or for what is no prefix of its keys."""
    if not isinstance(state, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state)}.")
    if not isinstance(prefix, str):
        raise TypeError(f"prefix should be of type str, got: {type(prefix).__name__}")
    return state


def state_dict(
    state: Any, expected: Mapping[str, Shape], dtype: np.dtype[Any], owner: str, strict: bool
) -> tuple[dict[str, NDArray[Any]], list[str], list[str]]:
    """What can be loaded of `state`, the missing keys and the unexpected ones.

    Every fault goes into one RuntimeError, as in torch.
    """
    state = mapping(state)
    missing = [name for name in expected if name not in state]
    unexpected = [key for key in state if key not in expected]
    faults = []
    if strict:
        for kind, keys in (("Missing", missing), ("Unexpected", unexpected)):
            if keys:
                listed = ", ".join(f'"{key}"' for key in keys)
                faults.append(f"{kind} key(s) in state_dict: {listed}. ")
    arrays = {}
    for name, shape in expected.items():
        if name in state:
            try:
                arrays[name] = _loadable(state[name], name, shape, dtype)
            except (TypeError, ValueError) as fault:
                faults.append(str(fault))
    if faults:
        listed = "\n\t".join(faults)
        raise RuntimeError(f"Error(s) in loading state_dict for {owner}:\n\t{listed}")
    return arrays, missing, unexpected


def _loadable(value: object, name: str, shape: Shape, dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        array = as_ndarray(value, name)
    except TypeError:
        raise TypeError(
            f'While copying the parameter named "{name}", expected an ndarray or an array-like '
            f"object from checkpoint but received {type(value)}"
        ) from None
    if array.shape != shape:
        raise ValueError(
            f"size mismatch for {name}: copying a param with shape {array.shape} from checkpoint, "
            f"the shape in current model is {shape}."
        )
    if not _castable(array, dtype):
        raise TypeError(
            f'While copying the parameter named "{name}", expected floating-point values but '
            f"received {array.dtype}"
        )
    return array


def under_prefix(
    state: Mapping[str, Any], prefix: str, names: Iterable[str]
) -> dict[str, NDArray[Any]]:
    """The arrays `names`, which are known to be in `state`, under `prefix`."""
    return {name: as_ndarray(state[prefix + name], prefix + name) for name in names}


def widest_float(arrays: Iterable[NDArray[Any]]) -> np.dtype[Any]:
    """The dtype of a network made of `arrays`: float64 if one holds float64 or wider."""
    wide = any(a.dtype.kind == "f" and a.dtype.itemsize >= 8 for a in arrays)
    return np.dtype(np.float64 if wide else np.float32)

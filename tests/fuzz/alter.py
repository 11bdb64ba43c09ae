"""Right arguments made wrong.

Owns the alterations of any value and of the arguments of a call. Must not know what is called.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fuzz.arrays import ALIKE, altered_array
from fuzz.choices import Choices
from fuzz.strangers import FLOATS, INTEGERS, TEXTS, Refusing, stranger
from lstm_native import PackedSequence


def altered(choices: Choices, value: Any) -> Any:
    """Give something else in the place of a value, most often something close to it."""
    try:
        return _altered(choices, value)
    except Exception:  # it cannot be altered so: it stays
        return value


def _altered(choices: Choices, value: Any) -> Any:
    if choices.chance(8):
        return stranger(choices)
    if isinstance(value, np.ndarray):
        return altered_array(choices, value)
    if isinstance(value, PackedSequence):
        return PackedSequence._make(_one_altered(choices, list(value)))  # unchecked
    if isinstance(value, tuple | list):
        return _altered_sequence(choices, value)
    if isinstance(value, dict):
        return _altered_mapping(choices, value)
    if isinstance(value, bool):
        return choices.pick((not value, int(value), np.bool_(value), "x", None))
    if isinstance(value, int):
        return _altered_int(choices, value)
    if isinstance(value, float):
        return choices.pick((*FLOATS, np.float32(value), str(value), -value, complex(value)))
    if isinstance(value, str):
        return choices.pick((*TEXTS, value + "x", value[:-1], value.encode(), value.upper()))
    if isinstance(value, bytes):
        return _altered_bytes(choices, value)
    return stranger(choices)


def altered_arguments(choices: Choices, arguments: dict[str, Any]) -> dict[str, Any]:
    """Alter the arguments of a call: one of them most often, sometimes another one too."""
    result = dict(arguments)
    for _ in range(1 + choices.chance(4)):
        if not result:
            break
        names = list(result)
        name, how = choices.pick(names), choices.below(24)
        if how == 23:
            del result[name]
        elif how == 22:
            result["unknown"] = None
        elif how == 21:
            result[name] = result[choices.pick(names)]  # one object in two places
        elif how == 20:
            other = choices.pick(names)
            result[name], result[other] = result[other], result[name]
        else:
            result[name] = altered(choices, result[name])
    return result


def alike_arguments(choices: Choices, arguments: dict[str, Any]) -> dict[str, Any]:
    """Give the arrays among the first two arguments in another guise, with the same values."""
    names = list(arguments)[:2]
    return arguments | {name: _alike(choices, arguments[name]) for name in names}


def _alike(choices: Choices, value: Any) -> Any:
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return tuple(_alike(choices, v) for v in value)
    if not isinstance(value, np.ndarray):
        return value
    try:
        return choices.pick(ALIKE)(choices, value)
    except (ValueError, BufferError):  # no axes to flip, no name for the dtype
        return value


def _one_altered(choices: Choices, values: list[Any]) -> list[Any]:
    index = choices.below(len(values))
    values[index] = altered(choices, values[index])
    return values


def _altered_sequence(choices: Choices, value: Any) -> Any:
    values, how = list(value), choices.below(8)
    if how == 0:
        values = values[:-1]
    elif how == 1:
        values.append(values[0] if values else None)
    elif how == 2:
        values.reverse()
    elif how == 3:
        return iter(values)
    elif values:
        values = _one_altered(choices, values)
    return values if choices.chance(4) else tuple(values)


def _altered_mapping(choices: Choices, value: dict[Any, Any]) -> Any:
    result, how = dict(value), choices.below(8)
    if how == 0 or not result:
        result[choices.pick((*TEXTS, None, 3, "weight_hr_l0", "weight_ih_l1"))] = np.zeros((4, 1))
        return result
    name = choices.pick(list(result))
    kept = result.pop(name)
    if how == 1:
        return result
    if how == 2:
        result[choices.pick((f"{name}x", None, 0, b"x", ("x",), Refusing))] = kept
        return result
    if how == 3:
        return list(result.items())
    result[name] = altered(choices, kept)
    return result


def _altered_int(choices: Choices, value: int) -> Any:
    near = (value - 1, value + 1, -value, 2 * value, float(value), str(value), np.array(value))
    narrow = (np.int64(value), np.int8(value % 128), np.array([value]), value == 1)
    return choices.pick(choices.pick((near, narrow, INTEGERS)))


def _altered_bytes(choices: Choices, value: bytes) -> Any:
    if not value or choices.chance(4):
        return choices.pick((b"", value[:-1], value + b"\0", bytearray(value), value.hex()))
    # Most often in the first bytes: that is where a state has its indices.
    at = choices.below(min(len(value), choices.pick((24, len(value)))))
    return value[:at] + bytes([choices.below(256)]) + value[at + 1 :]

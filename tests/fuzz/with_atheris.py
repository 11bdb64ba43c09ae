"""The decisions, out of bytes that atheris mutates: ``python -m fuzz.with_atheris TARGET [...]``.

TARGET is ``cases``, which plays cases as ever, or ``interface``, which describes arrays of any
kind by the array interface and hands them to everything that takes one. What follows are options
of libFuzzer, such as ``-max_total_time=120``. Atheris follows which lines of the package are
reached, and keeps the bytes that reach new ones; it cannot where the package is installed editable.
"""

from __future__ import annotations

import sys
from typing import Any

import atheris
import numpy as np

from fuzz.choices import Choices

with atheris.instrument_imports(include=["lstm_native"]):
    import lstm_native
    from fuzz import cases
    from fuzz.calls import ALWAYS, Fault, plain, same
    from lstm_native import LSTM, LSTMCell, optim, runtime

MEMORY = np.arange(-256, 256, dtype=np.float64) / 64
KINDS = ["<f4", "<f8", ">f4", "<f2", "<i8", "|b1", "<c8", "|V4", "<M8[s]", "|S3"]
REFUSED = (*ALWAYS, ValueError, RuntimeError, IndexError)


class Provided(Choices):
    """The decisions in bytes; where they end, the plainest."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def below(self, bound: int) -> int:
        return int(self._provider.ConsumeIntInRange(0, max(bound - 1, 0)))


def play(content: bytes) -> None:
    """A case."""
    cases.play(Provided(atheris.FuzzedDataProvider(content)), runtime.get_num_threads())


class Described:
    """Memory as an array interface describes it, in any way that does not leave it."""

    def __init__(self, provider: Any) -> None:
        typestr = provider.PickValueInList(KINDS)
        if provider.ConsumeProbability() < 0.1:
            typestr = provider.ConsumeUnicode(8)
        shape = tuple(
            provider.ConsumeIntInRange(0, 5) for _ in range(provider.ConsumeIntInRange(0, 4))
        )
        self.__array_interface__: dict[str, Any] = {
            "version": 3, "typestr": typestr, "shape": shape,
            "offset": provider.ConsumeIntInRange(0, 2048), "data": MEMORY.data,
        }  # fmt: skip
        if provider.ConsumeBool():
            steps = tuple(provider.ConsumeIntInRange(-64, 64) for _ in shape)
            self.__array_interface__["strides"] = steps
        if provider.ConsumeProbability() < 0.1:
            self.__array_interface__["descr"] = [("", typestr)]

    def inside(self) -> bool:
        """Whether it describes no other memory: NumPy believes whatever it is told."""
        given = self.__array_interface__
        try:
            dtype = np.dtype(given["typestr"])
        except (TypeError, ValueError, SyntaxError):  # NumPy reads some as Python
            return False
        if dtype.hasobject or dtype.kind == "U" or dtype.subdtype:
            return False  # numbers are no pointers, nor text; and nobody asks for arrays of arrays
        strides = given.get("strides")
        if strides is None:
            strides = np.empty(given["shape"], dtype).strides
        ends = [(n - 1) * step for n, step in zip(given["shape"], strides, strict=True) if n]
        low = given["offset"] + sum(min(end, 0) for end in ends)
        high = given["offset"] + sum(max(end, 0) for end in ends) + dtype.itemsize
        return low >= 0 and high <= MEMORY.nbytes


def describe(content: bytes) -> None:
    """Whatever takes an array, given two that NumPy makes of descriptions."""
    provider = atheris.FuzzedDataProvider(content)
    x: Any = Described(provider)
    other: Any = Described(provider)
    if not (x.inside() and other.inside()):
        return
    try:
        x, other = np.asarray(x), np.asarray(other)
    except (TypeError, ValueError):  # NumPy refuses it
        return
    # Most often a network that these arrays fit.
    features = x.shape[-1] if x.ndim and provider.ConsumeProbability() < 0.9 else 1
    sizes = max(features, 1), 1 + provider.ConsumeIntInRange(0, 3)
    dtype = "f8" if x.dtype.itemsize == 8 else "f4"
    lstm_native.manual_seed(1)
    lstm, cell = LSTM(*sizes, dtype=dtype), LSTMCell(*sizes, dtype=dtype)
    stream = LSTM(*sizes, dtype=dtype).eval().stream()
    for call, repeatable in (
        (lambda: lstm(x), True),
        (lambda: lstm(x, (other, other)), True),
        (lambda: lstm(x, lengths=other), True),
        (lambda: cell(x, (other, other)), True),
        (lambda: lstm.backward(lstm.record(x)[2], other), False),
        (lambda: stream.step(x), False),
        (lambda: setattr(stream, "state", (x, other)), False),
        (lambda: setattr(lstm, "weight_ih_l0", x), False),
        (lambda: lstm.load_state_dict({"weight_ih_l0": x, "bias_hh_l0": other}, False), False),
        (lambda: lstm_native.pack_padded_sequence(x, other), True),
        (lambda: lstm_native.pad_sequence([x, other]), True),
        (lambda: optim.SGD(x.copy()).step(other), False),
    ):
        try:
            result = call()
        except REFUSED:
            continue
        if repeatable and not same(plain(result), plain(call())):
            raise Fault("two calls gave different bits")


TARGETS = {"cases": play, "interface": describe}


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]
    with cases.surroundings():
        atheris.Setup(sys.argv, target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

"""Tensors that an ONNX file keeps in files beside it.

Owns which files those may be: plain ones in the folder of the model, no others. Must not know what
a tensor is.
"""

import os
import posixpath
import stat

import numpy as np

from lstm_native.checkpoints.contents import Array
from lstm_native.checkpoints.onnx_budget import Budget

# What has become a link or a pipe since it was looked at is neither followed nor waited for.
_UNTRUSTED = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def _lies_below(location: str) -> bool:
    """Whether this is the plain relative path of a file, on every system the same.

    ONNX writes it with slashes. A backslash is refused, as is what Windows reads before a colon: a
    drive, or a file of which another stream is meant.
    """
    parts = location.split("/")
    plain = location == posixpath.normpath(location) and not set(location) & set("\\:\0")
    return plain and not {"", ".", ".."} & set(parts)


class External:
    """The files beside a model, each mapped once."""

    def __init__(self, model: str, budget: Budget) -> None:
        self.folder = os.path.dirname(os.path.abspath(model))
        self._budget = budget
        self._mapped: dict[str, Array] = {}

    def bytes_of(self, name: str, keys: dict[str, str]) -> Array:
        """The bytes of tensor `name`, of which the model says `keys`; ValueError if it may not."""
        location = keys.get("location", "")
        if not _lies_below(location):
            raise ValueError(f"the data of {name!r} would lie in {location!r}, which is not read")
        mapped = self._map(name, location)
        try:
            start = int(keys.get("offset", "0"))
            stop = start + int(keys.get("length", len(mapped) - start))
        except ValueError:
            raise ValueError(f"it does not say where in {location!r} {name!r} lies") from None
        if not 0 <= start <= stop <= len(mapped):
            raise ValueError(f"{name!r} does not lie within {location!r}")
        return mapped[start:stop]

    def _map(self, name: str, location: str) -> Array:
        if location not in self._mapped:
            parts = location.split("/")
            path = os.path.join(self.folder, *parts)
            if os.path.realpath(path) != os.path.join(os.path.realpath(self.folder), *parts):
                raise ValueError(f"the data of {name!r} lies behind a link, which is not followed")
            try:
                file = os.fdopen(os.open(path, os.O_RDONLY | _UNTRUSTED), "rb")
            except OSError as error:
                raise ValueError(f"the data of {name!r} should lie in {path}: {error}") from None
            with file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode) or not status.st_size:
                    raise ValueError(f"{path}, where {name!r} should lie, holds nothing")
                self._mapped[location] = np.asarray(np.memmap(file, np.uint8, mode="c"))
            self._budget.grow(status.st_size)
        return self._mapped[location]

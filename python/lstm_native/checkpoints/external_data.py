"""Tensors that an ONNX file keeps in files beside it.

Owns which files those may be: plain ones in the folder of the model, no others. Must not know what
a tensor is.
"""

import os
import stat

import numpy as np

from lstm_native.checkpoints.contents import Array


class External:
    """The files beside a model, each mapped once."""

    def __init__(self, model: str) -> None:
        self._folder = os.path.dirname(os.path.abspath(model))
        self._mapped: dict[str, Array] = {}

    def bytes_of(self, name: str, keys: dict[str, str]) -> Array:
        """The bytes of tensor `name`, of which the model says `keys`; ValueError if it may not."""
        location = keys.get("location", "")
        parts = location.replace("\\", "/").split("/")
        if location != os.path.normpath(location) or os.path.isabs(location) or ".." in parts:
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
            path = os.path.join(self._folder, location)
            if os.path.realpath(path) != os.path.join(os.path.realpath(self._folder), location):
                raise ValueError(f"the data of {name!r} lies behind a link, which is not followed")
            try:
                status = os.stat(path)
            except OSError as error:
                raise ValueError(f"the data of {name!r} should lie in {path}: {error}") from None
            if not stat.S_ISREG(status.st_mode) or not status.st_size:
                raise ValueError(f"{path}, where {name!r} should lie, holds nothing")
            self._mapped[location] = np.asarray(np.memmap(path, np.uint8, mode="c"))
        return self._mapped[location]

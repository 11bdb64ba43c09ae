"""Where the parameters of a module lie, and the packed copy made of them.

Owns the one block of memory behind all parameters, the question whether they still lie in it, and
how gradients are cut out of a flat buffer. Must not know how a network is called.
"""

from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor
from torch.nn import Parameter

from lstm_native import functional, parameters
from lstm_native.parameters import Config, FloatArray

DTYPES: dict[torch.dtype, np.dtype[Any]] = {
    torch.float32: np.dtype(np.float32),
    torch.float64: np.dtype(np.float64),
}

# Up to so many bytes are compared with the GIL held: NumPy, which lets go of it, takes longer.
_SHORT = 1 << 16


def as_array(tensor: Tensor) -> FloatArray:
    """The memory of a CPU tensor as an ndarray: no copy, no gradient."""
    if tensor.requires_grad:
        tensor = tensor.detach()
    return (tensor.resolve_neg() if tensor.is_neg() else tensor).numpy()


class Memory:
    """The parameters of one module, in ``state_dict`` order.

    Each Parameter keeps a storage of its own, so that it is saved and shared as any other; only
    their addresses follow one another. Whoever gives a Parameter other memory is not hindered: each
    call looks, and copies what it finds elsewhere.
    """

    __slots__ = (
        "_addresses",
        "_block",
        "_kept",
        "_offsets",
        "_places",
        "_shapes",
        "config",
        "dtype",
    )

    def __init__(self, config: Config, dtype: torch.dtype) -> None:
        self.config = config
        self.dtype = dtype
        self._shapes = [torch.Size(shape) for shape in parameters.shapes(config).values()]
        self._places: list[slice] = []
        start = 0
        for shape in self._shapes:
            self._places.append(slice(start, start + shape.numel()))
            start += shape.numel()
        self._offsets = [place.start * dtype.itemsize for place in self._places]
        self._block: FloatArray | None = None
        self._addresses: list[int] = []
        self._kept: tuple[bytearray, functional.Weights | None] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy of the module has other parameters and finds a place for them itself.
        return type(None), ()

    def movable(self, weights: Sequence[object]) -> bool:
        """Whether `weights` can be given other memory without anyone else noticing.

        Not when two of them are one, when one is part of something larger, or when it is in memory
        that other processes see.
        """
        return len({id(w) for w in weights}) == len(weights) and all(
            type(w) is Parameter
            and self.readable(w, shape)
            and not w.untyped_storage().is_shared()
            and w.untyped_storage().nbytes() == w.numel() * w.element_size()
            for w, shape in zip(weights, self._shapes, strict=True)
        )

    def move(self, weights: Sequence[Tensor]) -> None:
        """Give `weights` a new block of memory, end to end; values and Parameter objects stay."""
        block = np.empty(self._places[-1].stop, DTYPES[self.dtype])
        for weight, place, shape in zip(weights, self._places, self._shapes, strict=True):
            view = torch.from_numpy(block[place].reshape(shape))
            view.copy_(weight.data)
            weight.data = view
        self._addresses = [weight.data_ptr() for weight in weights]
        self._block = block
        self._kept = None

    def holds(self, weights: Sequence[object]) -> bool:
        """Whether the block is what `weights` are now."""
        if self._block is None:
            return False
        for weight, address, shape in zip(weights, self._addresses, self._shapes, strict=True):
            if (
                type(weight) is not Parameter
                or weight.data_ptr() != address
                or weight.dtype is not self.dtype
                or weight.shape != shape
                or not weight.is_contiguous()
            ):
                return False
        return True

    def readable(self, weight: object, shape: torch.Size) -> TypeGuard[Tensor]:
        """Whether `weight` is an ordinary tensor that can be copied into the block's order."""
        return (
            (type(weight) is Parameter or type(weight) is Tensor)
            and weight.is_cpu
            and weight.layout is torch.strided
            and weight.dtype is self.dtype
            and weight.shape == shape
        )

    def flat(self, weights: Sequence[Any]) -> FloatArray | None:
        """`weights` as one 1-D array: the block itself, or a copy if they are elsewhere.

        None if they are no ordinary tensors of this dtype and these shapes.
        """
        if self.holds(weights):
            return self._block
        if not all(map(self.readable, weights, self._shapes)):
            return None
        return np.concatenate([as_array(weight).ravel() for weight in weights])

    def packed_once(self, flat: FloatArray) -> functional.Weights | None:
        """Pack for a training call. What inference had kept is dropped: it is about to change."""
        self._kept = None
        return functional.pack(flat, self.config)

    def packed(self, flat: FloatArray) -> functional.Weights | None:
        """Pack for inference, or give the packed copy of an earlier call.

        That copy is kept with the values it was made of, and used only while the parameters are the
        same to the bit. Version counters would be quicker to ask, but a write through ``.data``,
        ``.numpy()`` or another process does not move them. Comparing costs a quarter of packing.
        """
        kept = self._kept
        if kept is not None and _same_bits(kept[0], flat):
            return kept[1]
        values = bytearray(flat.data)
        # Of the copy: a writer may be at work.
        packed = functional.pack(np.frombuffer(values, flat.dtype), self.config)
        self._kept = values, packed
        return packed

    def empty(self) -> FloatArray:
        """Room for a flat gradient."""
        return np.empty(self._places[-1].stop, DTYPES[self.dtype])

    def cut(self, flat: FloatArray, wanted: Sequence[bool]) -> list[Tensor | None]:
        """The pieces of a flat gradient that are wanted, as tensors over its memory."""
        dtype, tensor = flat.dtype, torch.from_numpy
        return [
            tensor(np.ndarray(shape, dtype, flat, offset)) if needed else None
            for shape, offset, needed in zip(self._shapes, self._offsets, wanted, strict=True)
        ]


def _same_bits(kept: bytearray, flat: FloatArray) -> bool:
    # Not as floats: NaN equals itself, and zero differs from minus zero.
    if len(kept) <= _SHORT:
        return kept == flat.data
    integers = np.dtype(f"i{flat.itemsize}")
    return np.array_equal(np.frombuffer(kept, integers), flat.view(integers))

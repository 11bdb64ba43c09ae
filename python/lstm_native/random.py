"""Random numbers as torch 2.13 draws them on CPU.

Owns the default generator and the ``Generator`` class around the core's Mersenne Twister. Must not
know what the numbers are for.
"""

import os
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lstm_native import functional
from lstm_native._checks import arguments

_TORCH_SEED = 67280421310721


class Generator:
    """A stream of random numbers, with the methods of ``torch.Generator``.

    A new generator starts from torch's fixed seed 67280421310721. Threads may share one, but what
    each then draws depends on who comes first: for repeatable numbers give each thread its own.

    Notes
    -----
    The engine is MT19937, and its state has the bytes of torch's. Initial weights follow torch of
    every release; dropout masks are those of torch 2.13.

    Examples
    --------
    >>> lstm = LSTM(3, 4, num_layers=2, dropout=0.5)
    >>> lstm.generator = Generator().manual_seed(1)  # its dropout masks, and nobody else's
    """

    __slots__ = ("_engine",)

    def __init__(self) -> None:
        self._engine = functional.generator(_TORCH_SEED)

    def manual_seed(self, seed: int) -> Self:
        """Restart the stream from `seed`; returns the generator itself.

        Parameters
        ----------
        seed : int
            In -2**63..2**64-1; negative seeds wrap modulo 2**64.

        Raises
        ------
        TypeError
            `seed` is not an integer.
        ValueError
            `seed` is out of range.
        """
        self._engine.manual_seed(arguments.seed(seed))
        return self

    def initial_seed(self) -> int:
        """The seed the stream was last started from."""
        return self._engine.initial_seed

    def seed(self) -> int:
        """Restart the stream from a seed of the operating system's; returns that seed."""
        fresh = int.from_bytes(os.urandom(8), "little")
        self._engine.manual_seed(fresh)
        return fresh

    def get_state(self) -> NDArray[np.uint8]:
        """The state, uint8 of shape (5056,), for `set_state` here or in torch.

        Examples
        --------
        ``torch.set_rng_state(torch.from_numpy(generator.get_state()))`` lets torch go on from here.
        """
        return np.frombuffer(self._engine.get_state(), np.uint8).copy()

    def set_state(self, state: bytes | ArrayLike) -> None:
        """Go on from a state that `get_state` gave, here or in torch.

        Parameters
        ----------
        state : bytes or array of uint8, shape (5056,)
            Also ``torch.get_rng_state()`` itself.

        Raises
        ------
        TypeError, ValueError
            Neither bytes nor an array of uint8.
        RuntimeError
            The wrong size, or not the state of this engine.
        """
        content = arguments.generator_state(state)
        try:
            self._engine.set_state(content)
        except ValueError:
            raise RuntimeError("Invalid mt19937 state") from None

    def __getstate__(self) -> bytes:
        return self._engine.get_state()

    def __setstate__(self, state: bytes) -> None:
        self._engine = functional.generator(_TORCH_SEED)
        self._engine.set_state(state)


default_generator = Generator()
default_generator.seed()


def manual_seed(seed: int) -> Generator:
    """Restart the default generator, from which networks draw weights and dropout masks.

    ``manual_seed(s); LSTM(...)`` gives the weights of ``torch.manual_seed(s); nn.LSTM(...)`` bit
    for bit.

    Parameters
    ----------
    seed : int
        In -2**63..2**64-1; negative seeds wrap modulo 2**64.

    Returns
    -------
    Generator
        The default generator.

    Raises
    ------
    TypeError, ValueError
        As :meth:`Generator.manual_seed`.

    Examples
    --------
    >>> generator = manual_seed(0)
    >>> first = LSTM(3, 4)
    >>> generator = manual_seed(0)
    >>> np.array_equal(LSTM(3, 4).flat_parameters, first.flat_parameters)
    True
    """
    return default_generator.manual_seed(seed)

"""``from_file``: from the path of a weight file to a network ready to serve.

Owns which LSTM of a file is meant, and which attributes the file tells. Must not know formats, nor
how a network is called.
"""

import os
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

from lstm_native import checkpoints, inventory
from lstm_native._module import Module


class Loadable(Module):
    """A module that can be made of a file."""

    __slots__ = ()

    @classmethod
    @abstractmethod
    def from_state_dict(cls, state_dict: Mapping[str, Any], prefix: str = "") -> Self:
        """Make a network of the weights in `state_dict`."""

    @classmethod
    def from_file(
        cls, path: str | os.PathLike[str], prefix: str | None = None, **options: Any
    ) -> Self:
        """Make a network of the weights in a file, ready to serve: in evaluation mode.

        Parameters
        ----------
        path : str or path-like
            Any file that :func:`load` reads.
        prefix : str, optional
            Which LSTM (or cell) of the file, as :func:`find_lstms` lists them; not needed if there
            is one.
        **options
            For an LSTM `batch_first` and `dropout`, instead of what the file tells. Files of ONNX
            and Keras tell the former; whole modules of torch, and files written by
            ``save(path, lstm)``, both. What neither tells is False and 0.

        Raises
        ------
        ValueError
            The file cannot be read or holds no LSTM under `prefix`; or, without a prefix, several,
            which the message lists with their sizes.
        ImportError
            The package that reads this kind of file is not installed; the message names the extra.
        OSError
            The file cannot be read.
        TypeError, RuntimeError
            `prefix` or an option is of a wrong type or name; a value is not an array of floats.
        """
        contents = checkpoints.read(path)
        try:
            if prefix is None:
                prefix = inventory.prefix_of_only(contents.arrays, cell=cls._cell)
            network = cls.from_state_dict(contents.arrays, prefix)
            for name in network._options():
                if f"{prefix}{name}" in contents.notes and name not in options:
                    setattr(network, name, contents.option(f"{prefix}{name}"))
        except (ValueError, TypeError, RuntimeError) as error:
            raise type(error)(f"{os.fsdecode(path)}: {error}") from error
        for name, value in options.items():
            if name not in network._options():
                raise TypeError(f"{cls.__name__}.from_file() has no option {name!r}")
            setattr(network, name, value)
        return network

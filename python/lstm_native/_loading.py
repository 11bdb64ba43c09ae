"""``from_file``: from the path of a weight file to a network ready to serve.

Owns which LSTM of a file is meant, and which attributes the file tells. Must not know formats, nor
how a network is called.
"""

import os
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, Self

from lstm_native import _panels, checkpoints, inventory
from lstm_native._checks import arguments, state
from lstm_native._module import Module
from lstm_native.parameters import note


class Loadable(Module):
    """A module that can be made of a file."""

    __slots__ = ()

    @classmethod
    @abstractmethod
    def from_state_dict(cls, state_dict: Mapping[str, Any], prefix: str = "") -> Self:
        """Make a network of the weights in `state_dict`."""

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        prefix: str | None = None,
        *,
        mmap: bool = False,
        **options: Any,
    ) -> Self:
        """Make a network of the weights in a file, ready to serve: in evaluation mode.

        Parameters
        ----------
        path : str or path-like
            Any file that :func:`load` reads.
        prefix : str, optional
            Which LSTM (or cell) of the file, as :func:`find_lstms` lists them; not needed if there
            is one.
        mmap : bool
            Whether to read the weights where the file has them: nothing is copied, a page enters
            memory when it is touched, and processes that map one file have it in memory once. For
            files written by ``save(path, network, packed=True)``. The first change, :meth:`train`
            among them, moves the parameters into memory of the network's own; arrays handed out
            before stay in the file, read-only, and do not follow. A subclass's `from_state_dict`
            is not called: nothing passes through a state dict.
        **options
            For an LSTM `batch_first` and `dropout`, instead of what the file tells. Files of ONNX
            and Keras tell the former; whole modules of torch, and files written by
            ``save(path, lstm)``, both. What neither tells is False and 0. And `quantized` and
            `precision`, which files written by ``save(path, lstm)`` tell.

        Raises
        ------
        ValueError
            The file cannot be read or holds no LSTM under `prefix`; or, without a prefix, several,
            which the message lists with their sizes. With `mmap`: the file has no packed copy,
            or one for another instruction set, dtype or version.
        ImportError
            The package that reads this kind of file is not installed; the message names the extra.
        OSError
            The file cannot be read.
        TypeError, RuntimeError
            `prefix` or an option is of a wrong type or name; a value is not an array of floats.

        Notes
        -----
        Who truncates a file that is mapped, or writes into it, ends or misleads those that read it.
        `save` replaces files and does no harm: networks go on with the old one.
        """
        mmap = arguments.boolean(mmap, "mmap")
        contents = checkpoints.read(path)
        try:
            if prefix is None:
                prefix = inventory.prefix_of_only(contents.arrays, cell=cls._cell)
            if mmap:
                network = cls._blank()
                network._lie_in(contents, prefix)
            else:
                contents.arrays.pop(_panels.ARRAY, None)  # no parameter: load() leaves it out, too
                network = cls.from_state_dict(contents.arrays, prefix)
            for name in network._options():
                if prefix + note(name) in contents.notes and name not in options:
                    setattr(network, name, contents.option(prefix + note(name)))
        except (ValueError, TypeError, RuntimeError) as error:
            raise type(error)(f"{os.fsdecode(path)}: {error}") from error
        for name, value in options.items():
            if name not in network._options():
                raise TypeError(f"{cls.__name__}.from_file() has no option {name!r}")
            setattr(network, name, value)
        return network

    @classmethod
    def _blank(cls) -> Self:
        """Make a network that has its options, as a state dict leaves them, and nothing else."""
        return cls.__new__(cls)

    def _lie_in(self, contents: checkpoints.Contents, prefix: str) -> None:
        """Become the network whose parameters and packed copy lie in a mapped file."""
        config, arrays = self._found(contents.arrays, prefix)
        dtype = state.widest_float(arrays.values())
        noted = {}
        for name in ("quantized", "precision"):
            if prefix + note(name) in contents.notes:
                noted[name] = contents.option(prefix + note(name))
        storage = arguments.storage(noted.get("quantized"), config, dtype)
        packed = _panels.mapped_weights(contents.arrays, contents.notes, config, dtype, storage)
        self._configure(config, dtype, _panels.borrowed(list(arrays.values()), dtype))
        self.eval()
        self.quantized, self.precision = storage, noted.get("precision")
        self._adopt(packed)

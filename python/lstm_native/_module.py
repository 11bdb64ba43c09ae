"""What an LSTM and a cell have in common: their parameters, modes, state dicts and pickles.

Owns what a user sees of the memory that the parameters lie in, which `_memory` owns. Must not know
how a network is called.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from lstm_native import parameters
from lstm_native._checks import arguments, gradients, state
from lstm_native._checks.arrays import as_ndarray
from lstm_native._products import Products
from lstm_native.parameters import Config, FloatArray, Shape, note
from lstm_native.random import default_generator


class Gradients(NamedTuple):
    """The result of a backward pass.

    Attributes
    ----------
    input : ndarray or PackedSequence
        Gradient of the input, in its shape; a PackedSequence for packed input.
    h_0, c_0 : ndarray
        Gradients of the initial state, also when none was given.
    parameters : ndarray, 1-D
        Gradient of ``flat_parameters``; ``network.parameter_views`` gives it by name.

    Examples
    --------
    >>> lstm = LSTM(3, 4)
    >>> output, (h_n, c_n), tape = lstm.record(np.ones((5, 2, 3), np.float32))
    >>> gradients = lstm.backward(tape, output)  # of the sum of output**2 / 2
    >>> gradients.input.shape, gradients.parameters.shape
    ((5, 2, 3), (144,))
    >>> lstm.parameter_views(gradients.parameters)["weight_hh_l0"].shape
    (16, 4)
    """

    input: Any
    h_0: FloatArray
    c_0: FloatArray
    parameters: FloatArray


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict`` found missing and superfluous."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return (
            f"IncompatibleKeys(missing_keys={self.missing_keys}, "
            f"unexpected_keys={self.unexpected_keys})"
        )


class Module(Products):
    """The base of LSTM and LSTMCell."""

    __slots__ = ()

    # --- modes ---

    @property
    def training(self) -> bool:
        """Whether the network is in training mode; set by :meth:`train` and :meth:`eval`."""
        return self._training

    @training.setter
    def training(self, mode: bool) -> None:
        self.train(mode)

    def train(self, mode: bool = True) -> Self:
        """Enter training mode (parameters writable, dropout on), or leave it; returns self.

        A network mapped from a file (``from_file(path, mmap=True)``) gets its parameters in memory
        of its own. Arrays handed out before stay in the file, read-only, and do not follow it: ask
        for them again.

        Parameters
        ----------
        mode : bool
            False for evaluation mode.

        Raises
        ------
        ValueError
            `mode` is not a bool.
        """
        mode = arguments.mode(mode)
        if mode is not self._training:
            with self._lock:
                if mode:
                    self._own()
                self._training = mode
                self._changes += 1
                self._packed = None
                for array in self._arrays():  # the owner first: views follow it
                    array.flags.writeable = mode
        return self

    def eval(self) -> Self:
        """Enter evaluation mode: parameters read-only, no dropout, fastest calls; returns self."""
        return self.train(False)

    # --- parameters ---

    @property
    def input_size(self) -> int:
        """I: features of the input."""
        return self._config.input_size

    @property
    def hidden_size(self) -> int:
        """H: hidden units."""
        return self._config.hidden_size

    @property
    def bias(self) -> bool:
        """Whether there are biases."""
        return self._config.bias

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64: of parameters, inputs and results."""
        return self._dtype

    @property
    def flat_parameters(self) -> FloatArray:
        """All parameters as one 1-D array, in ``state_dict`` order; the named ones view into it."""
        return self._flat

    @flat_parameters.setter
    def flat_parameters(self, value: FloatArray) -> None:
        if value is self._flat:  # the end of an in-place operation
            return
        flat = state.parameter(value, "flat_parameters", self._flat.shape, self._dtype)
        self._write(self.parameter_views(flat))

    def parameter_views(self, flat: FloatArray) -> dict[str, FloatArray]:
        """Views by parameter name into a 1-D array laid out as ``flat_parameters``.

        Parameters
        ----------
        flat : ndarray, 1-D
            For instance the ``parameters`` of :class:`Gradients`.

        Raises
        ------
        ValueError
            `flat` has another shape than ``flat_parameters``.
        TypeError
            It is not an array.
        """
        array = as_ndarray(flat, "flat")
        state.same_shape(array, "flat", self._owner.shape)
        return parameters.views(array, self._config, cell=self._cell)

    def named_parameters(self) -> Iterator[tuple[str, FloatArray]]:
        """Iterate over names and parameters, in ``state_dict`` order."""
        return iter(self._views.items())

    def parameters(self) -> Iterator[FloatArray]:
        """Iterate over the parameters, in ``state_dict`` order."""
        return iter(self._views.values())

    def reset_parameters(self) -> None:
        """Draw all parameters anew from U(-1/sqrt(H), 1/sqrt(H)), from the default generator.

        The same bits as torch's after the same ``manual_seed``. When interrupted, the parameters
        stay as they were, and the generator has moved on.
        """
        fresh = np.empty_like(self._owner)
        parameters.initialise(fresh, self._config.hidden_size, default_generator._engine)
        with self._changing():
            self._owner[...] = fresh

    def __getattr__(self, name: str) -> FloatArray:
        if parameters.is_name(name) and name in self._views:
            return self._views[name]
        text = f"{type(self).__name__!r} object has no attribute {name!r}"
        raise AttributeError(text, name=name, obj=self)

    def __setattr__(self, name: str, value: object) -> None:
        if not parameters.is_name(name):
            object.__setattr__(self, name, value)
        elif name not in self._views:
            # An ordinary attribute of this name would look like a weight and never be used.
            text = f"this {type(self).__name__} has no parameter {name!r}"
            raise AttributeError(text, name=name, obj=self)
        elif value is not self._views[name]:  # the same object: the end of an in-place operation
            shape = self._views[name].shape
            self._write({name: state.parameter(value, name, shape, self._dtype)})

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._views]

    # --- state ---

    def state_dict(self, *, prefix: str = "") -> dict[str, FloatArray]:
        """The parameters by name, in torch's order.

        The arrays are the network's own, as in torch: copy them to keep them. Those of a network
        mapped from a file are its own until its first change, :meth:`train` among them.

        Parameters
        ----------
        prefix : str
            What stands before each name, for instance ``"encoder."``.
        """
        return {prefix + name: view for name, view in self._views.items()}

    def metadata(self, prefix: str = "") -> dict[str, str]:
        """What shapes do not tell, for the metadata of :func:`save`; ``from_file`` reads it.

        Attributes as JSON, by name after `prefix`: ``{"encoder.batch_first": "true", ...}``; what
        torch does not have is ``"encoder.lstm_native.quantized"``, lest it be somebody else's.

        Parameters
        ----------
        prefix : str
            As in :meth:`state_dict`.
        """
        plain = {k: v for k, v in self._options().items() if isinstance(v, bool | float | str)}
        return {prefix + note(name): json.dumps(value) for name, value in plain.items()}

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy parameters in, all or none; allowed in evaluation mode too.

        Parameters
        ----------
        state_dict : mapping of str to array
            Floating-point values; float16, float32 and float64 are cast to the network's dtype.
        strict : bool
            Whether missing or unexpected keys are an error.

        Returns
        -------
        IncompatibleKeys
            ``missing_keys`` and ``unexpected_keys``.

        Raises
        ------
        RuntimeError
            Keys missing or unexpected, shapes or dtypes that do not fit; all are listed.
        TypeError
            `state_dict` is not a mapping.
        """
        expected: dict[str, Shape] = {name: view.shape for name, view in self._views.items()}
        arrays, missing, unexpected = state.state_dict(
            state_dict, expected, self._dtype, type(self).__name__, strict
        )
        self._write(arrays)
        return IncompatibleKeys(missing, unexpected)

    def _read(self, state_dict: Mapping[str, Any], prefix: str) -> None:
        """Become the network of which `state_dict` holds the parameters, in evaluation mode."""
        config, arrays = self._found(state_dict, prefix)
        self._configure(config, state.widest_float(arrays.values()))
        self.load_state_dict(arrays)
        self.eval()

    def _found(
        self, state_dict: Mapping[str, Any], prefix: str
    ) -> tuple[Config, dict[str, NDArray[Any]]]:
        state.mapping(state_dict, prefix)
        config = parameters.config_from_state_dict(state_dict, prefix, cell=self._cell)
        if not self._cell:
            arguments.lstm_sizes(**asdict(config))  # an LSTM has no sizes of zero
        names = parameters.shapes(config, cell=self._cell)
        return config, state.under_prefix(state_dict, prefix, names)

    def _options(self) -> dict[str, Any]:
        """What a pickle must hold beyond sizes and parameters, as settable attributes."""
        return {"quantized": self._storage, "precision": self._precision}

    def __getstate__(self) -> dict[str, Any]:
        return {
            "config": asdict(self._config),
            "dtype": self._dtype.name,
            "training": self._training,
            "parameters": self._owner.copy(),
            "options": self._options(),
            "attributes": dict(self.__dict__),
        }

    def __setstate__(self, pickled: dict[str, Any]) -> None:
        self._configure(Config(**pickled["config"]), np.dtype(pickled["dtype"]))
        self._write(self.parameter_views(pickled["parameters"]))
        self.__dict__.update(pickled["attributes"])
        for name, value in pickled["options"].items():
            setattr(self, name, value)
        self.train(pickled["training"])

    # --- backward ---

    def _accumulator(self, into: FloatArray | None) -> FloatArray:
        if into is None:
            return np.empty_like(self._owner)
        gradients.accumulator(into, self._owner)
        return into

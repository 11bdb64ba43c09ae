"""What an LSTM and a cell have in common: their parameters, modes, state dicts and pickles.

Owns the one flat buffer, the views handed out of it, and the packed copy the kernels read. Must not
know how a network is called.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from sys import getrefcount
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from lstm_native import _forks, _panels, functional, parameters
from lstm_native._checks import arguments, gradients, state
from lstm_native._checks.arrays import as_ndarray
from lstm_native.parameters import Config, FloatArray, Shape
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


class Module:
    """The base of LSTM and LSTMCell.

    All parameters lie in one buffer. In training mode it is writable and every call packs it for
    the kernels. In evaluation mode every array handed out is read-only and the packed copy is kept.

    Setting ``writeable`` reaches only the arrays handed out: a slice, or any other plain ndarray a
    caller made of one in training mode, stays writable. NumPy makes it refer to the owner of the
    buffer, so the packed copy is kept only while the owner has no more references than when nobody
    else had any; otherwise each call packs. Nothing needs to be checked after that, since new views
    of read-only arrays are read-only. Holding a parameter itself (an optimizer does, and a state
    dict) costs nothing. What refers to a parameter instead of the buffer looks just like that and
    cannot be seen: memory shared in training mode by a memoryview, DLPack, ``torch.from_numpy`` or
    ``as_strided``, or a subclass (matrix, masked array). Call :meth:`train` before writing there.

    A network in evaluation mode may borrow its buffer: the memory of a file, or of a pickle, that
    nobody may write to. Before the first change it moves into memory of its own.
    """

    # Slots keep all this apart from what a caller or a subclass adds, which is in __dict__.
    __slots__ = (
        "__dict__",
        "__weakref__",
        "_borrowed",
        "_changes",
        "_config",
        "_dtype",
        "_flat",
        "_identity",
        "_lock",
        "_owner",
        "_packed",
        "_training",
        "_unshared",
        "_views",
    )

    _cell: ClassVar[bool]

    def _configure(
        self, config: Config, dtype: np.dtype[Any], borrowed: FloatArray | None = None
    ) -> None:
        count = arguments.allocatable(config, dtype)
        self._config = config
        self._dtype = dtype
        self._training = True
        self._packed: functional.Weights | None = None
        self._lock = _forks.lock()  # between packing and whatever changes parameters or mode
        self._changes = 0  # counts the latter: a signal handler may do it while we hold the lock
        self._identity = object()  # held by tapes
        self._borrowed = borrowed is not None
        self._adopt(np.empty(count, dtype) if borrowed is None else borrowed)
        self._unshared = getrefcount(self._owner)

    def _adopt(self, owner: FloatArray) -> None:
        views = owner[:], parameters.views(owner, self._config, cell=self._cell)
        self._owner, (self._flat, self._views) = owner, views

    def _own(self) -> None:
        """Move borrowed parameters into memory of the network's own; the lock is held."""
        if self._borrowed:
            fresh = self._owner.copy()
            fresh.flags.writeable = self._training
            self._adopt(fresh)
            self._borrowed = False
            del fresh
            self._unshared = getrefcount(self._owner)

    def _packed_copy(self) -> tuple[dict[str, FloatArray], dict[str, str]]:
        weights = self._packed or self._weights()
        if weights is None:
            raise ValueError("packed=True: a cell of no hidden units has nothing to pack")
        return {_panels.ARRAY: weights.panels()}, {_panels.NOTE: _panels.packing(self._dtype)}

    def _arrays(self) -> list[FloatArray]:
        return [self._owner, self._flat, *self._views.values()]

    def _weights(self) -> functional.Weights | None:
        if self._training:
            return functional.pack(self._owner, self._config)
        with self._lock:
            changes = self._changes
            weights = functional.pack(self._owner, self._config)
            unshared = self._borrowed or getrefcount(self._owner) == self._unshared
            # The mode may have changed while we waited.
            if unshared and not self._training and changes == self._changes:
                self._packed = weights
        return weights

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Let the block write to the buffer, in evaluation mode too; the packed copy is dropped."""
        with self._lock:
            self._own()
            self._packed = None
            self._owner.flags.writeable = True
            try:
                yield
            finally:
                self._changes += 1
                self._packed = None
                self._owner.flags.writeable = self._training

    def _write(self, values: Mapping[str, Any]) -> None:
        # Copies first: values may be views into the buffer, and nothing may fail half way.
        fresh = {name: np.array(value, self._dtype) for name, value in values.items()}
        with self._changing():
            views = parameters.views(self._owner, self._config, cell=self._cell)
            for name, value in fresh.items():
                views[name][...] = value

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

        A network whose parameters lie in a file or a shared pickle gets them in memory of its own;
        arrays handed out before stay what and where they were.

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

        Examples
        --------
        ``lstm.parameter_views(gradients.parameters)["weight_hh_l0"]``

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

        The same bits as torch's after the same ``manual_seed``.
        """
        with self._changing():
            parameters.initialise(self._owner, self._config.hidden_size, default_generator._engine)

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

        The arrays are the network's own, as in torch: copy them to keep them.
        """
        return {prefix + name: view for name, view in self._views.items()}

    def metadata(self, prefix: str = "") -> dict[str, str]:
        """What shapes do not tell, for the metadata of :func:`save`; ``from_file`` reads it.

        Attributes as JSON, by name after `prefix`: ``{"encoder.batch_first": "true", ...}``; empty
        for a cell.
        """
        plain = {k: v for k, v in self._options().items() if isinstance(v, bool | float)}
        return {prefix + name: json.dumps(value) for name, value in plain.items()}

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
        return {}

    def __getstate__(self) -> dict[str, Any]:
        snapshot = self._owner.copy()
        # What is read-only may be used where the reader of the pickle has it.
        snapshot.flags.writeable = self._training
        return {
            "config": asdict(self._config),
            "dtype": self._dtype.name,
            "training": self._training,
            "parameters": snapshot,
            "options": self._options(),
            "attributes": dict(self.__dict__),
        }

    def __setstate__(self, pickled: dict[str, Any]) -> None:
        config, dtype = Config(**pickled["config"]), np.dtype(pickled["dtype"])
        flat = pickled["parameters"]
        if not pickled["training"] and _panels.may_lend(flat, config.parameter_count, dtype):
            self._configure(config, dtype, np.asarray(flat))
        else:
            self._configure(config, dtype)
            self._write(self.parameter_views(flat))
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

"""What all optimizers share.

Owns the parameters, the state, its saving and loading, and all checks before a step. Must not know
any update rule: each stands once, in the ``_update`` of its class.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from numbers import Real
from typing import Any, ClassVar, NoReturn

import numpy as np

from lstm_native._checks.arrays import as_ndarray
from lstm_native._checks.state import mapping
from lstm_native.optim.arrays import (
    BLOCK,
    Array,
    Arrays,
    Gradients,
    blocks,
    check_apart,
    check_like,
    check_parameters,
    listed,
)


class Optimizer(ABC):
    """What all optimizers share: their parameters, their state, and checks before any change.

    Hyperparameters are attributes under the names of the constructor. They may be set between two
    steps, as a learning rate schedule does, and are checked at each step.

    A pickled optimizer would hold arrays of its own, not the network's. So it is not to be pickled:
    pickle or `save` its ``state_dict()``, and load that into one made for the reloaded network.

    Parameters
    ----------
    parameters : ndarray or iterable of ndarray
        float32 or float64, changed in place by every `step`.
    """

    _names: ClassVar[tuple[str, ...]]
    lr: float
    weight_decay: float
    maximize: bool

    def __init__(self, parameters: Arrays) -> None:
        self._check_hyperparameters()
        self._single = isinstance(parameters, np.ndarray)
        arrays = listed(parameters, "parameters")
        check_parameters(arrays)
        self._parameters = arrays
        self._steps = [0] * len(arrays)
        self._births = [0] * len(arrays)  # the step after which a parameter's state began
        self._state: list[dict[str, Array]] = [{} for _ in arrays]
        self._scratch = {array.dtype: np.empty((2, BLOCK), array.dtype) for array in arrays}
        self._allocate(arrays)

    @property
    def parameters(self) -> list[Array]:
        """The very arrays that were given."""
        return list(self._parameters)

    def step(self, gradients: Gradients) -> None:
        """Make one update, in place.

        Parameters
        ----------
        gradients : ndarray or sequence of (ndarray or None)
            Like the parameters: an array if an array was given, else one per parameter, each of
            its shape and dtype. Where None stands, the parameter and its state stay as they are.

        Raises
        ------
        ValueError, RuntimeError, TypeError
            The gradients do not match the parameters in number, dtype or shape, a parameter is
            read-only, or a hyperparameter was set out of its range. Nothing has changed then.
        """
        arrays = self._parameters
        given = self._matched(gradients, arrays)
        self._check_hyperparameters()
        self._allocate(arrays)
        # As in torch, overflow and 0/0 give inf and nan; no error may end a step half way.
        with np.errstate(all="ignore"):
            for index, (array, gradient) in enumerate(zip(arrays, given, strict=True)):
                if gradient is None:
                    continue
                self._steps[index] += 1
                state = [self._state[index][name] for name in self._slots()]
                scratch = self._scratch[array.dtype]
                age = self._steps[index] - self._births[index]
                for p, g, *rest in blocks(array, gradient, *state):
                    self._update(age, p, g, scratch[:, : p.size], *rest)

    def state_dict(self) -> dict[str, Array]:
        """Copy the hyperparameters and the state into a flat dict, as `lstm_native.save` takes it.

        Returns
        -------
        dict of str to ndarray
            ``lr``, ``weight_decay``, ...; then ``0.step``, ``0.exp_avg``, ... for parameter 0.
        """
        result = {name: np.array(getattr(self, name)) for name in self._names}
        for index, (steps, state) in enumerate(zip(self._steps, self._state, strict=True)):
            result[f"{index}.step"] = np.array(steps)
            result |= {f"{index}.{name}": state[name].copy() for name in self._slots()}
        return result

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over a copy of what `state_dict` gave for parameters of the same shapes and dtypes.

        Parameters
        ----------
        state : mapping of str to array
            All of it: hyperparameters, and the state of each parameter.

        Raises
        ------
        ValueError, TypeError, RuntimeError
            Names, hyperparameters, shapes or dtypes do not fit. Nothing has changed then.
        """
        before = dict(self.__dict__)
        try:
            self._load(state)
        except BaseException:
            self.__dict__.update(before)
            raise

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)}" for name in self._names)
        return f"{type(self).__name__}({values})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} cannot be pickled or copied apart from its parameters: "
            "pickle state_dict(), and load it into a new optimizer over the new parameters"
        )

    @abstractmethod
    def _check_hyperparameters(self) -> None:
        """Check all of them, and make them plain floats and bools."""

    @abstractmethod
    def _slots(self) -> tuple[str, ...]:
        """Name the arrays of state that each parameter needs."""

    @abstractmethod
    def _update(self, step: int, p: Array, g: Array, scratch: Array, *state: Array) -> None:
        """Update one block for the `step`-th time: `p` and `state` in place, `g` only read."""

    def _allocate(self, arrays: list[Array]) -> None:
        """Make what state there is not yet, before a step needs it."""
        for index, (array, state) in enumerate(zip(arrays, self._state, strict=True)):
            if not state:
                self._births[index] = self._steps[index]
            for name in self._slots():
                if name not in state:
                    state[name] = np.zeros_like(array, subok=False)

    def _matched(self, gradients: Gradients, arrays: list[Array]) -> list[Array | None]:
        if self._single is not isinstance(gradients, np.ndarray):
            wanted = "an ndarray" if self._single else "a list of ndarrays"
            got = type(gradients).__name__
            hint = ": pass its .parameters" if hasattr(gradients, "_fields") else ""
            raise TypeError(f"gradients should be {wanted}, like the parameters, got {got}{hint}")
        given = listed(gradients, "gradients")
        if len(given) != len(arrays):
            raise ValueError(f"Expected {len(arrays)} gradients, one per parameter: {len(given)}")
        result: list[Array | None] = []
        for index, (value, array) in enumerate(zip(given, arrays, strict=True)):
            name = f"gradients[{index}]"
            gradient = None if value is None else as_ndarray(value, name)
            if gradient is not None:
                check_like(gradient, array, name)
                check_apart(gradient, array, name)
            if not array.flags.writeable:
                raise ValueError(
                    f"parameters[{index}] is read-only: a network in evaluation mode? "
                    "Call train() before the step"
                )
            result.append(gradient)
        return result

    def _load(self, state: Mapping[str, Any]) -> None:
        mapping(state)
        for name in self._names:
            if name not in state:
                raise ValueError(f"state: {name!r} is missing")
            setattr(self, name, np.asarray(state[name]).tolist())
        self._check_hyperparameters()
        names = [
            f"{i}.{name}" for i in range(len(self._steps)) for name in ("step", *self._slots())
        ]
        wrong = set(state) ^ {*self._names, *names}
        if wrong:
            raise ValueError(f"state: missing or unexpected: {', '.join(sorted(map(str, wrong)))}")
        self._steps, self._state = [], []
        self._births = [0] * len(self._parameters)
        for index, array in enumerate(self._parameters):
            steps = np.asarray(state[f"{index}.step"])
            if steps.shape or steps.dtype.kind not in "iu" or steps < 0:
                raise ValueError(f"state: '{index}.step' should be a count, got {steps}")
            self._steps.append(int(steps))
            loaded = {}
            for name in self._slots():
                given = as_ndarray(state[f"{index}.{name}"], f"{index}.{name}")
                check_like(given, array, f"state['{index}.{name}']")
                loaded[name] = np.zeros_like(array, subok=False)
                loaded[name][...] = given
            self._state.append(loaded)


def number(value: object, label: str, *, least: float = 0.0, below: float = math.inf) -> float:
    """A hyperparameter as a float in [least, below), finite; torch's message otherwise."""
    if not isinstance(value, Real):
        raise TypeError(f"{label} should be a number, got: {type(value).__name__}")
    try:
        result = float(value)
    except OverflowError:  # an int beyond every float
        result = math.inf
    if not (least <= result < below and math.isfinite(result)):
        raise ValueError(f"Invalid {label}: {value}")
    return result

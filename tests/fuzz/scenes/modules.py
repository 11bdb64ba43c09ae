"""What belongs to a network beside its computing: parameters, modes, states, copies, files.

Owns right calls of constructors, setters, state dicts and files. Must not know how arguments are
altered.
"""

from __future__ import annotations

import copy
import os
import pickle
from typing import Any, ClassVar

import numpy as np

import lstm_native
from fuzz.arrays import normal
from fuzz.calls import Call, documented
from fuzz.choices import Choices
from fuzz.scenes.networks import PRECISIONS, STORAGES, NetworkScene
from lstm_native import LSTM, LSTMCell

SETTER = (ValueError, AttributeError)  # of a value; of a name the network does not have
CONSTRUCTED = (ValueError, RuntimeError)


class ModuleScene(NetworkScene):
    """The network again, asked for everything but to compute."""

    calls: ClassVar[tuple[str, ...]] = (
        "construct", "construct", "construct_cell", "assign", "assign", "option", "load",
        "load", "from_state_dict", "from_cell", "mode", "views", "named", "unpickle", "stream",
        "find", "setstate", "quantize",
    )  # fmt: skip

    def construct(self) -> Call:
        arguments = {
            "input_size": self.I, "hidden_size": self.H, "num_layers": 1 + self.choices.below(2),
            "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False,
            "proj_size": 0, "dtype": self.dtype, "precision": "medium",
        }  # fmt: skip
        return Call(LSTM, arguments, documented(LSTM))

    def construct_cell(self) -> Call:
        arguments = {"input_size": self.I, "hidden_size": self.H, "bias": True, "dtype": "f4"}
        arguments["precision"] = self.choices.pick((*PRECISIONS, None))
        return Call(LSTMCell, arguments, documented(LSTMCell))

    def assign(self) -> Call:
        names = ("flat_parameters", *self.lstm.state_dict())
        name = self.choices.pick(names)
        value = normal(self.choices, getattr(self.lstm, name).shape, self.dtype)
        return Call(self.set, {"name": name, "value": value}, SETTER)

    def option(self) -> Call:
        value: Any
        name, value = self.choices.pick((
            ("training", True), ("batch_first", True), ("dropout", 0.5),
            ("generator", lstm_native.Generator()), ("quantized", self.storage()),
            ("precision", self.choices.pick((*PRECISIONS, None))),
        ))  # fmt: skip
        return Call(self.set, {"name": name, "value": value}, SETTER)

    def storage(self) -> str | None:
        return self.choices.pick((*STORAGES, None)) if self.dtype is np.float32 else None

    def quantize(self) -> Call:
        weights = self.choices.pick((*STORAGES, None))
        right = weights is None or self.dtype is np.float32
        arguments = {"weights": weights}
        return Call(self.lstm.quantize, arguments, documented(LSTM.quantize), right=right)

    def set(self, name: Any, value: Any) -> None:
        setattr(self.lstm, name, value)

    def load(self) -> Call:
        arguments = {"state_dict": dict(self.copied()), "strict": True}
        raises = (*documented(LSTM.load_state_dict), ValueError)  # strict=: an array has no truth
        return Call(self.lstm.load_state_dict, arguments, raises)

    def from_state_dict(self) -> Call:
        arguments = {"state_dict": dict(self.copied("a.")), "prefix": "a.", "batch_first": True}
        return Call(LSTM.from_state_dict, arguments, documented(LSTM.from_state_dict))

    def from_cell(self) -> Call:
        state = LSTMCell(self.I, self.choices.below(3), self.choices.chance(2)).state_dict()
        arguments = {"state_dict": dict(state), "prefix": ""}
        return Call(LSTMCell.from_state_dict, arguments, documented(LSTMCell.from_state_dict))

    def find(self) -> Call:
        return Call(lstm_native.find_lstms, {"state": dict(self.copied("a."))}, ())

    def mode(self) -> Call:
        return Call(self.lstm.train, {"mode": False}, documented(LSTM.train))

    def views(self) -> Call:
        arguments = {"flat": self.lstm.flat_parameters.copy()}
        return Call(self.lstm.parameter_views, arguments, documented(LSTM.parameter_views))

    def named(self) -> Call:
        method = self.choices.pick((self.lstm.state_dict, self.lstm.metadata))
        return Call(method, {"prefix": "a."}, ())

    def stream(self) -> Call:
        arguments = {"batch_size": self.N}
        right = not self.lstm.training and not self.lstm.bidirectional
        return Call(self.lstm.stream, arguments, documented(LSTM.stream), right=right)

    def unpickle(self) -> Call:
        self.lstm.extra = [1]
        clone, arguments = self.choices.pick((copy.copy, copy.deepcopy, pickled)), self.input()
        # A call before may have set an attribute that cannot be pickled.
        refused = (pickle.PicklingError, AttributeError)
        return Call(lambda: clone(self.lstm)(**arguments), {}, refused, right=False)

    def setstate(self) -> Call:
        """A pickle is trusted: it may fail in any way, but the process stays."""
        arguments = self.lstm.__getstate__()
        blank, given = LSTM.__new__(LSTM), self.input()

        def restore(**state: Any) -> Any:
            blank.__setstate__(state)
            return blank(**given)

        return Call(restore, arguments, (Exception,))

    def copied(self, prefix: str = "") -> dict[str, Any]:
        state = self.lstm.state_dict(prefix=prefix)
        return {name: value.copy() for name, value in state.items()}


class FileScene(NetworkScene):
    """The network, and files of it in the working folder. What is in files is tried elsewhere."""

    calls: ClassVar[tuple[str, ...]] = ("save", "read", "from_file")

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices)
        self.path = choices.pick(("a.npz", "a.safetensors"))
        self.mapped = self.path.endswith(".safetensors") and choices.chance(2)
        lstm_native.save(self.path, self.lstm, packed=self.mapped)

    def state(self) -> Any:
        return super().state(), os.path.getsize(self.path)

    def save(self) -> Call:
        state = self.lstm if self.choices.chance(4) else dict(self.lstm.state_dict())
        arguments = {"path": f"b{self.path}", "state": state, "metadata": {"a": "b"}}
        if self.mapped and state is self.lstm:
            arguments["packed"] = True
        return Call(lstm_native.save, arguments, documented(lstm_native.save))

    def read(self) -> Call:
        arguments = {"path": self.path, "float32": True}
        return Call(lstm_native.load, arguments, documented(lstm_native.load))

    def from_file(self) -> Call:
        arguments = {"path": self.path, "prefix": "", "batch_first": True, "dropout": 0.5}
        arguments["mmap"] = self.mapped
        if self.dtype is np.float32 and self.choices.chance(3):
            arguments["quantized"] = self.choices.pick((*STORAGES, None))
        if self.choices.chance(3):
            arguments["precision"] = self.choices.pick((*PRECISIONS, None))
        return Call(LSTM.from_file, arguments, documented(LSTM.from_file))


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))

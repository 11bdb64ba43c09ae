"""A cell, and a stream: what goes step by step.

Owns right calls of ``LSTMCell`` and ``Stream``. Must not know how arguments are altered.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

import reference
from fuzz.arrays import normal
from fuzz.calls import Call, Fault, documented, same
from fuzz.choices import Choices
from fuzz.scenes import Scene
from fuzz.scenes.networks import STORAGES, tame
from lstm_native import LSTM, LSTMCell, Stream


class CellScene(Scene):
    """A cell of any size, zero too."""

    calls: ClassVar[tuple[str, ...]] = ("call", "call", "record", "backward", "backward")

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices)
        self.I, self.H = choices.below(4), choices.below(6)
        self.dtype = choices.pick((np.float32, np.float64))
        self.cell = LSTMCell(self.I, self.H, not choices.chance(4), dtype=self.dtype)
        if choices.below(2):
            self.cell.eval()
        if self.dtype is np.float32 and choices.chance(4):
            self.cell.quantize(choices.pick(STORAGES))
        self.rows = (choices.below(3),) if choices.below(2) else ()
        self.tapes: list[Any] = []

    def state(self) -> Any:
        tapes = [(tape.consumed, tape.nbytes) for tape in self.tapes]
        modes = self.cell.training, self.cell.quantized
        return self.cell.flat_parameters.tobytes(), modes, tapes

    def usable(self) -> None:
        x = normal(self.choices, (2, self.I), self.dtype)
        twin = LSTMCell.from_state_dict(self.cell.state_dict())
        twin.train(self.cell.training).quantize(self.cell.quantized)
        if not same(self.cell(x), twin(x)):
            raise Fault("the cell computes something else after a failed call")

    def input(self) -> dict[str, Any]:
        shape = (*self.rows, self.H)
        hx = normal(self.choices, shape, self.dtype), normal(self.choices, shape, self.dtype)
        x = normal(self.choices, (*self.rows, self.I), self.dtype)
        return {"x": x, "hx": None if self.choices.chance(3) else hx}

    def call(self) -> Call:
        function, raises = self.cell.__call__, documented(LSTMCell.__call__)
        return Call(function, self.input(), raises, True, tolerant=True, name="LSTMCell.__call__")

    def record(self) -> Call:
        return Call(
            self.cell.record, self.input(), documented(LSTMCell.record), tolerant=True,
            right=self.recordable(),
        )  # fmt: skip

    def recordable(self) -> bool:
        return self.cell.training or self.cell.quantized is None

    def backward(self) -> Call:
        arguments = self.input()
        if not self.recordable():
            self.cell.train()
        (h, c), tape = self.cell.record(**arguments)
        used = self.choices.chance(6)
        if used:
            self.cell.backward(tape)
        self.tapes = [tape]
        gradient = normal(self.choices, h.shape, self.dtype)
        given = {"tape": tape, "grad_state": (gradient, None if self.choices.chance(3) else c)}
        if self.choices.chance(3):
            given["into"] = np.ones_like(self.cell.flat_parameters)

        def afterwards() -> None:
            again = self.cell.record(**arguments)[1]
            if not tape.consumed and not same(
                self.cell.backward(tape, (h, c)), self.cell.backward(again, (h, c))
            ):
                raise Fault("a tape gives something else after a failed backward pass")

        raises = documented(LSTMCell.backward)
        return Call(self.cell.backward, given, raises, right=not used, afterwards=afterwards)

    def compare(self, call: Call, result: Any) -> None:
        x, hx = call.arguments["x"], call.arguments.get("hx")
        if call.function != self.cell.__call__ or self.H == 0 or not tame((x, hx)):
            return
        if not self.recordable():  # rounded, which networks are compared with
            return
        lstm = {f"{name}_l0": value for name, value in self.cell.state_dict().items()}
        axes = (None,) if x.ndim == 2 else (None, None)
        state = (None, None) if hx is None else (hx[0][axes], hx[1][axes])
        try:
            run = reference.forward(lstm, x[axes], *state)
        except (ValueError, IndexError) as error:
            raise Fault(f"{call} means nothing, and succeeded: {error}") from error
        for ours, theirs in zip(result, (run.h_n, run.c_n), strict=True):
            if not np.allclose(ours[axes], theirs, rtol=1e-4, atol=1e-5):
                raise Fault(f"{call} gave other numbers than the equations")


class StreamScene(Scene):
    """A stream in the middle of its sequences."""

    calls: ClassVar[tuple[str, ...]] = ("step", "step", "step", "reset", "set_state")

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices)
        self.I, self.H, self.N = (1 + choices.below(n) for n in (3, 5, 3))
        self.dtype = choices.pick((np.float32, np.float64))
        proj = choices.below(self.H) if choices.chance(3) else 0
        self.lstm = LSTM(self.I, self.H, 1 + choices.below(2), proj_size=proj, dtype=self.dtype)
        if self.dtype is np.float32 and choices.chance(4):
            self.lstm.quantize(choices.pick(STORAGES))
        self.stream = self.lstm.eval().stream(self.N)
        self.stream.step(normal(choices, (self.N, self.I), self.dtype))
        self.held = self.stream.state

    def state(self) -> Any:
        return [array.tobytes() for array in self.stream.state]

    def before_repeating(self) -> None:
        self.stream.state = self.held

    def usable(self) -> None:
        twin = self.lstm.stream(self.N)
        twin.state = self.held
        x = normal(self.choices, (self.N, self.I), self.dtype)
        if not same(self.stream.step(x), twin.step(x)):
            raise Fault("the stream computes something else after a failed step")

    def step(self) -> Call:
        shape: tuple[int, ...] = (self.N, self.I)
        if self.N == 1 and self.choices.below(2):
            shape = shape[1:]
        given = {"frame": normal(self.choices, shape, self.dtype)}
        if self.choices.chance(3):
            out = np.zeros((*shape[:-1], self.lstm.proj_size or self.H), self.dtype)
            return Call(self.stream.step, given | {"out": out}, documented(Stream.step))
        return Call(self.stream.step, given, documented(Stream.step), True, True, tolerant=True)

    def compare(self, call: Call, result: Any) -> None:
        """A step has the bits of a call of one step."""
        frame = call.arguments["frame"]
        one = frame.ndim == 1
        hx = tuple(state[:, 0] for state in self.held) if one else self.held
        try:
            output, _ = self.lstm(frame[None], hx)
        except (ValueError, RuntimeError) as error:
            raise Fault(f"{call} means nothing, and succeeded: {error}") from error
        if not same(output[0], np.asarray(result)):
            raise Fault(f"{call} gave other bits than a call")

    def reset(self) -> Call:
        rows = self.choices.pick((None, 0, [0, -1], np.ones(self.N, bool), slice(0, 2), (0,)))
        return Call(self.stream.reset, {"rows": rows}, documented(Stream.reset))

    def set_state(self) -> Call:
        value = tuple(normal(self.choices, s.shape, self.dtype) for s in self.held)
        return Call(self.assign, {"value": value}, (ValueError,))

    def assign(self, value: Any) -> None:
        self.stream.state = value

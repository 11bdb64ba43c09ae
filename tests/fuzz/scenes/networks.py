"""An LSTM: calls, records, backward passes.

Owns right calls of all that ``LSTM`` computes, and what must stay when one fails. Must not know
how arguments are altered.
"""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import numpy as np

import lstm_native
import reference
from fuzz.arrays import normal
from fuzz.calls import Call, Fault, documented, leaves, same
from fuzz.choices import Choices
from fuzz.scenes import Scene
from lstm_native import LSTM, Gradients, LSTMCell, PackedSequence, pack_padded_sequence
from lstm_native.random import default_generator

Array = np.ndarray[Any, Any]
STORAGES = ("bfloat16", "int8")
PRECISIONS = ("highest", "high", "medium")


class NetworkScene(Scene):
    """A small network of any kind, sometimes one of more than a register tile."""

    calls: ClassVar[tuple[str, ...]] = (
        *["call"] * 18,
        *["record"] * 12,
        *["backward"] * 18,
        "race",
    )

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices)
        large = choices.chance(24)
        self.T, self.N = 1 + choices.below(4), 9 if large else 1 + choices.below(3)
        self.I, self.H = 1 + choices.below(4), 17 if large else 1 + choices.below(6)
        L, D = 1 + choices.below(2), 1 + choices.below(2)
        proj = choices.below(self.H) if choices.chance(3) else 0
        dropout = choices.pick((0.5, 1.0)) if L > 1 and choices.chance(3) else 0.0
        self.dtype = choices.pick((np.float32, np.float64))
        self.lstm = LSTM(
            self.I, self.H, L, not choices.chance(4), choices.chance(2), dropout, D == 2, proj,
            dtype=self.dtype,
        )  # fmt: skip
        if choices.below(2):
            self.lstm.eval()
        if self.dtype is np.float32 and choices.chance(4):
            self.lstm.quantize(choices.pick(STORAGES))
        if choices.chance(4):
            self.lstm.precision = choices.pick(PRECISIONS)
        self.states = (L * D, self.N, proj or self.H), (L * D, self.N, self.H)
        self.tapes: list[Any] = []

    def state(self) -> Any:
        lstm = self.lstm
        modes = lstm.training, lstm.batch_first, lstm.dropout, lstm.generator
        rounding = lstm.quantized, lstm.precision
        flags = lstm.flat_parameters.flags.writeable, lstm.weight_hh_l0.flags.writeable
        drawn = [g._engine.get_state() for g in (default_generator, lstm.generator) if g]
        tapes = [(tape.consumed, tape.nbytes) for tape in self.tapes]
        return lstm.flat_parameters.tobytes(), modes, rounding, flags, drawn, tapes

    def before_repeating(self) -> None:
        lstm_native.manual_seed(3)

    def usable(self) -> None:
        """A plain call gives the bits of a network that has never failed."""
        lstm, x = self.lstm, normal(self.choices, (2, 1, self.I), self.dtype)
        twin = LSTM.from_state_dict(lstm.state_dict(), batch_first=lstm.batch_first)
        twin.dropout, twin.generator = lstm.dropout, lstm.generator
        twin.train(lstm.training).quantize(lstm.quantized).precision = lstm.precision
        results = []
        for network in (lstm, twin):
            (lstm.generator or default_generator).manual_seed(4)
            results.append(network(x))
        if not same(*results):
            raise Fault("the network computes something else after a failed call")

    # --- right calls ---

    def call(self) -> Call:
        draws = self.lstm.training and self.lstm.dropout > 0
        return Call(
            self.lstm.__call__, self.input(), documented(LSTM.__call__), not draws,
            tolerant=True, name="LSTM.__call__",
        )  # fmt: skip

    def record(self) -> Call:
        arguments = self.input()
        if self.choices.chance(3):
            arguments["checkpoint"] = self.choices.pick((1, 2, 1000))
        return Call(
            self.lstm.record, arguments, documented(LSTM.record), tolerant=True,
            right=self.recordable(), name="LSTM.record",
        )  # fmt: skip

    def recordable(self) -> bool:
        return self.lstm.training or self.lstm.quantized is None

    def backward(self) -> Call:
        choices, arguments = self.choices, self.input()
        if not self.recordable():
            self.lstm.train()
        if choices.chance(3):
            arguments["checkpoint"] = 1
        lstm_native.manual_seed(3)
        output, state, tape = self.lstm.record(**arguments)
        odd = choices.chance(4)
        given: dict[str, Any] = {"tape": self.odd_tape(tape) if odd else tape}
        self.tapes = [tape]
        if not choices.chance(3):
            given["grad_output"] = self.like(output)
        if not choices.chance(3):
            given["grad_state"] = tuple(None if choices.chance(4) else self.like(s) for s in state)
        if choices.chance(3):
            given["into"] = np.ones_like(self.lstm.flat_parameters)

        def afterwards() -> None:
            if tape.consumed or not self.recordable():
                return
            gradient = self.like(output)
            lstm_native.manual_seed(3)
            again = self.lstm.record(**arguments)[2]
            if not odd and not same(
                self.lstm.backward(tape, gradient), self.lstm.backward(again, gradient)
            ):
                raise Fault("a tape gives something else after a failed backward pass")

        return Call(
            self.lstm.backward, given, documented(LSTM.backward), right=not odd,
            afterwards=afterwards, name="LSTM.backward",
        )  # fmt: skip

    def race(self) -> Call:
        """Two threads use one tape: one of them gets the gradients."""
        if not self.recordable():
            self.lstm.train()
        output, _, tape = self.lstm.record(**self.input())
        gradient, results = self.like(output), []

        def run() -> None:
            try:
                results.append(self.lstm.backward(tape, gradient))
            except RuntimeError as error:
                results.append(error)

        def race() -> None:
            threads = [threading.Thread(target=run) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if sum(isinstance(result, Gradients) for result in results) != 1:
                raise Fault(f"two backward passes over one tape gave {results!r}")

        return Call(race, {}, ())

    def input(self) -> dict[str, Any]:
        """Arguments of a right call: padded, packed or one sequence."""
        choices, lstm = self.choices, self.lstm
        x = normal(choices, (self.T, self.N, self.I), self.dtype)
        arguments: dict[str, Any] = {}
        kind, hx = choices.below(6), None
        if not choices.chance(2):
            hx = tuple(normal(choices, shape, self.dtype) for shape in self.states)
        resets = np.zeros((self.T, self.N), bool) if choices.chance(4) else None
        if resets is not None:
            resets[choices.below(self.T), choices.below(self.N)] = True
        if kind == 0:
            x, hx = x[:, 0], None if hx is None else tuple(h[:, 0] for h in hx)
            resets = None if resets is None else resets[:, 0]
        elif kind == 1:
            lengths = [1 + choices.below(self.T) for _ in range(self.N)]
            x = pack_padded_sequence(x, lengths, enforce_sorted=False)
            if resets is not None:
                resets = pack_padded_sequence(resets, lengths, enforce_sorted=False)
        else:
            if kind == 2:
                arguments["lengths"] = np.array([choices.below(self.T + 1) for _ in range(self.N)])
            if lstm.batch_first:
                x, resets = x.swapaxes(0, 1), None if resets is None else resets.T
        return {"x": x, "hx": hx, **arguments, **({} if resets is None else {"resets": resets})}

    def like(self, value: Any) -> Any:
        """A gradient for a result."""
        if isinstance(value, PackedSequence):
            return value._replace(data=self.like(value.data))
        return normal(self.choices, value.shape, self.dtype)

    def odd_tape(self, tape: Any) -> Any:
        """A tape that cannot be used, or one that can although much has changed since."""
        kind = self.choices.below(5)
        if kind == 0:
            self.lstm.backward(tape)
        elif kind == 1:
            other = LSTM(self.I, self.H, dtype=self.dtype)
            return other.record(np.ones((1, self.I), self.dtype))[2]
        elif kind == 2:
            return LSTMCell(self.I, self.H).record(np.ones((1, self.I), np.float32))[1]
        elif kind == 3:
            return lstm_native.Tape.__new__(lstm_native.Tape)
        else:
            self.lstm.load_state_dict(self.lstm.state_dict())
            self.lstm.train(not self.lstm.training)
        return tape

    # --- results ---

    def compare(self, call: Call, result: Any) -> None:
        """Compare with the equations."""
        lstm, output = self.lstm, result[0]
        x, hx = call.arguments["x"], call.arguments.get("hx")
        if call.function != lstm.__call__ or isinstance(x, PackedSequence) or not tame((x, hx)):
            return
        if max(x.shape) > 100:  # of no elements, but of many steps
            return
        hx = None if hx is None else tuple(np.asarray(h) for h in hx)
        major = (lambda a: a.swapaxes(0, 1)) if lstm.batch_first else (lambda a: a)
        one = x.ndim == 2
        dense = x[:, None] if one else major(x)
        state = (None, None) if hx is None else tuple(s[:, None] if one else s for s in hx)
        resets = call.arguments.get("resets")
        if resets is not None:
            resets = np.asarray(resets)[:, None] if one else major(np.asarray(resets))
        lengths = call.arguments.get("lengths")
        lengths = None if lengths is None else np.asarray(lengths)
        try:
            run = reference.forward(self.multiplied(), dense, *state, lengths, resets=resets)
        except (ValueError, IndexError, TypeError) as error:
            raise Fault(f"{call} means nothing, and succeeded: {error}") from error
        expected = run.output, run.h_n, run.c_n
        numbers = lstm.training or not self.rounds_frames()
        got = [a[:, None] for a in (output, *result[1])] if one else [major(output), *result[1]]
        for ours, theirs in zip(got, expected, strict=True):
            near = not numbers or np.allclose(ours, theirs, rtol=1e-4, atol=1e-5)
            if ours.shape != theirs.shape or not near:
                raise Fault(f"{call} gave other numbers than the equations")

    def rounds_frames(self) -> bool:
        if self.lstm.quantized is None:
            return self.dtype is np.float32 and self.lstm.precision == "medium"
        return self.lstm.quantized == "int8"

    def multiplied(self) -> dict[str, Any]:
        """The parameters that a call computes with, where frames are not rounded as well."""
        state = self.lstm.state_dict()
        if self.lstm.training or self.lstm.quantized is None:
            return state
        return {n: a if "bias" in n else reference.bfloat16(a.copy()) for n, a in state.items()}


def tame(arrays: Any) -> bool:
    """Whether numbers are so small that float32 comes near the equations."""
    given = [leaf for leaf in leaves(arrays) if leaf is not None]
    return all(np.isfinite(a).all() and np.abs(a).max(initial=0) < 100 for a in given)

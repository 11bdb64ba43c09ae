"""The border of the compiled core, every function of it.

Owns right calls of ``_core``. It checks what memory needs and no more, so results may be nonsense;
but what it refuses, it refuses before the first number is written. Must not know how arguments are
altered.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fuzz.arrays import normal
from fuzz.calls import Call
from fuzz.choices import Choices
from fuzz.scenes import Scene
from lstm_native import _core

# OverflowError: an integer that C cannot hold. Python's checks refuse it before, in their own way.
REFUSED = (ValueError, RuntimeError, OverflowError)
DEALINGS = ("any", "alone", "rows", "units", "tail", "directions", "layers")
NETWORK = ("input_size", "hidden_size", "num_layers", "bias", "bidirectional", "proj_size")
INDICES = ("lengths", "batch_sizes", "order")


class CoreScene(Scene):
    """Packed weights, arrays that fit them, and a tape."""

    calls: ClassVar[tuple[str, ...]] = (
        *["forward"] * 6, *["record"] * 3, *["backward"] * 6, *["step"] * 2, *["infer"] * 3,
        *["infer_cell"] * 2, "pack", "pack", "use_packed", "count", "stream", "stream_step",
        "stream_step", "generator", "seed", "uniform", "set_state", "activation", "threads",
        "dealing", "peaks", "blank",
    )  # fmt: skip

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices)
        self.T, self.N, self.I, self.H = (1 + choices.below(n) for n in (4, 4, 4, 6))
        self.L, self.D = 1 + choices.below(2), 1 + choices.below(2)
        self.proj = choices.below(self.H) if choices.chance(3) else 0
        self.P, self.bias = self.proj or self.H, not choices.chance(4)
        self.dtype = choices.pick((np.float32, np.float64))
        self.network = dict(zip(
            NETWORK, (self.I, self.H, self.L, self.bias, self.D == 2, self.proj), strict=True
        ))  # fmt: skip
        self.flat = normal(choices, (_core.parameter_count(**self.network),), self.dtype)
        self.weights = _core.pack(self.flat, **self.network)
        storage = choices.pick(("bfloat16", "int8")) if choices.chance(3) else None
        self.storage = storage if self.dtype is np.float32 else None
        self.rounded = _core.pack(self.flat, **self.network, storage=self.storage)
        self.engine = _core.Generator(3)
        self.tape: Any = None

    def state(self) -> Any:
        tape = None if self.tape is None else (self.tape.consumed, self.tape.nbytes)
        return self.engine.get_state(), self.weights.nbytes, tape

    def array(self, *shape: int) -> Any:
        return normal(self.choices, shape, self.dtype)

    # --- the network ---

    def pack(self) -> Call:
        arguments = {"parameters": self.flat, **self.network, "storage": self.storage}
        if self.choices.chance(6):
            arguments["num_layers"] = 2**40
        return Call(_core.pack, arguments, REFUSED, right=arguments["num_layers"] == self.L)

    def use_packed(self) -> Call:
        arguments = {"panels": self.rounded.panels(), **self.network, "storage": self.storage}

        def use_and_run(**given: Any) -> Any:
            call = self.step()
            call.arguments["weights"] = _core.use_packed(**given)
            return call() if self.D == 1 else None

        return Call(use_and_run, arguments, REFUSED)

    def count(self) -> Call:
        return Call(_core.parameter_count, dict(self.network), REFUSED)

    def sequences(self) -> dict[str, Any]:
        indices: dict[str, Any] = dict.fromkeys(INDICES)
        frames: tuple[int, ...] = (self.T, self.N)
        kind = self.choices.below(3)
        if kind == 1:
            indices["lengths"] = np.array([self.choices.below(self.T + 1) for _ in range(self.N)])
        elif kind == 2:
            sizes = sorted((1 + self.choices.below(self.N) for _ in range(self.T)), reverse=True)
            sizes[0] = self.N
            indices |= {"batch_sizes": np.array(sizes), "order": np.arange(self.N)[::-1].copy()}
            frames = (sum(sizes),)
        return {
            "weights": self.weights,
            "x": self.array(*frames, self.I),
            "y": self.array(*frames, self.D * self.P),
            "h": self.array(self.L * self.D, self.N, self.P),
            "c": self.array(self.L * self.D, self.N, self.H),
            **indices,
            "dropout": 0.5 if self.choices.chance(3) else 0.0,
            "generator": self.engine,
            "resets": np.ones(frames, bool) if self.choices.chance(3) else None,
        }

    def forward(self) -> Call:
        return Call(_core.forward, {**self.sequences(), "weights": self.rounded}, REFUSED)

    def record(self) -> Call:
        arguments = {**self.sequences(), "checkpoint": self.choices.pick((None, 1, 3))}
        right = self.storage is None or not self.choices.chance(8)
        if not right:
            arguments["weights"] = self.rounded
        return Call(_core.record, arguments, REFUSED, right=right)

    def backward(self) -> Call:
        given = {**self.sequences(), "checkpoint": self.choices.pick((None, 1))}
        self.tape = _core.record(**given)
        arguments = {
            "tape": self.tape,
            "grad_y": np.ones_like(given["y"]),
            "grad_x": np.ones_like(given["x"]),
            "grad_h": np.ones_like(given["h"]),
            "grad_c": np.ones_like(given["c"]),
            "grad_parameters": np.ones_like(self.flat),
            "accumulate": self.choices.chance(2),
        }
        used = self.choices.chance(8)
        if used:
            _core.backward(**arguments)
        return Call(_core.backward, arguments, REFUSED, right=not used)

    def step(self) -> Call:
        arguments = {
            "weights": self.rounded,
            "x": self.array(self.N, self.I),
            "y": self.array(self.N, self.P),
            "h": self.array(self.L, self.N, self.P),
            "c": self.array(self.L, self.N, self.H),
        }
        return Call(_core.step, arguments, REFUSED, right=self.D == 1)

    def infer(self) -> Call:
        hx = (
            self.array(self.L * self.D, self.N, self.P),
            self.array(self.L * self.D, self.N, self.H),
        )
        first = self.choices.chance(2)
        shape = (self.N, self.T, self.I) if first else (self.T, self.N, self.I)
        arguments = {
            "weights": self.rounded, "x": self.array(*shape),
            "hx": None if self.choices.chance(2) else hx, "batch_first": first,
            "precision": self.choices.below(5) - 1,
        }  # fmt: skip
        return Call(_core.infer, arguments, REFUSED)

    def infer_cell(self) -> Call:
        # Of any weights: those of a stack have more than a cell's states.
        hx = self.array(self.N, self.H), self.array(self.N, self.H)
        given = {"weights": self.rounded, "x": self.array(self.N, self.I), "hx": hx}
        given["precision"] = self.choices.below(5) - 1
        return Call(_core.infer_cell, given, REFUSED, right=False)

    # --- streams ---

    def stream(self) -> Call:
        arguments = {
            "weights": self.rounded,
            "h": self.array(self.L, self.N, self.P),
            "c": self.array(self.L, self.N, self.H),
        }
        return Call(_core.Stream, arguments, REFUSED, right=self.D == 1)

    def stream_step(self) -> Call:
        call = self.stream()
        if self.D == 2:
            return call
        out = self.array(self.N, self.P) if self.choices.chance(2) else None
        arguments = {"x": self.array(self.N, self.I), "out": out}
        return Call(call().step, arguments, REFUSED)

    # --- random numbers ---

    def generator(self) -> Call:
        return Call(_core.Generator, {"seed": 3}, REFUSED)

    def seed(self) -> Call:
        return Call(self.engine.manual_seed, {"seed": 3}, REFUSED)

    def uniform(self) -> Call:
        arguments = {"out": self.array(3, 300), "low": -1.0, "high": 1.0}
        return Call(self.engine.uniform, arguments, REFUSED)

    def set_state(self) -> Call:
        arguments = {"state": self.engine.get_state()}

        def set_and_draw(state: Any) -> None:
            self.engine.set_state(state)
            self.engine.uniform(np.empty(1300, np.float32), 0, 1)

        return Call(set_and_draw, arguments, REFUSED)

    # --- the rest ---

    def activation(self) -> Call:
        function = self.choices.pick((_core.sigmoid, _core.tanh))
        return Call(function, {"x": self.array(33), "out": self.array(33)}, REFUSED)

    def threads(self) -> Call:
        """Nothing is computed by so many: libgomp ends the process where it cannot make them."""
        before = _core.get_num_threads()

        def set_and_restore(count: Any) -> None:
            _core.set_num_threads(count)
            _core.set_num_threads(before)

        return Call(set_and_restore, {"count": 1}, REFUSED)

    def dealing(self) -> Call:
        return Call(_core.force_dealing, {"dealing": self.choices.pick(DEALINGS)}, REFUSED)

    def peaks(self) -> Call:
        """The loops of the benchmark run as often as they are told: that is not altered."""
        count = self.choices.below(3) - 1

        def read(buffer: Any) -> Any:
            return _core.read(buffer, count)

        def multiply_add(double: Any) -> Any:
            return _core.multiply_add(double, count)

        if self.choices.chance(2):
            return Call(multiply_add, {"double": True}, REFUSED)
        return Call(read, {"buffer": np.ones(100, np.float32)}, REFUSED)

    def blank(self) -> Call:
        """Objects made without their constructors, wherever one may stand."""
        kind = self.choices.pick((_core.Generator, _core.Stream, _core.Tape, _core.Weights))
        blank = kind.__new__(kind)
        call = getattr(
            self, self.choices.pick(("forward", "record", "backward", "step", "infer"))
        )()
        name = self.choices.pick(list(call.arguments))
        call.arguments[name], call.right = blank, False
        return call

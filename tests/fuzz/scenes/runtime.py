"""Random numbers and threads: what belongs to the process.

Owns right calls of ``Generator``, ``manual_seed`` and ``lstm_native.runtime``. Must not know how
arguments are altered.
"""

from __future__ import annotations

import contextlib
import io
import pickle
from typing import Any, ClassVar

import numpy as np

import lstm_native
from fuzz.calls import Call, Fault, documented
from fuzz.choices import Choices
from fuzz.scenes import Scene
from lstm_native import Generator, runtime
from lstm_native.random import default_generator


class RuntimeScene(Scene):
    """A generator after some draws, and the settings of the process."""

    calls: ClassVar[tuple[str, ...]] = (
        "seed", "default_seed", "set_state", "set_state", "unpickle", "threads", "precision",
        "block", "reproducible", "config",
    )  # fmt: skip

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices)
        self.generator = Generator().manual_seed(choices.below(100))
        self.lstm = lstm_native.LSTM(4, 4, 2, dropout=0.5)

    def state(self) -> Any:
        drawn = [g._engine.get_state() for g in (self.generator, default_generator)]
        settings = (
            runtime.get_num_threads(),
            lstm_native.get_float32_matmul_precision(),
            lstm_native.get_reproducible(),
        )
        return drawn, self.generator.initial_seed(), settings

    def seed(self) -> Call:
        raises = documented(Generator.manual_seed)
        return Call(self.generator.manual_seed, {"seed": 3}, raises)

    def default_seed(self) -> Call:
        return Call(lstm_native.manual_seed, {"seed": 3}, documented(lstm_native.manual_seed))

    def set_state(self) -> Call:
        state = self.generator.get_state()
        given = state.tobytes() if self.choices.chance(2) else state
        return Call(self.set_and_draw, {"state": given}, documented(Generator.set_state))

    def set_and_draw(self, state: Any) -> None:
        """Set a state, which may be forged, and draw more than one lap of it."""
        self.generator.set_state(state)
        self.lstm.generator = pickle.loads(pickle.dumps(self.generator))
        self.lstm(np.zeros((100, 4), np.float32))

    def unpickle(self) -> Call:
        """A pickle is trusted: it may fail in any way, but the process stays."""
        blank = Generator.__new__(Generator)
        arguments = {"state": self.generator.__getstate__()}
        return Call(blank.__setstate__, arguments, (Exception,))

    def threads(self) -> Call:
        before = runtime.get_num_threads()

        def set_and_restore(num_threads: Any) -> None:
            runtime.set_num_threads(num_threads)
            if runtime.get_num_threads() < 1:
                raise Fault(f"{runtime.get_num_threads()} threads")
            runtime.set_num_threads(before)

        return Call(set_and_restore, {"num_threads": 1}, documented(runtime.set_num_threads))

    def precision(self) -> Call:
        before = lstm_native.get_float32_matmul_precision()

        def set_and_restore(precision: Any) -> None:
            lstm_native.set_float32_matmul_precision(precision)
            lstm_native.set_float32_matmul_precision(before)

        raises = documented(lstm_native.set_float32_matmul_precision)
        return Call(set_and_restore, {"precision": "medium"}, raises)

    def block(self) -> Call:
        before = lstm_native.get_float32_matmul_precision()

        def enter_and_leave(precision: Any) -> None:
            with lstm_native.float32_matmul_precision(precision):
                self.lstm(np.zeros((3, 4), np.float32))
            if lstm_native.get_float32_matmul_precision() != before:
                raise Fault("a block left its precision behind")

        raises = documented(lstm_native.float32_matmul_precision)
        return Call(enter_and_leave, {"precision": "medium"}, raises)

    def reproducible(self) -> Call:
        def set_and_restore(reproducible: Any) -> None:
            lstm_native.set_reproducible(reproducible)
            if lstm_native.get_reproducible() is not bool(reproducible):
                raise Fault(f"reproducible is not {reproducible!r}")
            lstm_native.set_reproducible(True)

        raises = documented(lstm_native.set_reproducible)
        return Call(set_and_restore, {"reproducible": False}, raises)

    def config(self) -> Call:
        def show(mode: Any) -> None:
            with contextlib.redirect_stdout(io.StringIO()):
                runtime.show_config(mode)

        return Call(show, {"mode": "dicts"}, documented(runtime.show_config))

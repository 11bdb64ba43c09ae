"""What trains: optimizers, the clipping of gradients, the bridge to autograd.

Owns right calls of ``lstm_native.optim`` and of the bridge. Must not know how arguments are
altered.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fuzz.arrays import normal
from fuzz.calls import Call, documented
from fuzz.choices import Choices
from fuzz.scenes import Scene
from fuzz.scenes.networks import NetworkScene
from lstm_native import optim
from lstm_native.optim import Optimizer

try:
    from lstm_native.bridges import autograd as bridge
except ImportError:
    bridge = None  # type: ignore[assignment]

KINDS: tuple[tuple[Any, dict[str, Any]], ...] = (
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (optim.SGD, {"lr": 0.1}),
    (optim.Adam, {"lr": 0.1, "betas": (0.9, 0.999), "eps": 1e-8, "amsgrad": True}),
    (optim.AdamW, {"lr": 0.1, "maximize": True}),
)


class OptimizerScene(Scene):
    """An optimizer over one array or two, after a step."""

    calls: ClassVar[tuple[str, ...]] = (
        "construct", "step", "step", "step", "load", "hyperparameter", "clip",
    )  # fmt: skip

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices)
        self.kind, self.options = choices.pick(KINDS)
        dtype = choices.pick(("f4", "f8"))
        self.arrays: Any = [normal(choices, (3, 2), dtype), normal(choices, (4,), dtype)]
        if choices.chance(2):
            self.arrays = self.arrays[0]
        self.optimizer = self.kind(self.arrays, **self.options)
        self.optimizer.step(self.gradients())

    def gradients(self) -> Any:
        if isinstance(self.arrays, np.ndarray):
            return self.arrays * 0.5
        return [None if self.choices.chance(4) else array * 0.5 for array in self.arrays]

    def state(self) -> Any:
        arrays = [array.tobytes() for array in self.optimizer.parameters]
        return arrays, [(k, v.tobytes()) for k, v in self.optimizer.state_dict().items()]

    def construct(self) -> Call:
        arguments = {"parameters": self.arrays, **self.options}
        return Call(self.kind, arguments, documented(optim.Adam))

    def step(self) -> Call:
        arguments = {"gradients": self.gradients()}
        return Call(self.optimizer.step, arguments, documented(Optimizer.step))

    def load(self) -> Call:
        arguments = {"state": self.optimizer.state_dict()}
        raises = documented(Optimizer.load_state_dict)
        return Call(self.optimizer.load_state_dict, arguments, raises)

    def hyperparameter(self) -> Call:
        name, gradients = self.choices.pick(list(self.options)), self.gradients()
        arguments = {"name": name, "value": 0.5, "gradients": gradients}
        return Call(self.set_and_step, arguments, documented(Optimizer.step), right=False)

    def set_and_step(self, name: str, value: Any, gradients: Any) -> None:
        """Set a hyperparameter, which a step checks; put it back where the step refuses it."""
        before = dict(vars(self.optimizer))
        setattr(self.optimizer, name, value)
        try:
            self.optimizer.step(gradients)
        except BaseException:
            vars(self.optimizer).update(before)
            raise

    def clip(self) -> Call:
        arguments = {
            "gradients": self.arrays, "max_norm": 1.0,
            "norm_type": self.choices.pick((1, 2, np.inf)), "error_if_nonfinite": True,
        }  # fmt: skip
        # A step before may have left what is not finite.
        raises = documented(optim.clip_grad_norm_)
        return Call(optim.clip_grad_norm_, arguments, raises, right=False)


class BridgeScene(NetworkScene):
    """A network as autograd sees it."""

    calls: ClassVar[tuple[str, ...]] = ("bridged",)

    def bridged(self) -> Call:
        arguments = self.input()
        arguments.pop("resets", None)
        right = isinstance(arguments["x"], np.ndarray) and not self.lstm.batch_first
        arguments["params"] = dict(self.lstm.state_dict())
        if bridge is None:
            return Call(lambda **_: None, arguments, ())
        return Call(bridge.lstm, arguments, documented(bridge.lstm), right=right)

"""The parameters of the estimators, checked.

Owns their types and ranges, and errors in scikit-learn's words. Must not know data or networks.
"""

import math
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, NoReturn

import numpy as np

from lstm_native._checks import arguments
from lstm_native.sklearn.pooling import POOLINGS

SOLVERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "linear")


@dataclass(frozen=True)
class Settings:
    """All parameters of an estimator that training reads, each of its own type and in its range."""

    hidden_size: int
    num_layers: int
    bidirectional: bool
    proj_size: int
    dropout: float
    pooling: str
    solver: str
    learning_rate_init: float
    learning_rate: str
    momentum: float
    weight_decay: float
    max_grad_norm: float
    batch_size: int
    max_iter: int
    shuffle: bool
    tol: float
    n_iter_no_change: float
    early_stopping: bool
    validation_fraction: float
    warm_start: bool
    verbose: bool
    dtype: np.dtype[Any]


def checked(estimator: Any) -> Settings:
    """Read the parameters off an estimator.

    Raises
    ------
    ValueError, TypeError
        One is of a wrong type or out of its range; the message names it.
    """
    read = _Reader(estimator)
    settings = Settings(
        hidden_size=read.whole("hidden_size", 1),
        num_layers=read.whole("num_layers", 1),
        bidirectional=read.flag("bidirectional"),
        proj_size=read.whole("proj_size", 0),
        dropout=read.real("dropout", 0, 1),
        pooling=read.choice("pooling", tuple(POOLINGS)),
        solver=read.choice("solver", SOLVERS),
        learning_rate_init=read.real("learning_rate_init", 0),
        learning_rate=read.choice("learning_rate", SCHEDULES),
        momentum=read.real("momentum", 0, 1),
        weight_decay=read.real("weight_decay", 0),
        max_grad_norm=read.limit("max_grad_norm"),
        batch_size=read.whole("batch_size", 1),
        max_iter=read.whole("max_iter", 1),
        shuffle=read.flag("shuffle"),
        tol=read.real("tol", -math.inf),
        n_iter_no_change=read.count("n_iter_no_change"),
        early_stopping=read.flag("early_stopping"),
        validation_fraction=read.real("validation_fraction", 0, 1),
        warm_start=read.flag("warm_start"),
        verbose=read.flag("verbose"),
        dtype=arguments.float_dtype(estimator.dtype),
    )
    if settings.proj_size >= settings.hidden_size:
        read.refuse("proj_size", f"smaller than hidden_size={settings.hidden_size}")
    if settings.early_stopping and not 0 < settings.validation_fraction < 1:
        read.refuse("validation_fraction", "a float in the range (0.0, 1.0)")
    return settings


class _Reader:
    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator

    def refuse(self, name: str, wanted: str) -> NoReturn:
        raise ValueError(
            f"The {name!r} parameter of {type(self._estimator).__name__} must be {wanted}. "
            f"Got {getattr(self._estimator, name)!r} instead."
        )

    def whole(self, name: str, least: int) -> int:
        value = self._given(name)
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            self.refuse(name, f"an int in the range [{least}, inf)")
        return int(value)

    def real(self, name: str, least: float, most: float = math.inf) -> float:
        value = self._number(name)
        if value is None or not (least <= value <= most and math.isfinite(value)):
            end = f"{most}]" if math.isfinite(most) else "inf)"
            self.refuse(name, f"a float in the range {'(' if least < 0 else '['}{least}, {end}")
        return value

    def limit(self, name: str) -> float:
        """What may be infinite, of which None is another word."""
        if self._given(name) is None:
            return math.inf
        value = self._number(name)
        if value is None or not value > 0:
            self.refuse(name, "None or a number in the range (0, inf]")
        return value

    def count(self, name: str) -> float:
        """A whole number, or what has no end."""
        value = self._given(name)
        endless = value is None or (isinstance(value, float) and value == math.inf)
        return math.inf if endless else self.whole(name, 1)

    def flag(self, name: str) -> bool:
        value = self._given(name)
        if not isinstance(value, bool | np.bool_ | Integral):
            self.refuse(name, "a bool")
        return bool(value)

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value = self._given(name)
        if not isinstance(value, str) or value not in choices:
            self.refuse(name, f"a str among {{{', '.join(map(repr, choices))}}}")
        return str(value)

    def _given(self, name: str) -> Any:
        return getattr(self._estimator, name)

    def _number(self, name: str) -> float | None:
        value = self._given(name)
        if not isinstance(value, Real) or isinstance(value, bool):
            return None
        try:
            return float(value)
        except OverflowError:  # an int beyond every float
            return math.inf

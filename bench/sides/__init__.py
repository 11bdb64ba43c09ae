"""One adapter for each side: ourselves, and every peer that is installed.

Owns the list of sides and what a side must offer; each adapter lies in a module of its own and
alone imports its library.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from bench.problem import Floats, Problem
from bench.shapes import Mode, Shape

OURS = "lstm_native"
MODULES = {
    OURS: "ours",
    "torch": "pytorch",
    "onnxruntime": "onnx_runtime",
    "openvino": "open_vino",
    "thinc": "thinc_layers",
}


@dataclass(frozen=True)
class Runner:
    """A problem made ready by a side, so that nothing but the work is left to be timed.

    Attributes
    ----------
    call : callable
        Does the work once, as a user of the library would, and returns the library's own result.
    answers : callable
        Turns such a result into arrays: ``output`` (T, N, D*outputs) with zeros in missing
        frames, ``h_n``, ``c_n``; in mode ``train`` also ``grad_input``, ``grad_h_0``,
        ``grad_c_0`` and, flat in torch's order, ``grad_parameters``. Not timed.
    problem : Problem or None
        The problem it solves, if the library cannot take the one it was given: its answers are
        then compared with ours to that.
    withheld : frozenset of str
        Answers that the library has no way to give.
    """

    call: Callable[[], Any]
    answers: Callable[[Any], dict[str, Floats]]
    problem: Problem | None = None
    withheld: frozenset[str] = frozenset()


class Side(Protocol):
    """What an adapter offers.

    Attributes
    ----------
    name, version : str
        Of the library.
    most_threads : int or None
        The most threads it can use, if there is such a limit.
    """

    name: str
    version: str
    most_threads: int | None

    def refusal(self, shape: Shape, mode: Mode) -> str | None:
        """Say why the library cannot do a row, or None if it can."""
        ...

    def prepare(self, problem: Problem, mode: Mode, threads: int) -> Runner:
        """Make everything ready, the library's thread count included.

        No other side's call may need a setting that this changes.
        """
        ...


def available(names: list[str]) -> tuple[list[Side], dict[str, str]]:
    """Import the adapters.

    Parameters
    ----------
    names : list of str
        Peers, keys of `MODULES`; ourselves come first in any case.

    Returns
    -------
    sides : list of Side
        Those whose libraries are installed.
    absent : dict of str to str
        The others, with the reason.
    """
    sides: list[Side] = []
    absent: dict[str, str] = {}
    for name in [OURS, *(name for name in names if name != OURS)]:
        try:
            sides.append(importlib.import_module(f"bench.sides.{MODULES[name]}").SIDE)
        except ImportError as error:
            if name == OURS:
                raise
            absent[name] = str(error)
    return sides, absent

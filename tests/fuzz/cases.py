"""A case: a program of a few calls on the objects of one scene.

Owns which scenes there are, how often each comes, and what a case must leave behind as it was: the
threads, the dealing, the default generator.
"""

from __future__ import annotations

import resource
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import lstm_native
from fuzz.choices import Choices
from fuzz.scenes import Scene, estimators
from fuzz.scenes.cells import CellScene, StreamScene
from fuzz.scenes.core import DEALINGS, CoreScene
from fuzz.scenes.modules import FileScene, ModuleScene
from fuzz.scenes.networks import NetworkScene
from fuzz.scenes.runtime import RuntimeScene
from fuzz.scenes.sequences import SequenceScene
from fuzz.scenes.training import BridgeScene, OptimizerScene
from lstm_native import _core

SCENES: tuple[type[Scene], ...] = (
    *[CoreScene] * 16, *[NetworkScene] * 12, *[CellScene] * 6, *[ModuleScene] * 6,
    *[StreamScene] * 4, *[SequenceScene] * 6, *[OptimizerScene] * 4, *[RuntimeScene] * 3,
    *[BridgeScene] * 2, FileScene, *[estimators.EstimatorScene] * estimators.SCENES,
)  # fmt: skip
MEMORY = 1 << 29


def play(choices: Choices, threads: int) -> None:
    """Play one case; raises a Fault where something happens that must not."""
    lstm_native.manual_seed(2)
    dealing = choices.pick(DEALINGS) if choices.chance(8) else "any"
    try:
        if threads > 1:
            _core.force_dealing(dealing)
        scene = choices.pick(SCENES)(choices)
        for _ in range(1 + choices.below(3)):
            scene.play()
    finally:
        _core.set_num_threads(threads)
        _core.force_dealing("any")


@contextmanager
def surroundings() -> Iterator[None]:
    """What cases are played in: no warnings, and an end of memory near enough to be met.

    A sanitizer reserves more addresses than any limit allows: there ``ASAN_OPTIONS`` should say
    ``max_allocation_size_mb=512:allocator_may_return_null=1``.
    """
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    if used < MEMORY * 100:
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)

"""How times are taken: in turns, each side alone on the machine.

Owns the clock and the order of calls; knows nothing of what is called.

Thread pools stay awake after a call: on the machine where this was written torch's workers spin
for 8 to 10 ms and ONNX Runtime's for 40. Whoever is timed next would share its cores with them. So
before each turn the process must come to rest, and since its own workers then sleep as well, a
turn begins with a call that is not counted.
"""

import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

# CPU time may be counted in ticks of 4 ms: a window must hold several.
WINDOW = 0.012
IDLE_SHARE = 0.1
PATIENCE = 1.0
# Calls are timed in blocks of about this length, against the grain and the cost of the clock.
BLOCK = 1e-4
# A call longer than this needs no uncounted one before it, and one call tells how long it is:
# waking the workers takes 50 us.
LONG_CALL = 0.02
# Calls of a second and more repeat within a few per cent: three say as much as five of others.
FEWEST, FEWEST_LONG, VERY_LONG_CALL = 5, 3, 0.5
# Who needs so many times the second best time is out of the race, and gets this part of the time.
HOPELESS = 3.0
HOPELESS_SHARE = 0.1


@dataclass(frozen=True)
class Effort:
    """How long to measure each side.

    Attributes
    ----------
    samples : int
        At least so many ...
    seconds : float
        ... and at least so long ...
    limit : float
        ... but no longer than this, once there are five samples (three of very long calls).
    turns : int
        In how many turns the `seconds` are spread.
    most_flops : float
        Rows of more are left out.
    """

    samples: int = 20
    seconds: float = 0.5
    limit: float = 4.0
    turns: int = 5
    most_flops: float = math.inf

    def part(self, share: float) -> Self:
        """Ask for a part of it, in one turn."""
        samples = max(FEWEST_LONG, round(self.samples * share))
        return replace(
            self, samples=samples, seconds=self.seconds * share, limit=self.limit * share, turns=1
        )


QUICK = Effort(samples=3, seconds=0.03, limit=0.1, turns=1, most_flops=1e10)


@dataclass(frozen=True)
class Times:
    """Times of one call, in seconds.

    Attributes
    ----------
    median, low, high : float
        Median and quartiles.
    samples, calls : int
        How many blocks were timed, of how many calls each.
    restless : int
        Turns that began while some thread of the process was still at work.
    """

    median: float
    low: float
    high: float
    samples: int
    calls: int
    restless: int


def settle() -> bool:
    """Wait until no thread of this process uses a core.

    Returns
    -------
    bool
        False if that did not happen within a second.
    """
    end = time.perf_counter() + PATIENCE
    while time.perf_counter() < end:
        wall, used = time.perf_counter(), time.process_time()
        time.sleep(WINDOW)
        if time.process_time() - used < IDLE_SHARE * (time.perf_counter() - wall):
            return True
    return False


def interleave(calls: Mapping[str, Callable[[], Any]], effort: Effort) -> dict[str, Times]:
    """Time all sides in turns: ours, peer, ours, peer, ...

    Sides far slower than the second best get a tenth of the effort: their figures are rougher, and
    the time is left for those that decide a ratio.

    Parameters
    ----------
    calls : mapping of str to callable
        What to time, by name.
    effort : Effort
        How long.

    Returns
    -------
    dict of str to Times
        By the same names.
    """
    clocks = {name: _Clock(call, effort) for name, call in calls.items()}
    second_best = sorted(clock.once for clock in clocks.values())[:2][-1]
    for clock in clocks.values():
        if clock.once > HOPELESS * second_best:
            clock.effort = effort.part(HOPELESS_SHARE)
    gc.collect()
    gc.disable()
    try:
        while not all(clock.done for clock in clocks.values()):
            for clock in clocks.values():
                if not clock.done:
                    clock.turn()
    finally:
        gc.enable()
    return {name: clock.times() for name, clock in clocks.items()}


class _Clock:
    """The samples of one side."""

    def __init__(self, call: Callable[[], Any], effort: Effort) -> None:
        self._call, self.effort = call, effort
        self._samples: list[float] = []
        self._total = 0.0
        self._restless = 0
        self.once = self._time(1)
        if self.once < LONG_CALL:
            self.once = min(self._time(1) for _ in range(3))
        self._calls = max(1, round(BLOCK / self.once))

    @property
    def done(self) -> bool:
        count, effort = len(self._samples), self.effort
        enough = count >= effort.samples and self._total >= effort.seconds
        fewest = FEWEST_LONG if self.once > VERY_LONG_CALL else FEWEST
        return enough or (count >= min(fewest, effort.samples) and self._total >= effort.limit)

    def turn(self) -> None:
        self._restless += not settle()
        if self.once < LONG_CALL:
            self._time(self._calls)
        end = self._total + self.effort.seconds / self.effort.turns
        while True:
            block = self._time(self._calls)
            self._samples.append(block / self._calls)
            self._total += block
            if self._total >= end or self.done:
                return

    def _time(self, calls: int) -> float:
        call = self._call
        start = time.perf_counter()
        for _ in range(calls):
            call()
        return time.perf_counter() - start

    def times(self) -> Times:
        low, median, high = np.quantile(self._samples, (0.25, 0.5, 0.75)).tolist()
        return Times(median, low, high, len(self._samples), self._calls, self._restless)

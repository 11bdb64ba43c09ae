"""What the machine can do at best: multiply-adds in registers, and reads by how far away they lie.

Owns the measurement, and is the benchmark's only importer of the compiled core, whose two probes
run in the instruction set and on the threads that our own calls use. Knows nothing of any row; what
a row makes of these figures is `roofline`'s.
"""

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import lstm_native
from bench.timing import settle
from lstm_native import _core

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
# Bytes of the levels where the system does not tell.
USUAL = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}
MOST_MEMORY = 512 << 20
PAGE = 4096

SECONDS = 0.01
SAMPLES = 9


def measure(threads: Sequence[int]) -> dict[str, Any]:
    """Measure the peaks with each thread count; takes about a second for each.

    Parameters
    ----------
    threads : sequence of int
        Thread counts.

    Returns
    -------
    dict
        Ready for JSON. ``gflops``: by dtype and thread count. ``levels``: by thread count, from the
        nearest level to memory, each with its ``name``, the ``bytes`` of it that one thread may
        call its own (None for memory) and the ``gbytes`` that all threads together read in a
        second.
    """
    caches = _caches()
    peaks: dict[str, Any] = {"gflops": {"float32": {}, "float64": {}}, "levels": {}}
    for count in threads:
        lstm_native.set_num_threads(count)
        for dtype in peaks["gflops"]:
            work = functools.partial(_core.multiply_add, dtype == "float64")
            peaks["gflops"][dtype][str(count)] = _rate(work)
        # L1 and L2 belong to a core; the last level is everybody's.
        own = {name: size // count if name == "L3" else size for name, size in caches.items()}
        working_sets = {
            "L1": own["L1"] // 2,
            "L2": own["L2"] // 2,
            "L3": min(4 * own["L2"], own["L3"] // 2),
            "memory": min(4 * caches["L3"], MOST_MEMORY) // count,
        }
        peaks["levels"][str(count)] = [
            {"name": name, "bytes": own.get(name), "gbytes": _bandwidth(size, count)}
            for name, size in working_sets.items()
        ]
    return peaks


def _bandwidth(size: int, threads: int) -> float:
    # Written, since fresh zeros may all be one page of the system's; and no load across two lines.
    raw = np.ones(size * threads // 4 + PAGE // 4, np.float32)
    start = -raw.ctypes.data % PAGE // 4
    buffer = raw[start : start + size * threads // 4]
    return _rate(functools.partial(_core.read, buffer))


def _rate(work: Callable[[int], float]) -> float:
    """Do `work`, which returns how much it did, and return the median of the 1e9 done a second."""
    settle()
    iterations = 1
    while _timed(work, iterations)[0] < SECONDS:
        iterations *= 2
    samples = (_timed(work, iterations) for _ in range(SAMPLES))
    return round(statistics.median(done / seconds for seconds, done in samples) / 1e9, 2)


def _timed(work: Callable[[int], float], iterations: int) -> tuple[float, float]:
    start = time.perf_counter()
    done = work(iterations)
    return time.perf_counter() - start, done


def _caches() -> dict[str, int]:
    """Bytes of each level, from the system where it tells."""
    found = dict(USUAL)
    for index in sorted(CACHES.glob("index*")):
        try:
            level, kind, size = (
                (index / name).read_text(encoding="utf-8").strip()
                for name in ("level", "type", "size")
            )
        except OSError:
            continue
        if kind != "Instruction" and size.endswith("K"):
            found[f"L{level}"] = int(size[:-1]) << 10
    return {name: found[name] for name in USUAL}

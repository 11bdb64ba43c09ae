"""Every operation again and again, each time another of its allocations failing.

Owns what must hold after each: MemoryError, all networks and the generator as they were to the bit,
the right result at the next try, nothing lost. ``failing_allocator.c`` must be preloaded: see
``test_out_of_memory.py``, which says what runs with which allocator of Python's.
"""

import ctypes
import gc
import sys
import tempfile
from collections import Counter
from typing import Any

import numpy as np

import lstm_native
from memory.operations import Operation, World, core, public, team

ALLOCATOR = ctypes.CDLL(None)
ALLOCATOR.fail_allocation.argtypes = (ctypes.c_long, ctypes.c_size_t)
ALLOCATOR.blocks_alive.restype = ctypes.c_long


def attempt(operation: Operation, given: Any, n: int) -> tuple[str | None, Any]:
    """How an operation ends whose n-th allocation fails, and its result; None: all were granted."""
    result, ending = None, "result"
    fail, stop = ALLOCATOR.fail_allocation, ALLOCATOR.stop_failing
    fail(n, operation.least)
    try:
        result = operation.run(given)
        failed = stop()
    except MemoryError:
        failed, ending = stop(), "MemoryError"
    except Exception as error:
        failed, ending = stop(), repr(error)
    return (ending if failed else None), result


def arrays(result: Any) -> list[bytes]:
    """The bits of all arrays in a result."""
    if isinstance(result, np.ndarray):
        return [result.tobytes()]
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, list | tuple):
        return [bits for part in result for bits in arrays(part)]
    return []


def sweep(world: World, operation: Operation, expected: list[bytes]) -> Counter[str]:
    """How often an operation ended how, over every n."""
    endings: Counter[str] = Counter()
    n = 0
    while True:
        n += 1
        lstm_native.manual_seed(1)
        given = operation.prepare()
        before = world.bits()
        ending, result = attempt(operation, given, n)
        if ending is None:
            break
        if ending == "result" and arrays(result) != expected:
            ending = f"a wrong result at {n}"
        elif ending != "result" and world.bits() != before:
            ending = f"a trace at {n}"
        endings[ending] += 1
    world.held.clear()
    return endings


def main(parts: list[str]) -> int:
    lstm_native.set_num_threads(1)
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        world = World(folder)
        for part in parts:
            for operation in {"public": public, "core": core, "team": team}[part](world):
                faults += not holds(world, operation)
    return faults


def holds(world: World, operation: Operation, rounds: int = 3) -> bool:
    """Whether an operation keeps the promise; says what happened."""

    def result() -> list[bytes]:
        lstm_native.manual_seed(1)
        return arrays(operation.run(operation.prepare()))

    expected = result()
    for _ in range(2):  # what is made once and kept
        endings = sweep(world, operation, expected)
    gc.collect()
    before = ALLOCATOR.blocks_alive()
    for _ in range(rounds):
        sweep(world, operation, expected)
    gc.collect()
    lost = ALLOCATOR.blocks_alive() - before
    same = result() == expected
    good = set(endings) <= {"MemoryError", "result"} and lost < rounds and same
    print(
        f"{'ok' if good else 'FAULT'}: {operation.name}: {dict(endings)}, {lost} blocks lost in "
        f"{rounds} rounds, then {'the same' if same else 'other'} bits",
        flush=True,
    )
    return good


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

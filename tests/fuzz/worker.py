"""A process that plays the cases of a range of seeds: ``python -m fuzz.worker FIRST COUNT AT``.

Owns what the supervisor learns of it: the seed being played, in the eight bytes of the file AT, so
that it is known whatever becomes of this process, and a line of JSON on stdout for each fault.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import mmap
import os
import struct
import sys
import tempfile

from fuzz import cases
from fuzz.choices import Seeded
from lstm_native import get_num_threads

SEED = struct.Struct("=q")


def run(first: int, count: int, at: str) -> None:
    """Play the cases; every exception that comes out of one is reported."""
    threads = get_num_threads()
    with open(at, "r+b") as file, mmap.mmap(file.fileno(), SEED.size) as place:
        for seed in range(first, first + count):
            SEED.pack_into(place, 0, seed)
            try:
                cases.play(Seeded(seed), threads)
            except MemoryError:  # of the case's own: those of calls are looked at there
                gc.collect()
            except Exception as error:
                kind, text = type(error).__name__, f"{error}"[:2000]
                print(json.dumps({"seed": seed, "kind": kind, "text": text}), flush=True)
        SEED.pack_into(place, 0, first + count)


def main() -> None:
    faulthandler.enable()
    first, count, at = int(sys.argv[1]), int(sys.argv[2]), os.path.abspath(sys.argv[3])
    # Files of cases go where writing them costs least.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        os.chdir(folder)
        with cases.surroundings():
            run(first, count, at)


if __name__ == "__main__":
    main()

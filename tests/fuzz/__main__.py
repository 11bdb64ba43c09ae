"""``python -m fuzz --cases N --seed S``: N cases; ``python -m fuzz --replay SEED``: one, here.

Owns the command line. The last line says how many cases there were and what came of them; the exit
code is 1 where anything did.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import sys
import tempfile
import time

from tqdm import tqdm

from fuzz import calls, cases, scenes, supervisor
from fuzz.choices import Seeded
from lstm_native import get_num_threads


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--replay", type=int, metavar="SEED", help="play one case, and say it all")
    options = parser.parse_args()
    if options.replay is not None:
        replay(options.replay)
        return 0
    start = time.monotonic()
    with tqdm(total=options.cases, unit=" cases", smoothing=0.05) as bar:
        tally = supervisor.run(
            options.seed,
            options.cases,
            options.workers,
            progress=lambda done: bar.update(done - bar.n),
            report=lambda trouble: bar.write(str(trouble)),
        )
    print(f"{tally}, {time.monotonic() - start:.0f} s, {get_num_threads()} threads")
    return 1 if tally.troubles else 0


def replay(seed: int) -> None:
    """Play one case in this process, and print each call before it is made."""
    faulthandler.enable()
    outcome = calls.outcome

    def loud(call: calls.Call, *others: object) -> object:
        print(call, flush=True)
        return outcome(call, *others)  # type: ignore[arg-type]

    scenes.outcome = loud  # type: ignore[assignment]
    with tempfile.TemporaryDirectory() as folder, cases.surroundings():
        os.chdir(folder)
        cases.play(Seeded(seed), get_num_threads())
    print("nothing happened")


if __name__ == "__main__":
    sys.exit(main())

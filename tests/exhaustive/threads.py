"""Eight threads for a minute, all compared by bits: ``nox -s threads``, ``nox -s free_threaded``.

On a free-threaded Python importing the package must leave the GIL off. Must not know what the
threads do: ``side_by_side.py`` does.

    python tests/exhaustive/threads.py [SECONDS]
"""

import sys
import sysconfig
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import side_by_side


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    if free and gil:
        print("the GIL came back on")
        return 1
    jobs, faults = side_by_side.race(seconds)
    for fault in faults:
        print(fault)
    print(
        f"Python {sys.version.split()[0]}, GIL {'on' if gil else 'off'}: "
        f"{side_by_side.THREADS} threads, {seconds:g} s, {jobs} jobs, {len(faults)} faults"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""A thousand children of a busy process: ``nox -s fork``.

Each is forked while the parent computes, draws random numbers, makes networks, writes and packs
parameters, or has just done so, and must give the parent's bits within two seconds. About two
minutes on two cores. Must not know how a child is asked: ``forks.py`` does.

    python tests/exhaustive/forks.py [CHILDREN]
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import lstm_native
from forks import BUSY, LIMIT, Work, busy, in_child


def main() -> int:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    lstm_native.set_num_threads(2)
    work = Work()
    expected = work()
    right, slowest = 0, 0.0
    for what in BUSY:
        answers = []
        with busy(what, work):
            for _ in range(count // len(BUSY)):
                answers.append(in_child(work))
        same = sum(answer.digest == expected for answer in answers)
        longest = max(answer.seconds for answer in answers)
        print(f"{what.__name__:10} {same} of {len(answers)} the same bits, slowest {longest:.2f} s")
        right, slowest = right + same, max(slowest, longest)
    made = count // len(BUSY) * len(BUSY)
    print(f"{right} of {made} children computed the same bits, the slowest in {slowest:.2f} s")
    return 0 if right == made and slowest < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())

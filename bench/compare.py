"""Two results side by side: ``python -m bench compare OLD NEW``.

Owns what counts as a change. Our own time alone says little, since machines drift by tens of per
cent; so a row is slower only if our quartiles moved apart *and* the ratio to the best peer fell.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import report
from bench.sides import OURS


def main(argv: Sequence[str]) -> int:
    """Print the comparison.

    Parameters
    ----------
    argv : sequence of str
        The arguments after ``compare``.

    Returns
    -------
    int
        0; 1 if ``--fail-slower`` was given and some row is slower by more than that.
    """
    arguments = _parser().parse_args(argv)
    changes, lone = compare(report.read(arguments.old), report.read(arguments.new))
    for mode, title in report.TITLES.items():
        rows = [change for change in changes if change["mode"] == mode]
        if rows:
            print(f"{title}\n\n{report.draw(_cells(rows), markdown=arguments.markdown)}\n")
    for name, mode in lone:
        print(f"in one of the two only: {mode} {name}")
    if arguments.fail_slower is None:
        return 0
    slower = [c for c in changes if is_slower(c, arguments.fail_slower / 100)]
    for change in slower:
        print(f"slower by more than {arguments.fail_slower:g} %: {change['mode']} {change['row']}")
    return int(bool(slower))


def compare(
    old: dict[str, Any], new: dict[str, Any]
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    """Compare row by row.

    Parameters
    ----------
    old, new : dict
        Two results.

    Returns
    -------
    changes : list of dict
        For each row with our times in both: ``row``, ``mode``; our ``old`` and ``new`` seconds;
        ``ratios``, old and new, to the best of the peers that both have, or None without one;
        ``moved``: ``faster``, ``slower`` or empty, the last if our quartiles overlap.
    lone : list of tuple
        Name and mode of the others.
    """
    olds, news = _by_key(old), _by_key(new)
    changes = [
        {
            "row": name,
            "mode": mode,
            "old": olds[name, mode]["best"][OURS]["seconds"],
            "new": row["best"][OURS]["seconds"],
            "ratios": _ratios(olds[name, mode], row),
            "moved": _moved(_quartiles(olds[name, mode]), _quartiles(row)),
        }
        for (name, mode), row in news.items()
        if (name, mode) in olds
    ]
    return changes, [key for key in [*olds, *news] if key not in olds or key not in news]


def is_slower(change: dict[str, Any], share: float) -> bool:
    """Say whether a row became slower by more than a share, by the rule of this module."""
    if change["ratios"] is None:
        loss = change["new"] / change["old"]
    else:
        loss = change["ratios"][0] / change["ratios"][1]
    return change["moved"] == "slower" and bool(loss > 1 + share)


def _by_key(results: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["row"], row["mode"]): row for row in results["rows"] if OURS in row["best"]}


def _ratios(old: dict[str, Any], new: dict[str, Any]) -> tuple[float, float] | None:
    peers = [name for name in old["best"] if name in new["best"] and name != OURS]
    if not peers:
        return None

    def ratio(row: dict[str, Any]) -> float:
        best = min(row["best"][peer]["seconds"] for peer in peers)
        return float(best / row["best"][OURS]["seconds"])

    return ratio(old), ratio(new)


def _quartiles(row: dict[str, Any]) -> tuple[float, float]:
    times = row["times"][OURS][str(row["best"][OURS]["threads"])]
    return times["low"], times["high"]


def _moved(old: tuple[float, float], new: tuple[float, float]) -> str:
    if new[1] < old[0]:
        return "faster"
    return "slower" if new[0] > old[1] else ""


def _cells(changes: list[dict[str, Any]]) -> list[list[str]]:
    cells = [["row", "old, ms", "new, ms", "time", "old ratio", "new ratio", "ratio", ""]]
    for change in changes:
        line = [change["row"], *(report.milliseconds(change[key]) for key in ("old", "new"))]
        line.append(_percent(change["old"], change["new"]))
        if change["ratios"] is None:
            line += ["-"] * 3
        else:
            line += [*(f"{ratio:.2f}" for ratio in change["ratios"]), _percent(*change["ratios"])]
        cells.append([*line, change["moved"]])
    return cells


def _percent(old: float, new: float) -> str:
    return f"{new / old - 1:+.1%}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench compare",
        description="Compare our times and ratios in two results, row by row.",
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    parser.add_argument(
        "--fail-slower",
        type=float,
        metavar="PERCENT",
        help="exit with 1 if a row is slower by more: our quartiles apart, and the ratio to the "
        "best peer (our time, if there is none) worse by more than this",
    )
    return parser

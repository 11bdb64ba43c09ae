"""Results as a file and as tables.

Owns the shape of both; takes its figures as they are.
"""

import json
import math
import os
from pathlib import Path
from typing import Any

from bench import targets
from bench.sides import OURS

# Committed results, DATE-name.json.
RESULTS = Path(__file__).with_name("results")

TITLES = {"forward": "Forward", "train": "Forward and backward"}


def write(path: Path, results: dict[str, Any]) -> None:
    """Write all results as JSON, whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def newest(name: str) -> Path:
    """The newest committed result of a name, such as ``avx512`` or ``sizes``."""
    return max(RESULTS.glob(f"*-{name}.json"))


def read(path: Path) -> dict[str, Any]:
    """Read what `write` wrote."""
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return results


def tables(results: dict[str, Any], *, markdown: bool = False) -> str:
    """Draw a table for each mode.

    Parameters
    ----------
    results : dict
        ``machine`` and ``rows``, as the JSON file holds them.
    markdown : bool
        Draw Markdown instead of aligned text.

    Returns
    -------
    str
        The facts of the machine, then for each row: our time and GF/s, each peer's time, each
        with its better thread count ("restless" if some thread would not come to rest before a
        turn), and the best peer's time / ours. Where the result has them, also the part of the
        machine's limit that we reach, and the targets that we miss. Under each table, what holds
        for all its rows.
    """
    # Older files lack what was not yet measured.
    lacking: dict[str, Any] = {"more_threads": None, "limit": None, "targets": []}
    results = results | {"rows": [lacking | row for row in results["rows"]]}
    parts = [_heading(results["machine"])]
    for mode, title in TITLES.items():
        rows = [row for row in results["rows"] if row["mode"] == mode]
        if rows:
            parts.append(f"### {title}" if markdown else title)
            parts.append(draw(_cells(rows), markdown=markdown))
            parts += _summary(rows, mode)
    return "\n\n".join(parts)


def draw(cells: list[list[str]], *, markdown: bool = False) -> str:
    """Draw a table, its first line the heading."""
    if markdown:
        lines = [f"| {' | '.join(line)} |" for line in cells]
        lines.insert(1, f"|{'|'.join([' --- '] * len(cells[0]))}|")
        return "\n".join(lines)
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def milliseconds(seconds: float) -> str:
    """Write a time with three figures."""
    value = seconds * 1e3
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"


def sizes(shape: dict[str, Any]) -> str:
    """Write the sizes of a row in the order of the alphabet."""
    text = f"({', '.join(str(shape[letter]) for letter in 'TNIHLD')})"
    return f"{text} P={shape['P']}" if shape["P"] else text


def _heading(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    settings = "".join(f", {name}={value}" for name, value in machine["settings"].items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['isa']}{settings}; {versions}; "
        f"{machine['date']}; `{machine['command']}`"
    )


def _cells(rows: list[dict[str, Any]]) -> list[list[str]]:
    peers = list(dict.fromkeys(name for row in rows for name in row["best"] if name != OURS))
    limits = any(row["limit"] for row in rows)
    judged = any(row["targets"] for row in rows)
    heading = ["row", "(T, N, I, H, L, D)", f"{OURS}, ms", "GF/s", *["of limit"] * limits]
    heading += [*(f"{peer}, ms" for peer in peers), "best peer / ours", *["target"] * judged]
    cells = [heading]
    for row in rows:
        line = [row["row"], sizes(row["shape"])]
        if row["disagreement"] is not None:
            line += ["-"] * (len(heading) - len(line) - 1)
            cells.append([*line, f"DISAGREES: {row['disagreement']}"])
            continue
        rate = row["flops"] / row["best"][OURS]["seconds"] / 1e9
        line += [_time(row, OURS), f"{rate:.0f}"]
        if limits:
            line.append(f"{row['limit']['reached']:.0%}" if row["limit"] else "-")
        line += [_time(row, peer) for peer in peers]
        line.append("-" if row["ratio"] is None else f"{row['ratio']:.2f}")
        if judged:
            line.append(_verdict(row["targets"]))
        cells.append(line)
    return cells


def _time(row: dict[str, Any], side: str) -> str:
    if side not in row["best"]:
        return "-"
    best = row["best"][side]
    marks = []
    if any(times["restless"] for times in row["times"][side].values()):
        marks.append("restless")
    if side == OURS and _is_slowed(row):
        marks.append(f"{row['more_threads']:.2f}x on more")
    mark = f" ({', '.join(marks)})" if marks else ""
    return f"{milliseconds(best['seconds'])} on {best['threads']}{mark}"


def _is_slowed(row: dict[str, Any]) -> bool:
    return row["more_threads"] is not None and row["more_threads"] > targets.SECOND_THREAD


def _verdict(judged: list[dict[str, Any]]) -> str:
    missed = [target["text"] for target in judged if not target["met"]]
    if not judged:
        return "-"
    return f"missed: {', '.join(missed)}" if missed else "met"


def _summary(rows: list[dict[str, Any]], mode: str) -> list[str]:
    lines = []
    judged = [row for row in rows if row["targets"]]
    mean = targets.mean(rows)
    if mean is not None:
        count = sum(row["ratio"] is not None for row in rows)
        wanted = targets.wanted_mean(mode)
        verdict = f" (target {wanted:g}: {'met' if mean >= wanted else 'missed'})" * bool(judged)
        lines.append(f"Geometric mean over {count} rows: {mean:.2f}{verdict}")
    if judged:
        met = sum(all(target["met"] for target in row["targets"]) for row in judged)
        lines.append(f"Rows that meet their targets: {met} of {len(judged)}")
    if any(row["more_threads"] is not None for row in rows):
        slowed = [f"{row['row']} ({row['more_threads']:.2f}x)" for row in rows if _is_slowed(row)]
        most = f"{targets.SECOND_THREAD - 1:.0%}"
        lines.append(f"Slower by over {most} with more threads: {', '.join(slowed) or 'none'}")
    return lines + _ragged(rows)


def _ragged(rows: list[dict[str, Any]]) -> list[str]:
    """What a live frame costs in a ragged row, against the same row dense."""
    timed = {row["row"]: row for row in rows if OURS in row["best"]}
    costs = []
    for name, row in timed.items():
        dense = timed.get(row["shape"].get("dense", ""))
        if dense is not None:
            # Flops count live frames only, and the two rows share all other sizes.
            a_flop = [r["best"][OURS]["seconds"] / r["flops"] for r in (row, dense)]
            costs.append(f"{name} {a_flop[0] / a_flop[1]:.2f}")
    return [f"Time a live frame, ragged over dense: {', '.join(costs)}"] if costs else []

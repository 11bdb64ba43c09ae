"""Results as a file and as tables.

Owns the shape of both; takes its figures as they are.
"""

import json
import math
import os
from pathlib import Path
from typing import Any

from bench.sides import OURS

TITLES = {"forward": "Forward", "train": "Forward and backward"}


def write(path: Path, results: dict[str, Any]) -> None:
    """Write all results as JSON, whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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
        turn), and the best peer's time / ours. Under each table the geometric mean of the ratios.
    """
    parts = [_heading(results["machine"])]
    for mode, title in TITLES.items():
        rows = [row for row in results["rows"] if row["mode"] == mode]
        if rows:
            parts.append(f"### {title}" if markdown else title)
            parts.append(_draw(_cells(rows), markdown=markdown))
            ratios = [row["ratio"] for row in rows if row["ratio"] is not None]
            if ratios:
                mean = math.exp(math.fsum(map(math.log, ratios)) / len(ratios))
                parts.append(f"Geometric mean over {len(ratios)} rows: {mean:.2f}")
    return "\n\n".join(parts)


def _heading(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    settings = "".join(f", {name}={value}" for name, value in machine["settings"].items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['isa']}{settings}; {versions}; "
        f"{machine['date']}; `{machine['command']}`"
    )


def _cells(rows: list[dict[str, Any]]) -> list[list[str]]:
    peers = list(dict.fromkeys(name for row in rows for name in row["best"] if name != OURS))
    cells = [["row", "(T, N, I, H, L, D)", f"{OURS}, ms", "GF/s", *(f"{p}, ms" for p in peers)]]
    cells[0].append("best peer / ours")
    for row in rows:
        shape = row["shape"]
        sizes = f"({', '.join(str(shape[letter]) for letter in 'TNIHLD')})"
        if shape["P"]:
            sizes += f" P={shape['P']}"
        line = [row["row"], sizes]
        if row["disagreement"] is not None:
            cells.append([*line, *["-"] * (2 + len(peers)), f"DISAGREES: {row['disagreement']}"])
            continue
        rate = row["flops"] / row["best"][OURS]["seconds"] / 1e9
        line += [_time(row, OURS), f"{rate:.0f}", *(_time(row, peer) for peer in peers)]
        cells.append([*line, "-" if row["ratio"] is None else f"{row['ratio']:.2f}"])
    return cells


def _time(row: dict[str, Any], side: str) -> str:
    if side not in row["best"]:
        return "-"
    best = row["best"][side]
    restless = any(times["restless"] for times in row["times"][side].values())
    milliseconds = best["seconds"] * 1e3
    decimals = max(0, 2 - math.floor(math.log10(milliseconds)))
    return f"{milliseconds:.{decimals}f} on {best['threads']}{' (restless)' if restless else ''}"


def _draw(cells: list[list[str]], *, markdown: bool) -> str:
    if markdown:
        lines = [f"| {' | '.join(line)} |" for line in cells]
        lines.insert(1, f"|{'|'.join([' --- '] * len(cells[0]))}|")
        return "\n".join(lines)
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )

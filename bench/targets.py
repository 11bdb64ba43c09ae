"""What a row should reach, and whether it does: the targets of ``targets.toml``.

Owns their meaning; takes a row's figures as they were measured.
"""

import functools
import math
import tomllib
from pathlib import Path
from typing import Any

from bench.sides import OURS

TARGETS = Path(__file__).with_name("targets.toml")

# How much slower a call may become with a second thread.
SECOND_THREAD = 1.05


def judge(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Hold a measured row against its targets.

    Parameters
    ----------
    row : dict
        See `bench.measure.measure`.

    Returns
    -------
    list of dict
        One for each target: ``text``, such as ``>= 2.5 against torch``; ``reached``; ``met``.
        Targets whose figure is not there, because a peer or the limit is missing, are left out.
    """
    target = _target(row["shape"])
    if OURS not in row["best"] or target is None:
        return []
    wanted = target.get(row["mode"], {})
    ours = row["best"][OURS]["seconds"]
    judged = []
    if "ratio" in wanted:
        against = target.get("against", row["best_peer"])
        if against in row["best"]:
            ratio = row["best"][against]["seconds"] / ours
            suffix = f" against {against}" if "against" in target else ""
            judged.append(_judged(f">= {wanted['ratio']:g}{suffix}", ratio, wanted["ratio"]))
    if "of_limit" in wanted and row["limit"] is not None:
        text = f">= {wanted['of_limit']:.0%} of the limit"
        judged.append(_judged(text, row["limit"]["reached"], wanted["of_limit"]))
    if "seconds" in wanted:
        text = f"<= {wanted['seconds'] * 1e6:g} us"
        met = ours <= wanted["seconds"]
        judged.append({"text": text, "reached": ours, "met": met})
    return judged


def mean(rows: list[dict[str, Any]]) -> float | None:
    """Geometric mean of the ratios of those rows that have one."""
    ratios = [row["ratio"] for row in rows if row["ratio"] is not None]
    return math.exp(math.fsum(map(math.log, ratios)) / len(ratios)) if ratios else None


def wanted_mean(mode: str) -> float:
    """The target of the geometric mean over all rows."""
    return float(_load()["mean"][mode])


def _judged(text: str, reached: float, wanted: float) -> dict[str, Any]:
    return {"text": text, "reached": reached, "met": reached >= wanted}


def _target(shape: dict[str, Any]) -> dict[str, Any] | None:
    fitting = (
        target
        for target in _load()["target"]
        if target["kind"] == shape["kind"] and shape["H"] <= target.get("most_H", math.inf)
    )
    return next(fitting, None)


@functools.cache
def _load() -> dict[str, Any]:
    return tomllib.loads(TARGETS.read_text(encoding="utf-8"))

"""One row from problem to result.

Owns the order: prepare, compare, time, choose each side's better thread count, hold the row against
machine and targets; knows nothing of printing.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bench import roofline, targets
from bench.agreement import disagreement
from bench.problem import Problem
from bench.shapes import Mode, Shape
from bench.sides import OURS, Runner, Side
from bench.timing import Effort, interleave


def measure(
    shape: Shape,
    mode: Mode,
    sides: Sequence[Side],
    threads: Sequence[int],
    effort: Effort,
    peaks: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Measure one row in one mode.

    The thread counts come one after the other, all sides taking turns within each: OpenMP
    rebuilds its team when the count changes, and that belongs to nobody's time.

    Parameters
    ----------
    shape : Shape
        The row.
    mode : {'forward', 'train'}
        What is timed.
    sides : sequence of Side
        Ourselves first, and the peers; those that cannot do the row are noted.
    threads : sequence of int
        Thread counts to try.
    effort : Effort
        How long to measure.
    peaks : dict, optional
        What the machine can do, see `bench.peaks.measure`.

    Returns
    -------
    dict
        Ready for JSON: ``row``, ``mode``, ``shape``, ``flops``; ``refused`` (reason by side);
        ``disagreement`` (None, or what differs: then there is nothing below); ``times`` (by side
        and thread count); ``best`` (side to thread count and seconds); ``best_peer``; ``ratio``
        (best peer's time / ours); ``more_threads`` (our time with the most threads / with the
        fewest); ``limit`` (see `bench.roofline.limit`, for our better thread count, and the part
        of it that we ``reached``); ``targets`` (see `bench.targets.judge`).
    """
    result: dict[str, Any] = {
        "row": shape.name,
        "mode": mode,
        "shape": asdict(shape),
        "flops": shape.flops(mode),
        "refused": {},
        "disagreement": None,
        "times": {},
        "best": {},
        "best_peer": None,
        "ratio": None,
        "more_threads": None,
        "limit": None,
        "targets": [],
    }
    able = []
    for side in sides:
        reason = side.refusal(shape, mode)
        if side.most_threads is not None and side.most_threads < min(threads):
            reason = f"no more than {side.most_threads} threads"
        if reason is None:
            able.append(side)
        else:
            result["refused"][side.name] = reason

    problem = Problem.of(shape)
    times: dict[str, dict[str, Any]] = {side.name: {} for side in able}
    for count in threads:
        runners = {
            side.name: side.prepare(problem, mode, count)
            for side in able
            if side.most_threads is None or count <= side.most_threads
        }
        answers = runners[OURS].answers(runners[OURS].call())
        for name, runner in runners.items():
            expected = answers
            if runner.problem is not None:
                ours = sides[0].prepare(runner.problem, mode, count)
                expected = ours.answers(ours.call())
            if difference := _difference(expected, runner):
                result["disagreement"] = f"{name} with {count} threads: {difference}"
                return result
        measured = interleave({name: r.call for name, r in runners.items()}, effort)
        for name, side_times in measured.items():
            times[name][str(count)] = asdict(side_times)

    result["times"] = times
    result["best"] = {name: _best(by_count) for name, by_count in times.items()}
    peers = [name for name in times if name != OURS]
    if peers:
        peer = min(peers, key=lambda name: result["best"][name]["seconds"])
        result["best_peer"] = peer
        result["ratio"] = result["best"][peer]["seconds"] / result["best"][OURS]["seconds"]
    if len(threads) > 1:
        fewest, most = (times[OURS][str(pick(threads))]["median"] for pick in (min, max))
        result["more_threads"] = most / fewest
    if peaks is not None:
        ours_best = result["best"][OURS]
        limit = roofline.limit(shape, mode, peaks, ours_best["threads"])
        result["limit"] = limit | {"reached": limit["seconds"] / ours_best["seconds"]}
    result["targets"] = targets.judge(result)
    return result


def _difference(expected: dict[str, Any], runner: Runner) -> str | None:
    theirs = runner.answers(runner.call())
    return disagreement({k: v for k, v in expected.items() if k not in runner.withheld}, theirs)


def _best(by_count: dict[str, Any]) -> dict[str, Any]:
    count = min(by_count, key=lambda key: by_count[key]["median"])
    return {"threads": int(count), "seconds": by_count[count]["median"]}

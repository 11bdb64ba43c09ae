"""The command line of the benchmark: ``python -m bench``.

Owns the options and the walk over rows and modes.
"""

import argparse
import importlib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from bench import machine, report, shapes, sides
from bench.measure import measure
from bench.timing import QUICK, Effort

MODES: tuple[shapes.Mode, ...] = get_args(shapes.Mode)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        0; 1 if a row was given up because a side's answers differ from ours; 130 on Ctrl-C, with
        the finished rows written.
    """
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.show is not None:
        results = json.loads(arguments.show.read_text(encoding="utf-8"))
        results["rows"] = [r for r in results["rows"] if arguments.rows.search(r["row"])]
        print(report.tables(results, markdown=arguments.markdown))
        return 0

    rows = [shape for shape in shapes.load() if arguments.rows.search(shape.name)]
    if not rows:
        parser.error(f"no row matches {arguments.rows.pattern!r}")
    code = 0
    present, absent = sides.available(arguments.peers)
    results = {"machine": machine.facts(present), "absent": absent, "rows": []}
    try:
        _measure_all(arguments, rows, present, results)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    print(report.tables(results, markdown=arguments.markdown))
    for name, reason in absent.items():
        print(f"{name} is absent: {reason}", file=sys.stderr)
    return code or int(any(row["disagreement"] for row in results["rows"]))


def _measure_all(
    arguments: argparse.Namespace,
    rows: list[shapes.Shape],
    present: list[sides.Side],
    results: dict[str, Any],
) -> None:
    effort = QUICK if arguments.quick else Effort()
    todo = [(shape, mode) for mode in arguments.modes or MODES for shape in rows]
    for shape, mode in _shown(todo):
        results["rows"].append(measure(shape, mode, present, arguments.threads, effort))
        report.write(arguments.output, results)


def _shown(todo: list[tuple[shapes.Shape, shapes.Mode]]) -> Any:
    """Walk over the work under a progress bar, or with a line for each row without tqdm."""
    if sys.stderr.isatty():
        try:
            return importlib.import_module("tqdm").tqdm(todo, desc="bench", unit="row")
        except ImportError:
            pass
    return _lines(todo)


def _lines(todo: list[tuple[shapes.Shape, shapes.Mode]]) -> Any:
    for number, (shape, mode) in enumerate(todo, 1):
        print(f"{number:>3} of {len(todo)}: {mode} {shape.name}", file=sys.stderr, flush=True)
        yield shape, mode


def _parser() -> argparse.ArgumentParser:
    peers = [name for name in sides.MODULES if name != sides.OURS]
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Time lstm_native and its peers side by side, after comparing their answers.",
    )
    parser.set_defaults(modes=[])
    parser.add_argument(
        "--forward", dest="modes", action="append_const", const="forward", help="inference only"
    )
    parser.add_argument(
        "--train", dest="modes", action="append_const", const="train", help="training only"
    )
    parser.add_argument(
        "--rows", type=_pattern, default=".", metavar="REGEX", help="rows whose name matches"
    )
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, rougher figures")
    parser.add_argument(
        "--peers", nargs="*", choices=peers, default=peers, help="against whom (default: all)"
    )
    parser.add_argument(
        "--threads", nargs="+", type=int, default=[1, 2], metavar="N", help="default: 1 2"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("bench-result.json"),
        metavar="FILE",
        help="where the result goes, row by row (default: bench-result.json)",
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    parser.add_argument("--show", type=Path, metavar="FILE", help="print an old result instead")
    return parser


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"not a regular expression: {error}") from None


if __name__ == "__main__":
    sys.exit(main())

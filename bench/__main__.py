"""The command line of the benchmark: ``python -m bench``.

Owns the walk over rows and modes, and what is done with a result.
"""

import argparse
import importlib
import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, get_args

from bench import compare, isa, machine, options, peaks, report, shapes, sides
from bench.measure import measure
from bench.timing import QUICK, Effort

MODES: tuple[shapes.Mode, ...] = get_args(shapes.Mode)

Work: TypeAlias = list[tuple[shapes.Shape, shapes.Mode]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark, show a result, or compare two.

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
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] == "compare":
        return compare.main(argv[1:])
    parser = options.parser()
    arguments = parser.parse_args(argv)
    if arguments.show is not None:
        results = report.read(arguments.show)
        results["rows"] = [r for r in results["rows"] if arguments.rows.search(r["row"])]
        _show(results, arguments)
        return 0

    rows = [shape for shape in shapes.load() if arguments.rows.search(shape.name)]
    if not rows:
        parser.error(f"no row matches {arguments.rows.pattern!r}")
    if arguments.isa is not None:
        isa.restart(arguments.isa)
    peers, unheld = isa.held_peers(arguments.peers, arguments.isa)
    present, absent = sides.available(peers)
    facts = machine.facts(present, arguments.threads)
    results = {"machine": facts, "absent": unheld | absent, "rows": []}
    if arguments.resume and arguments.output.exists():
        results = report.read(arguments.output)
        if changes := machine.changes(results["machine"], facts):
            parser.error(f"{arguments.output} was made with other {', '.join(changes)}")

    code = 0
    try:
        if "peaks" not in results["machine"]:
            results["machine"]["peaks"] = peaks.measure(arguments.threads)
        _measure_all(arguments, _work(arguments, rows, results), present, results)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    _show(results, arguments)
    for name, reason in results["absent"].items():
        print(f"{name} is absent: {reason}", file=sys.stderr)
    return code or int(any(row["disagreement"] for row in results["rows"]))


def _work(arguments: argparse.Namespace, rows: list[shapes.Shape], results: dict[str, Any]) -> Work:
    """List what there is to do, the largest left out if in a hurry, what is done already too."""
    todo = [(shape, mode) for mode in arguments.modes or MODES for shape in rows]
    todo = [(shape, mode) for shape, mode in todo if mode == "forward" or not shape.stepped]
    if arguments.quick:
        large = [(shape, mode) for shape, mode in todo if shape.flops(mode) > QUICK.most_flops]
        todo = [work for work in todo if work not in large]
        for shape, mode in large:
            print(f"too large for --quick: {mode} {shape.name}", file=sys.stderr)
    done = {(row["row"], row["mode"]) for row in results["rows"]}
    return [(shape, mode) for shape, mode in todo if (shape.name, mode) not in done]


def _measure_all(
    arguments: argparse.Namespace,
    todo: Work,
    present: list[sides.Side],
    results: dict[str, Any],
) -> None:
    effort = QUICK if arguments.quick else Effort()
    limits = results["machine"]["peaks"]
    # A resumed run may fill gaps, and keep rows that have left the file: those come last.
    names = [shape.name for shape in shapes.load()]
    places = {name: place for place, name in enumerate(names)}
    for shape, mode in _shown(todo):
        row = measure(shape, mode, present, arguments.threads, effort, limits)
        results["rows"].append(row)
        results["rows"].sort(
            key=lambda row: (MODES.index(row["mode"]), places.get(row["row"], len(names)))
        )
        report.write(arguments.output, results)


def _show(results: dict[str, Any], arguments: argparse.Namespace) -> None:
    print(report.tables(results, markdown=arguments.markdown))
    if arguments.picture is not None:
        # Only here, since matplotlib is slow to load and not always installed.
        importlib.import_module("bench.picture").draw(results, arguments.picture)


def _shown(todo: Work) -> Iterator[tuple[shapes.Shape, shapes.Mode]]:
    """Walk over the work under a progress bar, or with a line for each row without tqdm."""
    if sys.stderr.isatty():
        try:
            bar = importlib.import_module("tqdm").tqdm(todo, desc="bench", unit="row")
        except ImportError:
            pass
        else:
            for shape, mode in bar:
                bar.set_postfix_str(f"{mode} {shape.name}")
                yield shape, mode
            return
    for number, (shape, mode) in enumerate(todo, 1):
        print(f"{number:>3} of {len(todo)}: {mode} {shape.name}", file=sys.stderr, flush=True)
        yield shape, mode


if __name__ == "__main__":
    sys.exit(main())

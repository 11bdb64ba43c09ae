"""What it costs to go past one process: ``python -m bench.scaling --output FILE``.

Owns the runs of the examples on several processes, the constants of the cost model made of them,
and the part of docs/scaling.md between its marks. Must not know how an engine is started.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench import machine, report, sharing

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- begin: python -m bench.scaling -->", "<!-- end -->"
ENGINES = ("ray", "dask")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "LSTM_NATIVE_NUM_THREADS": "1"}


def example(folder: Path, name: str, *options: str, ranks: int = 0, threads: int = 0) -> Any:
    """Run an example and read its figures; what it prints is shown."""
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *options]
    if ranks:
        launcher = str(Path(sys.executable).with_name("mpiexec"))
        command = [launcher, "-n", str(ranks), *command]
    decided = {name: str(threads) for name in ONE_THREAD} if threads else {}
    others = {key: value for key, value in os.environ.items() if key not in ONE_THREAD}
    output = folder / f"{name}-{ranks}-{threads}"
    print(f"--- {name} {f'-n {ranks}' if ranks else ''}", flush=True)
    subprocess.run([*command, "--output", str(output)], check=True, env=others | decided)
    return json.loads((output / f"{name}.json").read_text(encoding="utf-8"))


def measure(quick: bool) -> dict[str, Any]:
    """Run everything; a few minutes, or less than one when it is to be quick."""
    facts = machine.facts([], [1, 2])
    short = ["--quick"] if quick else []
    steps = ["--steps", "10" if quick else "200"]
    with tempfile.TemporaryDirectory(prefix="scaling-") as name:
        folder = Path(name)
        batches = {engine: example(folder, f"batch_{engine}", *short) for engine in ENGINES}
        training = {
            "one process, 1 thread": example(folder, "train_mpi", *steps, ranks=1, threads=1),
            "one process, 2 threads": example(folder, "train_mpi", *steps, ranks=1, threads=2),
            "2 ranks of 1 thread": example(folder, "train_mpi", *steps, ranks=2, threads=1),
        }
    curves = [np.array(run.pop("losses")) for run in training.values()]
    for run, curve in zip(training.values(), curves, strict=True):
        run["last error"] = curve[-1]
    print("--- memory of four workers", flush=True)
    memory = sharing.all_ways(sharing.QUICK_UNITS if quick else sharing.UNITS)
    return {
        "machine": facts,
        "quick": quick,
        "batches": batches,
        "training": training,
        "curves differ by": max(float(np.max(abs(c / curves[0] - 1))) for c in curves),
        "memory": memory,
    }


class Row(NamedTuple):
    """A way to read batches, against one thread in the same run of the same example."""

    title: str
    cores: int
    run: dict[str, Any]
    gain: float


def inference_rows(results: dict[str, Any]) -> list[Row]:
    """Every way to read batches; what both examples measure is shown as the first has it."""
    rows: dict[str, Row] = {}
    for result in results["batches"].values():
        alone = next(iter(result["runs"].values()))["frames per second"]
        for title, run in result["runs"].items():
            cores = run["workers"] * run["threads of each"]
            rows.setdefault(title, Row(title, cores, run, run["frames per second"] / alone))
    return list(rows.values())


def throughput(results: dict[str, Any]) -> str:
    """Draw the tables of inference and of training, in Markdown."""
    lines = ["| reading batches | frames/s | of one thread | per core | s to start |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for title, cores, run, gain in inference_rows(results):
        rate, start = run["frames per second"], run.get("seconds to start", "")
        lines.append(f"| {title} | {rate:,} | {gain:.2f} | {gain / cores:.0%} | {start} |")
    lines += ["", "| training | frames/s | of one thread | error at the last step, °C |"]
    lines.append("| --- | --- | --- | --- |")
    base = results["training"]["one process, 1 thread"]["frames per second"]
    for title, run in results["training"].items():
        rate = run["frames per second"]
        lines.append(f"| {title} | {rate:,} | {rate / base:.2f} | {run['last error']:.4f} |")
    return "\n".join(lines)


def constants(results: dict[str, Any]) -> str:
    """Draw the constants of the cost model, in Markdown."""
    lines = ["| | e | t, s | core-seconds for a million frames, r = 1 thread's |"]
    lines.append("| --- | --- | --- | --- |")
    for title, cores, run, gain in inference_rows(results):
        start, core_seconds = run.get("seconds to start", 0), 1e6 * cores / run["frames per second"]
        lines.append(f"| {title} | {gain / cores:.2f} | {start} | {core_seconds:.2f} |")
    return "\n".join(lines)


def section(results: dict[str, Any], name: str) -> str:
    """Give what stands in the documentation between its marks."""
    facts, batches = results["machine"], next(iter(results["batches"].values()))
    step = results["training"]["2 ranks of 1 thread"]["bytes summed"]
    where = (
        f"{facts['cpu']}, {facts['cores']} cores, {facts['isa']}, load {facts['load_before']} "
        f"before; {facts['date']}; `{name}`, written by `python -m bench.scaling`"
    )
    what = (
        f"{batches['sequences']:,} sequences of {batches['frames']:,} frames, a network of "
        f"{batches['parameters']:,} parameters. In training {step:,} bytes are summed at each "
        f"step, and the errors differ by at most {results['curves differ by']:.0e} of their size."
    )
    alone = " and ".join(
        f"{next(iter(each['runs'].values()))['frames per second']:,} in {engine}'s"
        for engine, each in results["batches"].items()
    )
    what += (
        " Each engine is compared with one process and one thread in the run of its own example: "
        f"{alone} (frames/s). The first is in the tables; r is either's own."
    )
    parts = (where + ".", what, throughput(results), sharing.table(results["memory"]))
    return "\n\n".join((*parts, constants(results)))


def replaced(text: str, part: str) -> str:
    """Put a part between the marks of a page."""
    before, _, rest = text.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"error: the page has no {BEGIN} ... {END}")
    return f"{before}{BEGIN}\n\n{part}\n\n{END}{after}"


def main(arguments: list[str] | None = None) -> int:
    """Measure the examples on several processes, or show what was measured."""
    parser = argparse.ArgumentParser(prog="python -m bench.scaling", description=main.__doc__)
    parser.add_argument("--output", type=Path, metavar="FILE", help="measure, and write JSON")
    parser.add_argument("--quick", action="store_true", help="small sizes, for a first look")
    parser.add_argument("--show", type=Path, metavar="FILE", help="print the tables of a file")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="also draw them")
    parser.add_argument("--docs", type=Path, metavar="PAGE", help="also put them into a page")
    given = parser.parse_args(arguments)
    if (given.output is None) == (given.show is None):
        parser.error("give --output to measure, or --show to see what was measured")
    if given.output:
        report.write(given.output, measure(given.quick))
    path = given.output or given.show
    results = report.read(path)
    part = section(results, path.as_posix())
    print(part)
    if given.picture:
        from bench import scaling_picture

        rates = [(title, run["frames per second"]) for title, _, run, _ in inference_rows(results)]
        scaling_picture.draw(rates, results["memory"], given.picture)
    if given.docs:
        text = given.docs.read_text(encoding="utf-8")
        given.docs.write_text(replaced(text, part), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

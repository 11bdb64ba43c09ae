"""``python -m fuzz_files``, from the folder ``tests``: a hundred thousand damaged files.

Owns the options and the summary. A run that was stopped goes on where it was, in the same folder.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from fuzz_files import parent


def main() -> int:
    """Run; 1 if a file did harm."""
    parser = argparse.ArgumentParser(prog="fuzz_files", description=__doc__)
    parser.add_argument("--files", type=int, default=100_000, help="how many (default: 100000)")
    parser.add_argument("--seed", type=int, default=0, help="of the damage (default: 0)")
    parser.add_argument("--quick", action="store_true", help="without Keras and torch's exporter")
    parser.add_argument(
        "--folder", type=Path, help="for corpus, summary and what fails (default: build/fuzz-SEED)"
    )
    arguments = parser.parse_args()
    folder = arguments.folder or Path(__file__).parents[2] / "build" / f"fuzz-{arguments.seed}"
    folder = folder.resolve()
    parent.prepare(folder, arguments.quick)
    start = time.monotonic()
    from tqdm import tqdm

    with tqdm(total=arguments.files, unit="file", initial=parent.counted(folder)[0]) as bar:
        parent.run(folder, arguments.seed, arguments.files, lambda now: bar.update(now - bar.n))
    return _sum_up(folder, time.monotonic() - start)


def _sum_up(folder: Path, seconds: float) -> int:
    tried, kinds = parent.counted(folder)
    found = folder / "faults.jsonl"
    faults = found.read_text(encoding="utf-8").splitlines() if found.exists() else []
    summary = {
        "files": tried,
        "seconds of this run": round(seconds),
        "faults": len(faults),
        "kinds": {kind: {"loaded": a, "refused": b} for kind, (a, b) in kinds.items()},
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")
    for kind, (loaded, refused) in kinds.items():
        print(f"{kind:12} {loaded:7} loaded {refused:7} refused")
    for line in faults:
        print(line[:300])
    print(f"{tried} files, {len(faults)} faults; kept in {folder}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""What it takes on disk: the installed files of this package and of its peers.

Owns which files count: those a distribution's own record lists, compiled Python among them, without
what it depends on. From an environment where this package was installed from its wheel::

    python -m bench.sizes --output FILE
"""

import argparse
import json
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from bench import machine

NAMES = ("lstm-native", "numpy", "torch", "onnxruntime", "openvino")


def installed(name: str) -> int | None:
    """Bytes of the files of a distribution that are there, or None if it is not installed."""
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files)
    return sum(path.stat().st_size for path in paths if path.is_file())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m bench.sizes", description="Sizes on disk.")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE")
    given = parser.parse_args(arguments)
    sizes = {}
    for name in NAMES:
        size = installed(name)
        if size is None:
            continue
        version = distribution(name).version
        sizes[name] = {"version": version, "bytes": size}
        print(f"{name:12} {version:14} {size / 1e6:8.1f} MB")
    facts = machine.facts([], [1])
    result = {name: facts[name] for name in ("system", "date", "command")} | {"sizes": sizes}
    given.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

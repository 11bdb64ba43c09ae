"""The folder in which cibuildwheel tries a wheel: the sources that its settings name, and no tree
around them.

Owns what is copied; `nox -s portable` and tests/test_wheel.py run there. Must not know what is run.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path


def fill(folder: Path, root: Path, sources: Iterable[str]) -> None:
    """Copy `test-sources` from a tree to an empty folder, without what a build of the docs left."""
    for name in sources:
        if (root / name).is_dir():
            shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("_b*"))
        else:
            shutil.copy(root / name, folder / name)

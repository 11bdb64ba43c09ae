"""What the examples need from other packages.

Owns how a package's data file is found, and what is said where a package is missing. Must not know
any data.
"""

import importlib.util
from pathlib import Path

EXTRA = "pip install '.[examples]'"
SCALING = "pip install '.[scaling]'"


def data_file(package: str, *parts: str, remedy: str = EXTRA) -> Path:
    """Find a file inside an installed package, without running the package's code.

    Raises
    ------
    SystemExit
        The package is not installed; the message says what to do.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise missing(package, remedy)
    return Path(spec.submodule_search_locations[0], *parts)


def missing(package: str | None, remedy: str = EXTRA) -> SystemExit:
    """Name the missing package, given it or a module inside it, and the remedy."""
    name = (package or "a package").partition(".")[0]
    return SystemExit(f"error: {name} is needed; {remedy} brings it")

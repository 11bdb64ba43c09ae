"""What the examples need from other packages.

Owns how a package's data file is found, and what is said where a package is missing. Must not know
any data.
"""

import importlib.util
from pathlib import Path


def data_file(package: str, *parts: str) -> Path:
    """Find a file inside an installed package, without running the package's code.

    Raises
    ------
    SystemExit
        The package is not installed; the message says what to do.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise missing(package)
    return Path(spec.submodule_search_locations[0], *parts)


def missing(package: str | None) -> SystemExit:
    """Name the missing package, given it or a module inside it, and the remedy."""
    name = (package or "a package").partition(".")[0]
    return SystemExit(f"error: {name} is needed; pip install '.[examples]' brings it")

"""Packages that only some formats need.

Owns the error that names the extra to install. Must not know what they are used for.
"""

import importlib
from typing import Any


def needed(package: str, extra: str, path: str, kind: str) -> Any:
    """Import a package; ImportError naming the extra if it is not there."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise ImportError(
            f"{path} is {kind}, which the package {package} reads: "
            f"pip install 'lstm-native[{extra}]'",
            name=package,
        ) from error

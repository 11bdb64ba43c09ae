"""Threads, instruction sets, and what was built into this installation.

With :mod:`lstm_native.functional` the only importer of ``_core``. Must not know any network.
"""

from typing import Any, Literal, overload

import numpy as np

from lstm_native import _core
from lstm_native._checks import arguments


def set_num_threads(num_threads: int) -> None:
    """Set how many threads a call may use.

    Results do not depend on it. Without a call of this function the count comes from the
    environment: ``LSTM_NATIVE_NUM_THREADS``, else OpenMP's setting.

    Parameters
    ----------
    num_threads : int
        Positive, or -1 for all.

    Raises
    ------
    TypeError, ValueError
        Not an integer; zero or below -1.

    Examples
    --------
    >>> before = get_num_threads()
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(before)
    """
    _core.set_num_threads(arguments.threads(num_threads))


def get_num_threads() -> int:
    """How many threads a call may use."""
    return _core.get_num_threads()


def isa() -> str:
    """The instruction set in use: ``baseline``, ``avx2`` or ``avx512``.

    The best one of this CPU, unless the environment variable ``LSTM_NATIVE_ISA`` named another
    when the package was imported.
    """
    return _core.isa()


@overload
def show_config(mode: Literal["stdout"] = ...) -> None: ...
@overload
def show_config(mode: Literal["dicts"]) -> dict[str, Any]: ...
def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Show what was built, and what is in use here; worth adding to a bug report.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Print a table, or return the same as a dict.

    Raises
    ------
    ValueError
        Another mode.

    Examples
    --------
    >>> sorted(show_config("dicts"))[:4]
    ['compiler', 'eigen', 'isa', 'isas available']
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode should be 'stdout' or 'dicts', got {mode!r}")
    from importlib.metadata import version  # slow to import, and seldom asked

    config: dict[str, Any] = {
        "lstm_native": version("lstm-native"),
        "isa": _core.isa(),
        "isas available": _core.isas(),
        "threads": _core.get_num_threads(),
        "numpy": np.__version__,
        **_core.build_info(),
    }
    if mode == "dicts":
        return config
    width = max(map(len, config))
    for name, value in config.items():
        print(f"{name:{width}}  {', '.join(value) if isinstance(value, list) else value}")
    return None

"""The facts without which a time means nothing: machine, versions, settings, date, command.

Owns where they are read; names no user, host or path.
"""

import os
import platform
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import lstm_native
from bench.sides import Side

SETTINGS = (
    "LSTM_NATIVE_",
    "OMP_",
    "GOMP_",
    "KMP_",
    "MKL_",
    "ONEDNN_",
    "DNNL_",
    "ATEN_",
    "OPENBLAS_",
)


def facts(sides: Iterable[Side], threads: Sequence[int]) -> dict[str, Any]:
    """Collect the facts.

    Parameters
    ----------
    sides : iterable of Side
        Whose versions to note.
    threads : sequence of int
        Thread counts that will be tried.

    Returns
    -------
    dict
        Ready for JSON.
    """
    return {
        "cpu": _cpu(),
        "cores": _cores(),
        "threads": list(threads),
        "system": f"{platform.system()} {platform.machine()}",
        "isa": lstm_native.isa(),
        "load_before": _load(),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            **{side.name: side.version for side in sides},
        },
        "settings": {k: v for k, v in sorted(os.environ.items()) if k.startswith(SETTINGS)},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python", *sys.orig_argv[1:]]),
    }


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Name the facts that forbid rows of two runs in one table."""
    facts = ("cpu", "cores", "threads", "system", "isa", "versions", "settings")
    return [name for name in facts if old.get(name) != new[name]]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _load() -> float | None:
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None

"""Threads, precision, instruction sets, and what was built into this installation.

With :mod:`lstm_native.functional` the only importer of ``_core``. Must not know any network.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, overload

import numpy as np

from lstm_native import _core
from lstm_native._checks import arguments
from lstm_native.parameters import Packing, Precision


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


def get_float32_matmul_precision() -> Precision:
    """What :func:`set_float32_matmul_precision` set; "highest" at first.

    Examples
    --------
    >>> get_float32_matmul_precision()
    'highest'
    """
    return _core.get_precision()


def set_float32_matmul_precision(precision: Precision) -> None:
    """Set how exactly networks in evaluation mode multiply float32; torch's function of this name.

    For calls of all networks that do not say it themselves (``lstm.precision``) and are not
    quantized, from the next one on; streams go on as they were made. Training mode, ``record``,
    ``backward``, float64 and the bridges to torch and autograd compute as exactly as ever.

    Parameters
    ----------
    precision : {"highest", "high", "medium"}
        "highest": float32 throughout; or, after ``set_reproducible(False)``, as exactly.

        "high": weights, inputs and h (and what is projected) are taken as sums of two bfloat16, of
        16 bits together, where the CPU has tiles (:func:`isa` is ``amx``). What is above 3.39e38,
        infinity, or a product of that size may make NaN of its row. Elsewhere it is "highest": no
        other CPU is faster by it.

        "medium": they are rounded to bfloat16, of 8 bits, where the CPU has an instruction for it
        (:func:`isa` is ``avx512_bf16`` or ``amx``). What is above 3.39e38 becomes infinite.
        Elsewhere it is "highest".

        Sums, biases, c and activations are float32 in all. :func:`show_config` says what a name
        comes to here.

    Raises
    ------
    ValueError
        Another name.

    See Also
    --------
    float32_matmul_precision : for a block.
    LSTM.quantize : weights of fewer bytes, on every CPU.

    Examples
    --------
    >>> set_float32_matmul_precision("medium")
    >>> get_float32_matmul_precision()
    'medium'
    >>> set_float32_matmul_precision("highest")
    """
    _core.set_precision(arguments.precision(precision))


@contextmanager
def float32_matmul_precision(precision: Precision) -> Iterator[None]:
    """Set the precision for a block, and set it back.

    It is set for all threads: where several enter and leave such blocks at a time, give each
    network its own precision instead.

    Parameters
    ----------
    precision : {"highest", "high", "medium"}
        As for :func:`set_float32_matmul_precision`.

    Raises
    ------
    ValueError
        Another name.

    Examples
    --------
    >>> import numpy as np
    >>> lstm, x = LSTM(10, 20).eval(), np.ones((5, 10), np.float32)
    >>> with float32_matmul_precision("medium"):
    ...     output, _ = lstm(x)
    """
    before = get_float32_matmul_precision()
    try:
        set_float32_matmul_precision(precision)
        yield
    finally:
        set_float32_matmul_precision(before)


def get_reproducible() -> bool:
    """What :func:`set_reproducible` set; True at first.

    Examples
    --------
    >>> get_reproducible()
    True
    """
    return _core.get_reproducible()


def set_reproducible(reproducible: bool) -> None:
    """Set whether "highest" has the same bits on this CPU as on others with AVX-512.

    If not, calls at this precision may multiply float32 as sums of three bfloat16 where the CPU has
    tiles (:func:`isa` is ``amx``), by six products of parts. For calls of many rows: with few, a
    weight of six bytes costs more time to read than one of four. Elsewhere it changes nothing, and
    nowhere what else is said of results: rows do not depend on those beside them, nor on threads.
    Before the first call the environment variable ``LSTM_NATIVE_REPRODUCIBLE`` says it, by 0 or 1.

    Parameters
    ----------
    reproducible : bool
        Whether to multiply float32 by float32, as ``record`` and training mode do in any case.

    Raises
    ------
    TypeError
        Not a bool.

    Notes
    -----
    Errors against float64 are about half of float32's on ordinary data. Where few large terms
    cancel they are those of a sum of that size, which float32 may get right by its order. Rows that
    hold NaN, infinity, or numbers above 2**50, or below 2**-103 and not zero, are multiplied as
    float32, slowly; so is all of a network that has such weights, or fewer than 64 features or
    units.

    Examples
    --------
    >>> set_reproducible(False)
    >>> set_reproducible(True)
    """
    _core.set_reproducible(arguments.boolean(reproducible, "reproducible"))


def isa() -> str:
    """The instruction set in use: ``baseline``, ``avx2``, ``avx512``, ``avx512_vnni``,
    ``avx512_bf16`` or ``amx``.

    The best one of this CPU, unless the environment variable ``LSTM_NATIVE_ISA`` named another
    when the package was imported.
    """
    return _core.isa()


def packing(precision: Precision | None) -> Packing | None:
    """What float32 weights are packed as for a precision, or None: for the one set for all."""
    return _core.packing(precision)


_PRODUCTS = {
    None: "of float32",
    "bfloat16 pairs": "of bfloat16",
    "one part": "of bfloat16, on tiles",
    "two parts": "of two parts of bfloat16, on tiles",
    "three parts": "of three parts of bfloat16, on tiles",
}


def _precision() -> str:
    return f"{get_float32_matmul_precision()} (products {_PRODUCTS[packing(None)]})"


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
    ['compiler', 'eigen', 'float32 matmul precision', 'isa']
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"mode should be 'stdout' or 'dicts', got {mode!r}")
    from importlib.metadata import version  # slow to import, and seldom asked

    config: dict[str, Any] = {
        "lstm_native": version("lstm-native"),
        "isa": _core.isa(),
        "isas available": _core.isas(),
        "threads": _core.get_num_threads(),
        "float32 matmul precision": _precision(),
        "numpy": np.__version__,
        **_core.build_info(),
    }
    if mode == "dicts":
        return config
    width = max(map(len, config))
    for name, value in config.items():
        print(f"{name:{width}}  {', '.join(value) if isinstance(value, list) else value}")
    return None

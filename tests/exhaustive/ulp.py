"""The largest error of sigmoid and tanh on each ISA of the machine: ``nox -s ulp``.

Over all 2^32 float32 values against float64, and over a dense sample of float64, every binade in
it, against ``longdouble``. Infinities and NaNs are checked on the way. What it finds is printed and
kept in ``ulp.csv``, which ``test_activations.py`` holds against the stated bounds. About five
minutes on two cores. Must not know how the functions are computed.

    python tests/exhaustive/ulp.py [ISA ...]
"""

import csv
import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from lstm_native import _core

RECORD = Path(__file__).with_suffix(".csv")
COLUMNS = ("isa", "function", "dtype", "results", "ulp", "at")
FUNCTIONS = ("sigmoid", "tanh")
TASKS = 256  # of each function and dtype
BLOCK = 1 << 15  # values at a time: what the caches hold
SAMPLES = 1 << 27  # of float64

Worst = dict[str, tuple[float, float]]  # of normal and of subnormal results: ULP, argument


def truth(name: str, x: np.ndarray) -> np.ndarray:
    """Return the function of finite x, in the next wider type."""
    x = x.astype(np.float64 if x.dtype == np.float32 else np.longdouble)
    if name == "tanh":
        return np.tanh(x)
    with np.errstate(under="ignore"):
        e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def errors(name: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the errors in ULP of the true values, and where these are subnormal.

    The ULP of a subnormal number is the step in which they stand. Zero has no error.
    """
    got, want = np.empty_like(x), truth(name, x)
    getattr(_core, name)(x, got)
    limits = np.finfo(x.dtype)
    exponent = np.maximum(np.frexp(want)[1], limits.minexp + 1)
    ulp = np.ldexp(want.dtype.type(1), exponent - limits.nmant - 1)
    return np.abs(got - want) / ulp, (np.abs(want) < limits.tiny) & (want != 0)


def values(dtype: str, task: int, block: int) -> np.ndarray:
    """Return one block of one task's share of the values."""
    if dtype == "float32":
        first = task * (2**32 // TASKS) + block * BLOCK
        return np.arange(first, first + BLOCK, dtype=np.uint32).view(np.float32)
    rng = np.random.default_rng([task, block])
    if block % 2:  # where the functions bend, and where sigmoid is small
        return rng.uniform(-1, 1, BLOCK) * rng.choice([0.5, 1, 3, 20, 40, 750], BLOCK)
    words = rng.integers(0, 2**64, BLOCK, dtype=np.uint64)
    if block % 4:  # the binades in which neither is constant or its own argument
        sign_and_fraction = words & np.uint64(0x800FFFFFFFFFFFFF)
        words = sign_and_fraction | rng.integers(990, 1034, BLOCK, dtype=np.uint64) << np.uint64(52)
    return words.view(np.float64)


def check_special_values(name: str, x: np.ndarray) -> None:
    """Check the function of infinities and NaNs."""
    got, low = np.empty_like(x), 0.0 if name == "sigmoid" else -1.0
    getattr(_core, name)(x, got)
    want = np.where(x > 0, 1.0, np.where(x < 0, low, np.nan))
    np.testing.assert_array_equal(got, want)


def measure(name: str, dtype: str, task: int) -> Worst:
    """Return the worst errors of one task, and where they are."""
    worst = {"normal": (0.0, 0.0), "subnormal": (0.0, 0.0)}
    count = 2**32 if dtype == "float32" else SAMPLES
    for block in range(count // TASKS // BLOCK):
        x = values(dtype, task, block)
        finite = np.isfinite(x)
        check_special_values(name, x[~finite])
        x = x[finite]
        error, subnormal = errors(name, x)
        for results, of_kind in (("normal", ~subnormal), ("subnormal", subnormal)):
            if of_kind.any():
                at = np.argmax(np.where(of_kind, error, -1))
                worst[results] = max(worst[results], (float(error[at]), float(x[at])))
    return worst


def computing(isa: str) -> str:
    """The ISA whose functions this one has: those of avx512 come with other products, too."""
    return "avx512" if isa == "amx" else isa.split("_")[0]


def measure_isa(isa: str) -> dict[tuple[str, str], Worst]:
    """Return the worst errors of each function and dtype, from processes with that ISA forced."""
    from tqdm import tqdm  # here, for the tests that share `errors` do without

    os.environ["LSTM_NATIVE_ISA"] = isa
    found: dict[tuple[str, str], Worst] = {}
    # Spawned, not forked: this process has chosen its ISA already.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = {
            pool.submit(measure, name, dtype, task): (name, dtype)
            for name in FUNCTIONS
            for dtype in ("float32", "float64")
            for task in range(TASKS)
        }
        for job in tqdm(as_completed(jobs), isa, len(jobs), mininterval=1):
            worst = found.setdefault(jobs[job], job.result())
            for results, error in job.result().items():
                worst[results] = max(worst[results], error)
    return found


def read_record() -> list[dict[str, str]]:
    """Return the rows of the record: isa, function, dtype, results, ulp, at."""
    with RECORD.open(newline="") as file:
        return list(csv.DictReader(file))


def main(isas: list[str]) -> None:
    """Measure these ISAs and put their rows in the record in place of the old ones."""
    rows = [row for row in read_record() if row["isa"] not in isas] if RECORD.exists() else []
    for isa in isas:
        for (name, dtype), worst in measure_isa(isa).items():
            for results, (ulp, at) in worst.items():
                cells = (isa, name, dtype, results, f"{ulp:.3f}", repr(at))
                rows.append(dict(zip(COLUMNS, cells, strict=True)))
                print(*cells)
    with RECORD.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted(rows, key=lambda row: list(row.values())[:4]))


if __name__ == "__main__":
    main(sys.argv[1:] or list(dict.fromkeys(map(computing, _core.isas()))))

"""What a release leaves behind: the digests of its bits, its files and its pickles.

Owns the fixed numbers from which all of these are made, in any release again, and their making:

    python tests/releases.py            # writes golden/<this version>/
    python tests/releases.py --digests  # prints those of the ISA in use

Must not hold assertions: ``test_releases.py`` compares.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

import lstm_native
from builders import Array, Case, Results, network, problem, ragged_lengths, rounded, run
from lstm_native import optim

GOLDEN = Path(__file__).parent / "golden"
FOLDER = GOLDEN / lstm_native.__version__
SUFFIXES = ("safetensors", "npz")

CASES = {
    "tiny": Case(7, 5, 3, 4, 2, 2),
    "one row": Case(40, 1, 9, 40, 3, 1),
    "many rows": Case(6, 33, 17, 33, 1, 2),
    "many units": Case(5, 3, 20, 130),
    "projected": Case(6, 14, 33, 66, 2, 1, 35),
    "dropout": Case(6, 7, 5, 9, 3, 2, dropout=0.4),
    "wide": Case(4, 20, 70, 66),
}
ROUNDINGS = ("bfloat16", "int8", "medium", "high", "three parts")
OPTIMIZERS = {
    "sgd": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adam": (optim.Adam, {"lr": 0.01, "amsgrad": True}),
    "adamw": (optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
}


class Numbers:
    """What the builders ask of a NumPy generator, from Python's: that sequence never changes."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def uniform(self, low: float, high: float, shape: tuple[int, ...]) -> Array:
        count = int(np.prod(shape))
        values = [low + (high - low) * self._random.random() for _ in range(count)]
        return np.array(values).reshape(shape)

    def standard_normal(self, shape: tuple[int, ...]) -> Array:
        """Draw uniform numbers of about that size: no logarithm of a C library is in them."""
        return self.uniform(-1.7, 1.7, shape)

    def integers(self, low: int, high: int | None = None, size: int | None = None) -> Any:
        low, high = (low, high) if high is not None else (0, low)
        draw = [low + int(self._random.random() * (high - low)) for _ in range(size or 1)]
        return np.array(draw) if size is not None else draw[0]


def results(case: Case, name: str, ragged: bool) -> Results:
    """Run a case on its fixed numbers."""
    numbers: Any = Numbers(name)
    lstm, data = network(case, numbers), problem(case, numbers)
    lengths = ragged_lengths(case, numbers) if ragged else None
    lstm_native.manual_seed(97)
    return run(lstm, *data, lengths=lengths)


def rounded_results(case: Case, name: str, rounding: str, ragged: bool) -> list[Array]:
    """Give the outputs of a case whose weights or products are rounded."""
    numbers: Any = Numbers(name)
    apart = rounding == "three parts"
    lstm = rounded(network(case, numbers), "highest" if apart else rounding)
    data = problem(case, numbers)
    lengths = ragged_lengths(case, numbers) if ragged else None
    lstm_native.set_reproducible(not apart)
    output, state = lstm(data.x, data.state, lengths=lengths)
    lstm_native.set_reproducible(True)
    return [output, *state]


def digest(arrays: list[Array]) -> str:
    content = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    return hashlib.sha256(content).hexdigest()[:32]


def digests() -> dict[str, str]:
    """Hash outputs and gradients of every case in the ISA in use."""
    found = {}
    for name, sizes in CASES.items():
        for rounding in ROUNDINGS:
            parts = [rounded_results(sizes, name, rounding, ragged) for ragged in (False, True)]
            found[f"{name}/{rounding}/outputs"] = digest(
                [array for part in parts for array in part]
            )
        for dtype in ("float32", "float64"):
            case = Case(**{**vars(sizes), "dtype": dtype})
            runs = [results(case, name, ragged) for ragged in (False, True)]
            for kind, arrays in (
                ("outputs", [array for part in runs for array in part[:3]]),
                ("gradients", [array for part in runs for array in part[3:]]),
            ):
                found[f"{name}/{dtype}/{kind}"] = digest(arrays)
    return found


# --- files and pickles ---


def lstm() -> lstm_native.LSTM:
    case = Case(I=3, H=4, L=2, D=2, proj=2, batch_first=True, dropout=0.25, dtype="float64")
    made = network(case, Numbers("lstm"))  # type: ignore[arg-type]
    return made.eval()


def quantized() -> lstm_native.LSTM:
    made = network(Case(I=3, H=4), Numbers("quantized"))  # type: ignore[arg-type]
    return made.eval().quantize("int8")


def cell() -> lstm_native.LSTMCell:
    made = lstm_native.LSTMCell(3, 4)
    made.flat_parameters[...] = Numbers("cell").uniform(-1, 1, made.flat_parameters.shape)
    return made


def packed_sequence() -> lstm_native.PackedSequence:
    data = Numbers("packed").uniform(-1, 1, (5, 4, 3)).astype(np.float32)
    return lstm_native.pack_padded_sequence(data, np.array([3, 5, 1, 4]), enforce_sorted=False)


def generator() -> lstm_native.Generator:
    """Return one that stands somewhere in its stream."""
    made = lstm_native.Generator()
    drawn_from = lstm_native.manual_seed(17)
    lstm_native.LSTM(3, 50)
    made.set_state(drawn_from.get_state())
    return made


def optimizer(name: str, steps: int) -> tuple[optim.Optimizer, Array]:
    """Return an optimizer that has made so many steps, and its parameters."""
    numbers = Numbers(name)
    parameters = numbers.uniform(-1, 1, (7,)).astype(np.float32)
    kind, options = OPTIMIZERS[name]
    made = kind(parameters, **options)
    for _ in range(steps):
        made.step(numbers.uniform(-1, 1, (7,)).astype(np.float32))
    return made, parameters


def states() -> dict[str, Any]:
    """Return what `save` writes, by name of the file."""
    return {
        "lstm": lstm(),
        "quantized": quantized(),
        "cell": cell(),
        **{name: optimizer(name, 3)[0].state_dict() for name in OPTIMIZERS},
    }


def objects() -> dict[str, Any]:
    """Return what is pickled, by name of the file."""
    return states() | {"packed_sequence": packed_sequence(), "generator": generator()}


def write() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, state in states().items():
        for suffix in SUFFIXES:
            lstm_native.save(FOLDER / f"{name}.{suffix}", state)
    for name, value in objects().items():
        (FOLDER / f"{name}.pickle").write_bytes(pickle.dumps(value, protocol=4))
    of_isa = {
        isa: json.loads(
            subprocess.check_output(
                [sys.executable, __file__, "--digests"], env=os.environ | {"LSTM_NATIVE_ISA": isa}
            )
        )
        for isa in lstm_native.show_config("dicts")["isas available"]
    }
    (FOLDER / "digests.json").write_text(json.dumps(of_isa, indent=1) + "\n")


if __name__ == "__main__":
    if "--digests" in sys.argv:
        print(json.dumps(digests()))
    else:
        write()

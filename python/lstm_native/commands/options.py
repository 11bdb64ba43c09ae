"""Options that several commands have, and the way they print for programs.

Owns their names, types and help texts. Must not know any command.
"""

import argparse
import json
import math
from pathlib import Path
from typing import Any


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")


def add_prefix(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--prefix``."""
    parser.add_argument("--prefix", metavar="NAME", help=f"{what}, as inspect lists them")


def add_file(parser: argparse.ArgumentParser, name: str = "file") -> None:
    """Add the path of a weight file."""
    parser.add_argument(
        name,
        type=Path,
        metavar=name.upper(),
        help="a file of safetensors, npz, PyTorch, ONNX or Keras",
    )


def positive(text: str) -> int:
    """A positive integer."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{value} is not positive")
    return value


def not_negative(text: str) -> int:
    """An integer of at least zero."""
    if (value := int(text)) < 0:
        raise argparse.ArgumentTypeError(f"{value} is negative")
    return value


def lengths(text: str) -> list[int]:
    """Integers of at least zero between commas."""
    return [not_negative(part) for part in text.split(",")]


def print_json(value: Any) -> None:
    """Print a value as JSON, which has no NaN and no infinity: null instead."""
    print(json.dumps(_finite(value), indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""What is measured: the rows of ``shapes.toml``.

Owns the meaning of a row, and the rules by which lengths are written as one word; knows nothing of
arrays or of who computes them.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias

Mode: TypeAlias = Literal["forward", "train"]

SHAPES = Path(__file__).with_name("shapes.toml")


@dataclass(frozen=True)
class Shape:
    """One row.

    Attributes
    ----------
    name, kind : str
        What ``--rows`` is matched with, and the group of targets it belongs to.
    T, N, I, H, L, D : int
        Steps, batch rows, input features, hidden units, layers, directions.
    P : int
        Output features of a projection, or 0.
    dtype : str
        ``float32`` or ``float64``.
    lengths : tuple of int
        Steps of each of the N sequences, falling, the first one T; empty if all have T.
    dense : str
        The row that has the same sizes and no lengths, if there is one: what raggedness costs is
        read off against it.
    stepped : bool
        One step of a stream, forward only: libraries that can keep the state between calls and
        write into arrays given beforehand do so.
    """

    name: str
    kind: str
    T: int
    N: int
    I: int  # noqa: E741 - the project's alphabet
    H: int
    L: int
    D: int
    P: int = 0
    dtype: str = "float32"
    lengths: tuple[int, ...] = ()
    dense: str = ""
    stepped: bool = False

    def __post_init__(self) -> None:
        if self.lengths:
            falling = list(self.lengths) == sorted(self.lengths, reverse=True)
            if len(self.lengths) != self.N or self.lengths[0] != self.T or not falling:
                raise ValueError(f"{self.name}: lengths must be {self.N}, falling from {self.T}")
            if self.lengths[-1] < 1:
                raise ValueError(f"{self.name}: every sequence needs a step")
        if self.stepped and self.T != 1:
            raise ValueError(f"{self.name}: a stepped row has one step")
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f"{self.name}: unknown dtype {self.dtype}")

    @property
    def outputs(self) -> int:
        """Output features of one direction."""
        return self.P or self.H

    @property
    def frames(self) -> int:
        """Live steps of all sequences."""
        return sum(self.lengths) or self.T * self.N

    @property
    def inputs(self) -> list[int]:
        """Input features of each layer."""
        return [self.I] + [self.D * self.outputs] * (self.L - 1)

    def flops(self, mode: Mode) -> float:
        """Count the multiplications and additions of the matrix products.

        8H(I+P) for a frame, layer and direction, 2HP more with a projection; backward costs
        twice the forward pass.
        """
        projection = 2 * self.H * self.P
        forward = sum(8 * self.H * (size + self.outputs) + projection for size in self.inputs)
        return float(forward * self.D * self.frames * (3 if mode == "train" else 1))


def _uniform(steps: int, rows: int) -> list[int]:
    """Fall from T to T/N in equal steps: lengths drawn evenly from 1 to T, sorted."""
    return [round(steps * (rows - row) / rows) for row in range(rows)]


def _geometric(steps: int, rows: int) -> list[int]:
    """Fall from T to 1 by an equal factor: a few long sequences, many short ones."""
    return [round(steps ** (1 - row / max(1, rows - 1))) for row in range(rows)]


def _one_long(steps: int, rows: int) -> list[int]:
    """One sequence of T steps; all others have a tenth of them."""
    return [steps] + [steps // 10] * (rows - 1)


LENGTHS: dict[str, Callable[[int, int], list[int]]] = {
    "uniform": _uniform,
    "geometric": _geometric,
    "one-long": _one_long,
}


def load(path: Path = SHAPES) -> list[Shape]:
    """Read all rows of a file.

    Raises
    ------
    KeyError, TypeError, ValueError
        If a row lacks a field, has one too many, or makes no sense.
    """
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["shape"]
    shapes = [Shape(**row | {"lengths": _lengths(row)}) for row in rows]
    by_name = {shape.name: shape for shape in shapes}
    for shape in shapes:
        if shape.dense and _sizes(by_name[shape.dense]) != _sizes(shape):
            raise ValueError(f"{shape.name}: {shape.dense} has other sizes")
    return shapes


def _lengths(row: dict[str, Any]) -> tuple[int, ...]:
    written = row.get("lengths", ())
    if isinstance(written, str):
        return tuple(max(1, length) for length in LENGTHS[written](row["T"], row["N"]))
    return tuple(written)


def _sizes(shape: Shape) -> list[Any]:
    """What a row and its dense one share."""
    apart = ("name", "kind", "lengths", "dense", "stepped")
    return [getattr(shape, field.name) for field in fields(shape) if field.name not in apart]

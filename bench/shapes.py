"""What is measured: the rows of ``shapes.toml``.

Owns the meaning of a row; knows nothing of arrays or of who computes them.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

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

    def __post_init__(self) -> None:
        if self.lengths:
            falling = list(self.lengths) == sorted(self.lengths, reverse=True)
            if len(self.lengths) != self.N or self.lengths[0] != self.T or not falling:
                raise ValueError(f"{self.name}: lengths must be {self.N}, falling from {self.T}")
            if self.lengths[-1] < 1:
                raise ValueError(f"{self.name}: every sequence needs a step")
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

    def flops(self, mode: Mode) -> float:
        """Count the multiplications and additions of the matrix products.

        8H(I+P) for a frame, layer and direction, 2HP more with a projection; backward costs
        twice the forward pass.
        """
        inputs = [self.I] + [self.D * self.outputs] * (self.L - 1)
        projection = 2 * self.H * self.P
        forward = sum(8 * self.H * (size + self.outputs) + projection for size in inputs)
        return float(forward * self.D * self.frames * (3 if mode == "train" else 1))


def load(path: Path = SHAPES) -> list[Shape]:
    """Read all rows of a file.

    Raises
    ------
    TypeError, ValueError
        If a row lacks a field, has one too many, or makes no sense.
    """
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["shape"]
    return [Shape(**row | {"lengths": tuple(row.get("lengths", ()))}) for row in rows]

"""The arrays that every side is given for one row.

Owns their contents, the same in every run; knows nothing of any side.
"""

from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from bench.shapes import Shape

Floats: TypeAlias = NDArray[np.floating[Any]]

SEED = 20


@dataclass(frozen=True)
class Problem:
    """Input, state, weights and output gradient of one row.

    Attributes
    ----------
    shape : Shape
        The row.
    x : ndarray, shape (T, N, I)
        Input.
    h_0, c_0 : ndarray, shapes (L*D, N, outputs) and (L*D, N, H)
        Initial state.
    grad_output : ndarray, shape (T, N, D*outputs)
        Gradient of the output; zero in the frames that ragged rows lack.
    state : dict of str to ndarray
        Weights and biases by torch's names, in torch's order.
    lengths : ndarray of int64, shape (N,), or None
        Steps of each sequence, falling, if they differ.
    """

    shape: Shape
    x: Floats
    h_0: Floats
    c_0: Floats
    grad_output: Floats
    state: dict[str, Floats]
    lengths: NDArray[np.int64] | None

    @classmethod
    def of(cls, shape: Shape) -> Self:
        """Fill the arrays of a row from a fixed seed."""
        generator = np.random.default_rng(SEED)

        def normal(*sizes: int, scale: float = 1.0) -> Floats:
            return (scale * generator.standard_normal(sizes)).astype(shape.dtype)

        def uniform(*sizes: int) -> Floats:
            bound = shape.H**-0.5
            return generator.uniform(-bound, bound, sizes).astype(shape.dtype)

        cells = shape.L * shape.D
        grad_output = normal(shape.T, shape.N, shape.D * shape.outputs)
        lengths = None
        if shape.lengths:
            lengths = np.array(shape.lengths, dtype=np.int64)
            grad_output[np.arange(shape.T)[:, None] >= lengths] = 0
        return cls(
            shape=shape,
            x=normal(shape.T, shape.N, shape.I),
            h_0=normal(cells, shape.N, shape.outputs, scale=0.5),
            c_0=normal(cells, shape.N, shape.H, scale=0.5),
            grad_output=grad_output,
            state={name: uniform(*sizes) for name, sizes in _parameters(shape)},
            lengths=lengths,
        )

    def with_one_state(self) -> Self:
        """Give all batch rows the first one's initial state."""
        h_0, c_0 = (np.repeat(a[:, :1], a.shape[1], axis=1) for a in (self.h_0, self.c_0))
        return replace(self, h_0=h_0, c_0=c_0)


def _parameters(shape: Shape) -> list[tuple[str, tuple[int, ...]]]:
    """Name and size every parameter as torch does; a strict load on each side checks it."""
    named: list[tuple[str, tuple[int, ...]]] = []
    for layer in range(shape.L):
        inputs = shape.I if layer == 0 else shape.D * shape.outputs
        for suffix in ("", "_reverse")[: shape.D]:
            named += [
                (f"weight_ih_l{layer}{suffix}", (4 * shape.H, inputs)),
                (f"weight_hh_l{layer}{suffix}", (4 * shape.H, shape.outputs)),
                (f"bias_ih_l{layer}{suffix}", (4 * shape.H,)),
                (f"bias_hh_l{layer}{suffix}", (4 * shape.H,)),
            ]
            if shape.P:
                named.append((f"weight_hr_l{layer}{suffix}", (shape.P, shape.H)))
    return named

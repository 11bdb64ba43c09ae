"""The compiled core: arrays in, arrays out, everything in place, nothing allocated for the caller.

Shapes use the alphabet of the project: L layers, D directions, T steps, N batch rows, I input
features, H hidden units, P output features (``proj_size``, or H), F frames (sum of all lengths).
Every array is float32 or float64, of the dtype the weights were packed in.

``x`` and ``y`` are (T, N, features) views of any strides with contiguous features, or
(F, features) with ``batch_sizes``. ``h`` (L*D, N, P) and ``c`` (L*D, N, H) are C-contiguous and
updated in place: the initial state goes in, the final state comes out. ``resets`` is C-contiguous,
(T, N) or (F,). ``cells``, c of every step, lies as ``y`` does. Both, and their gradients, may have
one axis more in front, of length L: every layer's, and not only the last's.
"""

from typing import Any, Literal, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]
Precision: TypeAlias = Literal["highest", "high", "medium"]
Packing: TypeAlias = Literal[
    "bfloat16", "int8", "bfloat16 pairs", "one part", "two parts", "three parts"
]

@final
class Generator:
    def __init__(self, seed: int) -> None: ...
    @property
    def initial_seed(self) -> int: ...
    def manual_seed(self, seed: int) -> None: ...
    def uniform(self, out: FloatArray, low: float, high: float) -> None: ...
    def get_state(self) -> bytes: ...
    def set_state(self, state: bytes) -> None: ...

@final
class Weights:
    @property
    def nbytes(self) -> int: ...
    @property
    def storage(self) -> Packing | None: ...
    def panels(self) -> FloatArray: ...

@final
class Tape:
    @property
    def consumed(self) -> bool: ...
    @property
    def nbytes(self) -> int: ...

@final
class Stream:
    def __init__(self, weights: Weights, h: FloatArray, c: FloatArray) -> None: ...
    def step(self, x: object, out: object) -> FloatArray | None: ...
    def __enter__(self) -> None: ...
    def __exit__(self, kind: object, error: object, traceback: object) -> None: ...

def pack(
    parameters: FloatArray,
    input_size: int,
    hidden_size: int,
    num_layers: int,
    bias: bool,
    bidirectional: bool,
    proj_size: int,
    storage: Packing | None = None,
) -> Weights: ...
def use_packed(
    panels: FloatArray,
    input_size: int,
    hidden_size: int,
    num_layers: int,
    bias: bool,
    bidirectional: bool,
    proj_size: int,
    storage: Literal["bfloat16", "int8"] | None = None,
) -> Weights: ...
def forward(
    weights: Weights,
    x: FloatArray,
    y: FloatArray,
    h: FloatArray,
    c: FloatArray,
    lengths: IntArray | None,
    batch_sizes: IntArray | None,
    order: IntArray | None,
    dropout: float,
    generator: Generator | None,
    resets: BoolArray | None = None,
    cells: FloatArray | None = None,
) -> None: ...
def record(
    weights: Weights,
    x: FloatArray,
    y: FloatArray,
    h: FloatArray,
    c: FloatArray,
    lengths: IntArray | None,
    batch_sizes: IntArray | None,
    order: IntArray | None,
    dropout: float,
    generator: Generator | None,
    checkpoint: int | None,
    resets: BoolArray | None = None,
    cells: FloatArray | None = None,
) -> Tape: ...
def backward(
    tape: Tape,
    grad_y: FloatArray | None,
    grad_x: FloatArray,
    grad_h: FloatArray,
    grad_c: FloatArray,
    grad_parameters: FloatArray,
    accumulate: bool,
    grad_cells: FloatArray | None = None,
) -> None: ...
def step(weights: Weights, x: FloatArray, y: FloatArray, h: FloatArray, c: FloatArray) -> None: ...
def parameter_count(
    input_size: int,
    hidden_size: int,
    num_layers: int,
    bias: bool,
    bidirectional: bool,
    proj_size: int,
) -> int: ...
def set_num_threads(count: int) -> None: ...
def get_num_threads() -> int: ...
def force_dealing(dealing: str) -> None: ...
def isa() -> str: ...
def isas() -> list[str]: ...
def set_precision(precision: Precision) -> None: ...
def get_precision() -> Precision: ...
def set_reproducible(value: bool) -> None: ...
def get_reproducible() -> bool: ...
def packing(precision: Precision | None) -> Packing | None: ...
def build_info() -> dict[str, Any]: ...
def sigmoid(x: FloatArray, out: FloatArray) -> None: ...
def tanh(x: FloatArray, out: FloatArray) -> None: ...
def infer(
    weights: Weights, x: object, hx: object, batch_first: bool, precision: int
) -> tuple[FloatArray, tuple[FloatArray, FloatArray]] | None: ...
def infer_cell(
    weights: Weights, x: object, hx: object, precision: int
) -> tuple[FloatArray, FloatArray] | None: ...
def multiply_add(double: bool, iterations: int) -> float: ...
def read(buffer: FloatArray, iterations: int) -> float: ...

"""Arrays in, arrays out: allocates results and calls the compiled core.

Owns the shape of every buffer the core writes, and the views that turn the caller's layout into
the core's (T, N, features). With :mod:`lstm_native.runtime` the only importer of ``_core``.
Must not check anything (``_checks`` has done so) and must not know the classes. Plain calls make
their results in the core: `infer`.
"""

from typing import Any, NamedTuple, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lstm_native import _core
from lstm_native.parameters import Config, FloatArray, Packing, Shape, Storage

Weights: TypeAlias = _core.Weights
Engine: TypeAlias = _core.Generator
State: TypeAlias = tuple[FloatArray, FloatArray]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]


class Layout(NamedTuple):
    """How frames lie in x and y, and which of them begin anew.

    A 2-D x without `batch_sizes` is one sequence (T, I), whatever `batch_first` says. `resets` lies
    as x does, without features.
    """

    batch_first: bool = False
    lengths: IntArray | None = None
    batch_sizes: IntArray | None = None
    order: IntArray | None = None
    resets: BoolArray | None = None


class Inner(NamedTuple):
    """Arrays for what a call gives beside output and state.

    `layers` is every layer's output, (L, ...) in front of the output's shape; `cells` is c of every
    step of the last layer, or with `layers` of every layer.
    """

    layers: FloatArray | None = None
    cells: FloatArray | None = None

    def given(self) -> tuple[FloatArray, ...]:
        """Those that were asked for."""
        if self.layers is None:
            return () if self.cells is None else (self.cells,)
        return (self.layers,) if self.cells is None else (self.layers, self.cells)


NOTHING = Inner()

# A call in evaluation mode that needs neither conversion nor explanation, wholly in the core: exact
# C-contiguous ndarrays of the network's dtype and fitting shapes. None for any other call.
infer = _core.infer
infer_cell = _core.infer_cell


class _Blank:
    """Stands for the core's tape where there is nothing to compute: a cell of no units."""

    consumed = False
    nbytes = 0


class Tape:
    """What :meth:`lstm_native.LSTM.record` saved for one backward pass.

    Several tapes may be alive at once. A tape keeps the recorded input (not a copy: leave it
    unchanged until the backward pass), the output and the weights of that time, so later changes
    of the parameters do not disturb it.

    Attributes
    ----------
    consumed : bool
        True once a backward pass has used it.
    nbytes : int
        Memory held by the compiled core for it; 0 once it has been used.

    Examples
    --------
    >>> lstm = LSTM(3, 4)
    >>> output, state, tape = lstm.record(np.ones((5, 2, 3), np.float32))
    >>> tape
    Tape(input (5, 2, 3), float32, 864 bytes)
    >>> gradients = lstm.backward(tape, output)
    >>> tape.consumed
    True
    """

    __slots__ = (
        "_core",
        "_dtype",
        "_inner_shapes",
        "_input_shape",
        "_layout",
        "_network",
        "_output_shape",
        "_packing",
        "_states",
    )

    def __init__(
        self,
        core: _core.Tape | None,
        x: FloatArray,
        y: FloatArray,
        states: tuple[Shape, Shape],
        layout: Layout,
        network: object,
        packing: tuple[Any, ...] | None,
        inner: Inner,
    ) -> None:
        self._core = _Blank() if core is None else core
        self._input_shape = x.shape
        self._output_shape = y.shape
        self._dtype = x.dtype
        self._states = states
        self._layout = layout
        self._network = network
        self._packing = packing
        layers, cells = inner
        self._inner_shapes = (
            None if layers is None else layers.shape,
            None if cells is None else cells.shape,
        )

    @property
    def consumed(self) -> bool:
        """True once a backward pass has used it."""
        return self._core.consumed

    @property
    def nbytes(self) -> int:
        """Memory held by the compiled core for it; 0 once it has been used."""
        return self._core.nbytes

    def __repr__(self) -> str:
        kind = "packed input" if self._packing is not None else "input"
        text = f"Tape({kind} {self._input_shape}, {self._dtype}, {self.nbytes} bytes"
        return text + (", consumed)" if self.consumed else ")")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Tape cannot be pickled or copied: it belongs to one backward pass")


def generator(seed: int) -> Engine:
    """A Mersenne Twister seeded as torch's CPU generator is."""
    return _core.Generator(seed)


def pack(flat: FloatArray, config: Config, storage: Packing | None = None) -> Weights | None:
    """Copy the 1-D parameters into the order the kernels read them, perhaps rounded.

    None for a cell of no units, which the core does not know: there is nothing to compute.
    """
    return None if config.hidden_size == 0 else _core.pack(flat, *_sizes(config), storage)


def use_packed(panels: FloatArray, config: Config, storage: Storage | None = None) -> Weights:
    """Weights that `pack` made and ``panels()`` gave, used where they lie; ValueError if too few.

    They must have been packed by the same ISA of the same version.
    """
    return _core.use_packed(panels, *_sizes(config), storage)


def _sizes(config: Config) -> tuple[int, int, int, bool, bool, int]:
    """What the core calls a network by."""
    plain = bool(config.bias), bool(config.bidirectional)
    return (config.input_size, config.hidden_size, config.num_layers, *plain, config.proj_size)


def _time_major(array: FloatArray, layout: Layout) -> FloatArray:
    if layout.batch_sizes is not None:
        return array
    if array.ndim == 2:
        return array[:, None]
    return array.swapaxes(0, 1) if layout.batch_first else array


def _stack_time_major(array: FloatArray | None, layout: Layout, *, stacked: bool) -> Any:
    """As `_time_major`, of an array that may have an axis of layers in front."""
    if array is None or not stacked:
        return None if array is None else _time_major(array, layout)
    if layout.batch_sizes is not None:
        return array
    if array.ndim == 3:
        return array[:, :, None]
    return array.swapaxes(1, 2) if layout.batch_first else array


def _resets(layout: Layout) -> BoolArray | None:
    resets = layout.resets
    if resets is None or layout.batch_sizes is not None:
        return resets
    if resets.ndim == 1:
        return resets[:, None]
    return np.ascontiguousarray(resets.T) if layout.batch_first else resets


def _batched(state: FloatArray) -> FloatArray:
    return state if state.ndim == 3 else state[:, None]


def _frames(x: FloatArray, layout: Layout, features: int, layers: Shape = ()) -> FloatArray:
    # The core leaves pad frames alone; they are promised to be zero.
    allocate = np.empty if layout.lengths is None else np.zeros
    return allocate((*layers, *x.shape[:-1], features), x.dtype)


def inner_results(
    config: Config, x: FloatArray, layout: Layout, layers: bool, cells: bool
) -> Inner:
    """Arrays for every layer's output, and for c of every step, if asked for."""
    if not layers and not cells:
        return NOTHING
    leading = (config.num_layers,) if layers else ()
    return Inner(
        _frames(x, layout, config.frame_size, leading) if layers else None,
        _frames(x, layout, config.num_directions * config.hidden_size, leading) if cells else None,
    )


def _results(
    config: Config, x: FloatArray, hx: State | None, layout: Layout, inner: Inner
) -> tuple[FloatArray, FloatArray, FloatArray]:
    y = _frames(x, layout, config.frame_size) if inner.layers is None else inner.layers[-1]
    if hx is not None:
        return y, np.array(hx[0], x.dtype, order="C"), np.array(hx[1], x.dtype, order="C")
    rows: Shape = (config.state_rows,)
    if layout.batch_sizes is not None:
        rows = (*rows, int(layout.batch_sizes[0]))
    elif x.ndim == 3:
        rows = (*rows, x.shape[0 if layout.batch_first else 1])
    return (
        y,
        np.zeros((*rows, config.output_size), x.dtype),
        np.zeros((*rows, config.hidden_size), x.dtype),
    )


def _written(y: FloatArray, inner: Inner, layout: Layout) -> tuple[FloatArray, FloatArray | None]:
    """What the core writes beside the states: the output, or every layer's, and c."""
    if inner is NOTHING:
        return _time_major(y, layout), None
    stacked = inner.layers is not None
    return (
        _stack_time_major(inner.layers if stacked else y, layout, stacked=stacked),
        _stack_time_major(inner.cells, layout, stacked=stacked),
    )


def forward(
    weights: Weights | None,
    config: Config,
    x: FloatArray,
    hx: State | None,
    layout: Layout,
    dropout: float,
    engine: Engine | None,
    inner: Inner = NOTHING,
) -> tuple[FloatArray, State]:
    """Run the network; returns ``output, (h_n, c_n)`` in the caller's layout, and fills `inner`.

    With ``inner.layers`` the output is a view of its last.
    """
    y, h, c = _results(config, x, hx, layout, inner)
    if weights is not None:
        frames, cells = _written(y, inner, layout)
        _core.forward(
            weights,
            _time_major(x, layout),
            frames,
            _batched(h),
            _batched(c),
            layout.lengths,
            layout.batch_sizes,
            layout.order,
            dropout,
            engine,
            _resets(layout),
            cells,
        )
    return y, (h, c)


def record(
    weights: Weights | None,
    config: Config,
    x: FloatArray,
    hx: State | None,
    layout: Layout,
    dropout: float,
    engine: Engine | None,
    network: object,
    packing: tuple[Any, ...] | None = None,
    checkpoint: int | None = None,
    inner: Inner = NOTHING,
) -> tuple[FloatArray, State, Tape]:
    """:func:`forward`, and the tape for :func:`backward`. Outputs become read-only."""
    y, h, c = _results(config, x, hx, layout, inner)
    core = None
    if weights is not None:
        frames, cells = _written(y, inner, layout)
        core = _core.record(
            weights,
            _time_major(x, layout),
            frames,
            _batched(h),
            _batched(c),
            layout.lengths,
            layout.batch_sizes,
            layout.order,
            dropout,
            engine,
            checkpoint,
            _resets(layout),
            cells,
        )
    for read_later in (y, inner.layers):
        if read_later is not None:
            read_later.flags.writeable = False
    return y, (h, c), Tape(core, x, y, (h.shape, c.shape), layout, network, packing, inner)


def step(weights: Weights | None, x: FloatArray, hx: State | None, hidden_size: int) -> State:
    """One step of a cell: x (N, I) or (I,), states (N, H) or (H,); returns the new states."""
    shape = (*x.shape[:-1], hidden_size)
    if hx is None:
        h, c = np.zeros(shape, x.dtype), np.zeros(shape, x.dtype)
    else:
        h, c = np.array(hx[0], x.dtype, order="C"), np.array(hx[1], x.dtype, order="C")
    if weights is None:
        return h, c
    y = np.empty(shape, x.dtype)
    if x.ndim == 1:
        _core.step(weights, x[None], y[None], h[None, None], c[None, None])
    else:
        _core.step(weights, x, y, h[None], c[None])
    return h, c


def stream(
    weights: Weights, config: Config, dtype: np.dtype[Any], rows: int
) -> tuple[_core.Stream, FloatArray, FloatArray]:
    """What takes the steps of a stream, and its states h and c, which each step updates."""
    h = np.zeros((config.state_rows, rows, config.output_size), dtype)
    c = np.zeros((config.state_rows, rows, config.hidden_size), dtype)
    return _core.Stream(weights, h, c), h, c


def backward(
    tape: Tape,
    grad_output: FloatArray | None,
    grad_h: FloatArray | None,
    grad_c: FloatArray | None,
    grad_parameters: FloatArray,
    accumulate: bool,
    grad_layers: FloatArray | None = None,
    grad_cells: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gradients of input, h_0 and c_0; those of the parameters go into `grad_parameters`.

    They are added to what stands there, or else take its place.
    """
    layout = tape._layout
    grad_y, stacked = grad_output, grad_layers is not None
    if grad_layers is not None:
        grad_y = grad_layers
        if grad_output is not None:  # the output is also the last of the layers
            grad_y = grad_y.copy()
            grad_y[-1] += grad_output
    allocate = np.empty if layout.lengths is None else np.zeros
    grad_x = allocate(tape._input_shape, tape._dtype)
    dh, dc = (
        np.zeros(shape, tape._dtype) if grad is None else np.array(grad, tape._dtype, order="C")
        for shape, grad in zip(tape._states, (grad_h, grad_c), strict=True)
    )
    if isinstance(tape._core, _Blank):
        tape._core.consumed = True
        grad_x.fill(0)
        if not accumulate:
            grad_parameters.fill(0)
        return grad_x, dh, dc
    _core.backward(
        tape._core,
        _stack_time_major(grad_y, layout, stacked=stacked),
        _time_major(grad_x, layout),
        _batched(dh),
        _batched(dc),
        grad_parameters,
        accumulate,
        _stack_time_major(grad_cells, layout, stacked=tape._inner_shapes[0] is not None),
    )
    return grad_x, dh, dc

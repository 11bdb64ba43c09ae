"""The ``LSTMCell`` class: torch.nn.LSTMCell on NumPy arrays.

Owns how one step is called, recorded and differentiated. A cell is a network of one layer and one
direction over one step; must not import the core.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from lstm_native import functional
from lstm_native._checks import arguments, calls, gradients
from lstm_native._checks.arrays import SupportsArray
from lstm_native._loading import Loadable
from lstm_native._module import Gradients
from lstm_native.functional import Layout, State, Tape
from lstm_native.parameters import Config, FloatArray, Precision

Hidden: TypeAlias = tuple[SupportsArray, SupportsArray]


class LSTMCell(Loadable):
    """One step of a long short-term memory network.

    The arguments, names, initial values and results of ``torch.nn.LSTMCell``. In the shapes below
    N is the batch, I ``input_size`` and H ``hidden_size``.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H, at least 0.
    bias : bool
        Whether there are ``bias_ih`` and ``bias_hh``.
    dtype : numpy dtype
        float32 or float64: of parameters, inputs and results.
    precision : {"highest", "high", "medium"}, optional
        That of :func:`set_float32_matmul_precision`, for this network alone.

    Attributes
    ----------
    weight_ih, weight_hh, bias_ih, bias_hh : ndarray
        The parameters, as views into `flat_parameters`: (4*H, I), (4*H, H), (4*H,), (4*H,); gates
        in the order i, f, g, o. Without `bias` the last two are None.

    Raises
    ------
    TypeError, RuntimeError, ValueError
        A size that is not an integer, or negative, or past all memory; another dtype.

    Examples
    --------
    >>> import numpy as np
    >>> cell = LSTMCell(10, 20)
    >>> state = cell(np.zeros((3, 10), np.float32))
    >>> h, c = cell(np.ones((3, 10), np.float32), state)
    >>> h.shape
    (3, 20)
    """

    __slots__ = ()

    _cell: ClassVar[bool] = True
    weight_ih: FloatArray
    weight_hh: FloatArray
    bias_ih: FloatArray | None
    bias_hh: FloatArray | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        dtype: DTypeLike = np.float32,
        precision: Precision | None = None,
    ) -> None:
        config = arguments.cell_sizes(input_size, hidden_size, bias)
        self._configure(config, arguments.float_dtype(dtype))
        self.precision = precision
        self.reset_parameters()

    def _configure(
        self, config: Config, dtype: np.dtype[Any], borrowed: FloatArray | None = None
    ) -> None:
        super()._configure(config, dtype, borrowed)
        if not config.bias:
            self.__dict__.update(bias_ih=None, bias_hh=None)

    @classmethod
    def from_state_dict(cls, state_dict: Mapping[str, Any], prefix: str = "") -> Self:
        """Make a cell of the weights in `state_dict`, ready to serve: in evaluation mode.

        Parameters
        ----------
        state_dict : mapping of str to array
            ``weight_ih`` and its siblings, each after `prefix`; other keys are ignored. The cell is
            float64 where an array is, else float32.
        prefix : str
            For instance ``"decoder.cell."``.

        Raises
        ------
        ValueError
            No LSTMCell under `prefix`; the message lists the prefixes that have one. Or its
            parameters are incomplete, or contradict each other.
        TypeError, RuntimeError
            A value is not an array of floats.
        """
        cell = cls.__new__(cls)
        cell._read(state_dict, prefix)
        return cell

    def __call__(self, x: SupportsArray, hx: Hidden | None = None) -> State:
        """Advance the state by one step.

        Parameters
        ----------
        x : ndarray
            (N, I), or (I,) for one row; of the cell's dtype. Anything with ``__array__``, the
            buffer protocol or ``__dlpack__`` on CPU.
        hx : (h_0, c_0), optional
            The state before, each (N, H) or (H,); zeros by default. Never changed.

        Returns
        -------
        (h_1, c_1) : tuple of ndarray
            The state after, each (N, H) or (H,).

        Raises
        ------
        TypeError, ValueError, RuntimeError
            An argument of a wrong type, dtype or shape; classes and texts as torch's.
        """
        weights = self._packed
        if weights is not None:
            result = functional.infer_cell(weights, x, hx, self._precision_number)
            if result is not None:
                return result
        array, state = calls.cell_input(x, hx, self._config, self._dtype)
        weights = self._weights()  # of now: converting x may run anything
        return functional.step(weights, array, state, self._config.hidden_size)

    def record(self, x: SupportsArray, hx: Hidden | None = None) -> tuple[State, Tape]:
        """Advance the state and keep what :meth:`backward` needs.

        The bits of the results are those of a call at the highest precision. `x` must stay
        unchanged until the backward pass: the tape refers to it.

        Parameters
        ----------
        x, hx
            As in a call.

        Returns
        -------
        (h_1, c_1), tape
            As a call returns, and a :class:`Tape` for one backward pass. Any number of tapes may
            be alive.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            As a call does; or the cell is quantized, and in evaluation mode.
        """
        array, state = calls.cell_input(x, hx, self._config, self._dtype)
        weights = self._recorded_weights()
        steps = None if state is None else (state[0][None], state[1][None])
        _, (h, c), tape = functional.record(
            weights, self._config, array[None], steps, Layout(), 0.0, None, self._identity
        )
        return (h[0], c[0]), tape

    def backward(
        self,
        tape: Tape,
        grad_state: tuple[SupportsArray | None, SupportsArray | None] | None = None,
        *,
        into: FloatArray | None = None,
    ) -> Gradients:
        """Differentiate a recorded step.

        Parameters
        ----------
        tape : Tape
            From this cell's :meth:`record`; used up by this call.
        grad_state : (grad_h_1, grad_c_1), optional
            Gradients of the new state, each of which may be None.
        into : ndarray, optional
            A buffer like ``flat_parameters`` that the parameters' gradients are added to.

        Returns
        -------
        Gradients
            ``input``, ``h_0``, ``c_0``, and ``parameters``: a new 1-D array, or `into`.

        Raises
        ------
        ValueError
            Another cell's tape, a wrong dtype, or an unsuitable `into`.
        RuntimeError
            A tape already used, or a gradient of a wrong shape.
        TypeError
            An argument of a wrong type.
        """
        gradients.recorded_by(tape, self._identity, Tape, "LSTMCell")
        shapes = tape._states[0][1:], tape._states[1][1:]
        dh, dc = gradients.state_gradient(grad_state, shapes, self._dtype)
        flat = self._accumulator(into)
        dx, dh, dc = functional.backward(
            tape,
            None,
            None if dh is None else dh[None],
            None if dc is None else dc[None],
            flat,
            into is not None,
        )
        return Gradients(dx[0], dh[0], dc[0], flat)

    def __repr__(self) -> str:
        shown = [f"{self.input_size}", f"{self.hidden_size}"]
        if self.bias is not True:
            shown.append(f"bias={self.bias}")
        return f"{type(self).__name__}({', '.join(shown + self._products())})"

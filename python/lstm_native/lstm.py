"""The ``LSTM`` class: torch.nn.LSTM on NumPy arrays.

Owns how a network of layers and directions is called, recorded and differentiated. Every check
stands in ``_checks``, every computation in the core; must not import the core.
"""

from typing import Any, TypeAlias, overload

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from lstm_native import functional
from lstm_native._checks import arguments, calls, gradients, streams
from lstm_native._checks.arrays import SupportsArray
from lstm_native._configured import ConfiguredLSTM
from lstm_native._module import Gradients
from lstm_native.functional import Inner, Layout, State, Tape
from lstm_native.packing import PackedSequence
from lstm_native.parameters import FloatArray, Precision
from lstm_native.stream import Stream

Hidden: TypeAlias = tuple[SupportsArray, SupportsArray]
Resets: TypeAlias = ArrayLike | PackedSequence


class LSTM(ConfiguredLSTM):
    """A long short-term memory network of one or more layers, one or two directions.

    The arguments, names, initial values and results of ``torch.nn.LSTM``::

        i, f, o = sigmoid(W_i x + b_i + U_i h + b'_i), ...      g = tanh(W_g x + b_g + ...)
        c' = f * c + i * g                                      h' = o * tanh(c')

    with h' replaced by ``weight_hr @ h'`` where ``proj_size`` is given. In the shapes below L is
    ``num_layers``, D the number of directions, T steps, N the batch, I ``input_size``, H
    ``hidden_size`` and P ``proj_size``, or H without a projection.

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
        I, H and L, each at least 1.
    bias : bool
        Whether there are ``bias_ih`` and ``bias_hh``.
    batch_first : bool
        Input and output are (N, T, features) rather than (T, N, features). States never are.
    dropout : float
        In training mode each element of every layer's output but the last's is zeroed with this
        probability.
    bidirectional : bool
        Whether D is 2: a second set of weights reads each sequence from its end.
    proj_size : int
        P < H, or 0 for no projection.
    dtype : numpy dtype
        float32 or float64: of parameters, inputs and results.
    precision : {"highest", "high", "medium"}, optional
        That of :func:`set_float32_matmul_precision`, for this network alone.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_hr_l0, weight_ih_l0_reverse, ...
        The parameters, as views into `flat_parameters`: (4*H, I) in layer 0 and (4*H, D*P) above
        it, (4*H, P), (4*H,), (4*H,), (P, H); gates in the order i, f, g, o. Assigning an array
        copies its values in.
    generator : Generator or None
        Where dropout masks are drawn from; None, as at first, is the default generator.

    Raises
    ------
    TypeError, ValueError
        An argument of a wrong type, or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> lstm = LSTM(10, 20, num_layers=2)
    >>> output, (h_n, c_n) = lstm(np.zeros((5, 3, 10), np.float32))
    >>> output.shape, h_n.shape, c_n.shape
    ((5, 3, 20), (2, 3, 20), (2, 3, 20))
    """

    __slots__ = ()

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        dtype: DTypeLike = np.float32,
        precision: Precision | None = None,
    ) -> None:
        probability = arguments.dropout(dropout)
        arguments.warn_idle_dropout(dropout, probability, num_layers)
        bias = arguments.boolean(bias, "bias")
        batch_first = arguments.boolean(batch_first, "batch_first")
        config = arguments.lstm_sizes(
            input_size, hidden_size, num_layers, bias, bidirectional, proj_size
        )
        self._configure(config, arguments.float_dtype(dtype))
        self.batch_first = batch_first
        self.dropout = probability
        self.generator = None
        self.precision = precision
        self.reset_parameters()

    @overload
    def __call__(
        self,
        x: PackedSequence,
        hx: Hidden | None = None,
        *,
        lengths: None = None,
        resets: Resets | None = None,
    ) -> tuple[PackedSequence, State]: ...
    @overload
    def __call__(
        self,
        x: SupportsArray,
        hx: Hidden | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: Resets | None = None,
    ) -> tuple[FloatArray, State]: ...
    @overload
    def __call__(
        self,
        x: SupportsArray | PackedSequence,
        hx: Hidden | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: Resets | None = None,
        return_layers: bool = ...,
        return_cells: bool = ...,
    ) -> tuple[Any, ...]: ...
    def __call__(
        self,
        x: SupportsArray | PackedSequence,
        hx: Hidden | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: Resets | None = None,
        return_layers: bool = False,
        return_cells: bool = False,
    ) -> tuple[Any, ...]:
        """Run the network over sequences.

        Parameters
        ----------
        x : ndarray or PackedSequence
            (T, N, I), or (N, T, I) with `batch_first`; (T, I) for one sequence; of the network's
            dtype. Anything with ``__array__``, the buffer protocol or ``__dlpack__`` on CPU.
        hx : (h_0, c_0), optional
            Initial states (L*D, N, P) and (L*D, N, H), without N for one sequence; zeros by
            default. Never changed.
        lengths : array_like of int, shape (N,), optional
            The length of each row of a padded `x`, in any order, 0..T. Frames past it are not read
            and are zero in the output; the states are those after each row's own last step.
        resets : array_like of bool, shape (T, N), optional
            True where a row begins anew: before step t its state is zero, of `hx` too, and the
            reverse direction, which comes from behind, has a state of zeros where it enters an
            episode. So episodes in one row are computed, to the bit, as if each were called alone.
            (N, T) with `batch_first`, (T,) for one sequence; for packed input a PackedSequence
            packed alike, or its data. Where `lengths` ends a row it is not read.
        return_layers : bool
            Return every layer's output too, before dropout.
        return_cells : bool
            Return c of every step too.

        Returns
        -------
        output : ndarray or PackedSequence
            (T, N, D*P) like `x`: h of the last layer at every step, the forward direction's
            features first.
        (h_n, c_n) : tuple of ndarray
            The states after the last step, shaped as `hx`: layer by layer, each forward, reverse.
        layers : ndarray
            With `return_layers`: (L, T, N, D*P), or (L, N, T, D*P); (L, F, D*P) for packed input of
            F frames. The output is then a view of the last.
        cells : ndarray
            With `return_cells`: (T, N, D*H) like the output, of the last layer; with
            `return_layers` (L, T, N, D*H), of every layer. (F, D*H) for packed input.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            An argument of a wrong type, dtype or shape; classes and texts as torch's.
        """
        weights = self._packed
        plain = lengths is None and resets is None
        if weights is not None and plain and return_layers is False and return_cells is False:
            result = functional.infer(weights, x, hx, self._batch_first, self._precision_number)
            if result is not None:
                return result
        array, state, layout = self._checked(x, hx, lengths, resets)
        weights = self._weights()  # of now: converting x may run anything
        inner = self._inner(array, layout, return_layers, return_cells)
        output, state = functional.forward(
            weights, self._config, array, state, layout, *self._masking(), inner
        )
        shaped = x._replace(data=output) if isinstance(x, PackedSequence) else output
        return (shaped, state) if inner is functional.NOTHING else (shaped, state, *inner.given())

    @overload
    def record(
        self,
        x: PackedSequence,
        hx: Hidden | None = None,
        *,
        lengths: None = None,
        resets: Resets | None = None,
        checkpoint: int | None = None,
    ) -> tuple[PackedSequence, State, Tape]: ...
    @overload
    def record(
        self,
        x: SupportsArray,
        hx: Hidden | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: Resets | None = None,
        checkpoint: int | None = None,
    ) -> tuple[FloatArray, State, Tape]: ...
    @overload
    def record(
        self,
        x: SupportsArray | PackedSequence,
        hx: Hidden | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: Resets | None = None,
        return_layers: bool = ...,
        return_cells: bool = ...,
        checkpoint: int | None = None,
    ) -> tuple[Any, ...]: ...
    def record(
        self,
        x: SupportsArray | PackedSequence,
        hx: Hidden | None = None,
        *,
        lengths: ArrayLike | None = None,
        resets: Resets | None = None,
        return_layers: bool = False,
        return_cells: bool = False,
        checkpoint: int | None = None,
    ) -> tuple[Any, ...]:
        """Run the network and keep what :meth:`backward` needs.

        The bits of the results are those of a call at the highest precision. Outputs are read-only,
        and `x` must stay unchanged until the backward pass: the tape refers to them.

        Parameters
        ----------
        x, hx, lengths, resets, return_layers, return_cells
            As in a call.
        checkpoint : int, optional
            Keep the state of the cells only every so many steps (and 256 frames), and let the
            backward pass compute what lies between again, one segment after another (gradient
            checkpointing, Chen et al. 2016). Of the 5*F*H floats that are else kept for a layer and
            direction about one in ``5 * checkpoint`` remains, and the outputs of inner layers as
            they are; the gradients have the same bits.

        Returns
        -------
        output, (h_n, c_n), ..., tape
            As a call returns, with layers and cells where asked for, and last a :class:`Tape` for
            one backward pass. Any number of tapes may be alive.

        Raises
        ------
        TypeError, ValueError, RuntimeError
            As a call does; or `checkpoint` is not a positive int; or the network is quantized and
            in evaluation mode.
        """
        every = arguments.checkpoint(checkpoint)
        array, state, layout = self._checked(x, hx, lengths, resets)
        weights = self._recorded_weights()
        packed = x if isinstance(x, PackedSequence) else None
        inner = self._inner(array, layout, return_layers, return_cells)
        given = None if packed is None else packed[1:]
        output, state, tape = functional.record(
            weights, self._config, array, state, layout, *self._masking(), self._identity,
            given, every, inner,
        )  # fmt: skip
        shaped = output if packed is None else packed._replace(data=output)
        return (shaped, state, *inner.given(), tape)

    def backward(
        self,
        tape: Tape,
        grad_output: SupportsArray | PackedSequence | None = None,
        grad_state: tuple[SupportsArray | None, SupportsArray | None] | None = None,
        *,
        grad_layers: SupportsArray | None = None,
        grad_cells: SupportsArray | None = None,
        into: FloatArray | None = None,
    ) -> Gradients:
        """Differentiate a recorded call.

        Parameters
        ----------
        tape : Tape
            From this network's :meth:`record`; used up by this call, also by one that is given up.
        grad_output : ndarray or PackedSequence, optional
            Gradient of the output, in its shape; for packed input a PackedSequence packed alike,
            or its data. None is zero. Pad frames of it are not read.
        grad_state : (grad_h_n, grad_c_n), optional
            Gradients of the final states, each of which may be None.
        grad_layers, grad_cells : ndarray, optional
            Gradients of the layers and cells the call returned, in their shapes. The output counts
            by itself too: the last of `grad_layers` is added to `grad_output`.
        into : ndarray, optional
            A buffer like ``flat_parameters`` that the parameters' gradients are added to. After a
            call that Ctrl-C ended it holds parts of sums.

        Returns
        -------
        Gradients
            ``input``, ``h_0``, ``c_0``, and ``parameters``: a new 1-D array, or `into`.

        Raises
        ------
        ValueError
            Another network's tape, a wrong dtype, an unsuitable `into`, or a gradient of what the
            call did not return.
        RuntimeError
            A tape already used, or a gradient of a wrong shape.
        TypeError
            An argument of a wrong type.
        """
        gradients.recorded_by(tape, self._identity, Tape, "LSTM")
        packing = tape._packing
        if packing is not None and isinstance(grad_output, PackedSequence):
            calls.same_packing(grad_output, packing, "grad_output")
            grad_output = grad_output.data
        dy = gradients.gradient(grad_output, tape._output_shape, self._dtype, "grad_output")
        dh, dc = gradients.state_gradient(grad_state, tape._states, self._dtype)
        inner = gradients.inner(grad_layers, grad_cells, tape._inner_shapes, self._dtype)
        flat = self._accumulator(into)
        dx, dh, dc = functional.backward(tape, dy, dh, dc, flat, into is not None, *inner)
        d_input = dx if packing is None else PackedSequence._make((dx, *packing))
        return Gradients(d_input, dh, dc, flat)

    def stream(self, batch_size: int = 1) -> Stream:
        """Make a stream: this network, fed one frame at a time.

        Parameters
        ----------
        batch_size : int
            How many streams are to step together.

        Returns
        -------
        Stream
            With a state of zeros, and the weights of now.

        Raises
        ------
        TypeError, ValueError
            `batch_size` is not a positive int; or the network is bidirectional.
        RuntimeError
            The network is in training mode.
        """
        rows = streams.batch_size(batch_size)
        streams.source(self._config, self._training)
        weights = self._weights()
        assert weights is not None  # an LSTM has units
        return Stream(weights, self._config, self._dtype, rows)

    def _inner(self, array: FloatArray, layout: Layout, layers: object, cells: object) -> Inner:
        if layers is False and cells is False:
            return functional.NOTHING
        asked = arguments.inner_results(layers, cells)
        return functional.inner_results(self._config, array, layout, *asked)

    def _checked(
        self, x: object, hx: object, lengths: ArrayLike | None, resets: Resets | None
    ) -> tuple[FloatArray, State | None, Layout]:
        if isinstance(x, PackedSequence):
            calls.no_lengths(lengths)
            array, state, ragged = calls.packed(x, hx, self._config, self._dtype)
            layout = Layout(False, None, *ragged)
            if isinstance(resets, PackedSequence):
                calls.same_packing(resets, x[1:], "resets")
                resets = resets.data
        else:
            array, state = calls.sequence(x, hx, self._config, self._dtype, self._batch_first)
            layout = self._layout
            if lengths is not None:
                rows = calls.lengths(lengths, array, self._batch_first)
                layout = Layout(self._batch_first, rows)
        if resets is not None:
            layout = layout._replace(resets=calls.resets(resets, array.shape[:-1]))
        return array, state, layout

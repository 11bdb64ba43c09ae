"""lstm_native inside the ``autograd`` package: :func:`lstm`, a primitive.

Owns how a call is seen by autograd: its boxes, its containers, its vector-Jacobian product. Must
not know how a call is computed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from autograd.core import defvjp_argnums
from autograd.extend import primitive
from autograd.tracer import getval, isbox

from lstm_native import functional, parameters
from lstm_native._checks import arguments, calls
from lstm_native._checks.arrays import FLOATS, readable
from lstm_native._checks.state import mapping
from lstm_native.functional import Layout, Tape
from lstm_native.parameters import Config, FloatArray

Results: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]


def lstm(
    params: Mapping[str, Any], x: Any, hx: Any = None, lengths: Any = None
) -> tuple[Any, tuple[Any, Any]]:
    """Run an LSTM whose every argument autograd can differentiate.

    Parameters
    ----------
    params : dict of str to ndarray
        A state dict: ``weight_ih_l0``, ``weight_hh_l0``, ``bias_ih_l0`` and their siblings, from
        which all sizes are read, all float32 or all float64. Other keys are ignored, so a head's
        parameters may stand in the same dict.
    x : ndarray
        (T, N, I), or (T, I) for one sequence; of the parameters' dtype.
    hx : (h_0, c_0), optional
        Initial states (L*D, N, P) and (L*D, N, H), without N for one sequence; zeros by default.
    lengths : array_like of int, shape (N,), optional
        The length of each row of a padded `x`, 0..T. Frames past it are not read and are zero in
        the output. Not differentiable.

    Returns
    -------
    output : ndarray
        (T, N, D*P), or (T, D*P).
    (h_n, c_n) : tuple of ndarray
        The states after the last step.

    Raises
    ------
    ValueError
        `params` hold no LSTM, or contradict each other, or their dtypes do.
    TypeError, ValueError, RuntimeError
        Other arguments, as a call of :class:`lstm_native.LSTM`.
    NotImplementedError
        A second derivative, or a forward-mode one.

    Notes
    -----
    Each call packs the parameters for the kernels; what is served unchanged is served faster by
    :class:`lstm_native.LSTM`. A gradient needs one recorded call and one backward pass; each
    further pass over the same call (a Jacobian's rows) records it again. The arrays must not be
    changed in place between the call and its gradient.

    Examples
    --------
    >>> import autograd.numpy as anp
    >>> from autograd import grad
    >>> from lstm_native import LSTM
    >>> from lstm_native.bridges.autograd import lstm
    >>> params = LSTM(3, 4).state_dict()
    >>> x = anp.ones((5, 2, 3), anp.float32)
    >>> gradient = grad(lambda p: anp.sum(lstm(p, x)[0] ** 2))(params)
    >>> gradient["weight_ih_l0"].shape
    (16, 3)
    """
    mapping(getval(params))
    config = parameters.config_from_state_dict(params)
    arguments.lstm_sizes(
        config.input_size,
        config.hidden_size,
        config.num_layers,
        config.bias,
        config.bidirectional,
        config.proj_size,
    )
    weights = [params[name] for name in parameters.shapes(config)]
    if hx is not None and not (isinstance(getval(hx), tuple | list) and len(hx) == 2):
        raise TypeError(f"hx should be a tuple (h_0, c_0) of ndarrays, got {type(hx).__name__}")
    h_0, c_0 = (None, None) if hx is None else hx
    traced = any(isbox(value) for value in (x, h_0, c_0, *weights))
    output, h_n, c_n = _network(_Call(config, lengths, traced), x, h_0, c_0, *weights)
    return output, (h_n, c_n)


class _Call:
    """One call of the primitive: its options, and the tape between forward and backward."""

    def __init__(self, config: Config, lengths: Any, traced: bool) -> None:
        self._config = config
        self._lengths = lengths
        self._traced = traced
        self._tape: Tape | None = None

    def forward(self, x: Any, h_0: Any, c_0: Any, weights: Sequence[Any]) -> Results:
        flat = _flat(weights)
        hx = None if h_0 is None and c_0 is None else (h_0, c_0)
        array, state = calls.sequence(x, hx, self._config, flat.dtype, False)
        rows = None if self._lengths is None else calls.lengths(self._lengths, array, False)
        call = functional.pack(flat, self._config), self._config, array, state, Layout(False, rows)
        if not self._traced:
            output, (h_n, c_n) = functional.forward(*call, 0.0, None)
            return output, h_n, c_n
        output, (h_n, c_n), self._tape = functional.record(*call, 0.0, None, None)
        return output, h_n, c_n

    def backward(self, gradient: Results, args: tuple[Any, ...]) -> list[FloatArray]:
        """Gradients of x, h_0, c_0 and each weight; `args` are those the primitive had."""
        x, h_0, c_0, *weights = args
        if self._tape is None:
            self.forward(x, h_0, c_0, weights)
        tape, self._tape = self._tape, None
        assert tape is not None  # a primitive without boxes has no gradient
        flat = np.empty(sum(weight.size for weight in weights), tape._dtype)
        dy, dh, dc = (readable(np.asarray(g, flat.dtype), flat.dtype) for g in gradient)
        dx, dh, dc = functional.backward(tape, dy, dh, dc, flat, False)
        return [dx, dh, dc, *parameters.views(flat, self._config).values()]


def _flat(weights: Sequence[Any]) -> FloatArray:
    arrays = [np.asarray(weight) for weight in weights]
    dtypes = {array.dtype for array in arrays}
    if len(dtypes) > 1 or arrays[0].dtype not in FLOATS:
        found = ", ".join(sorted(str(dtype) for dtype in dtypes))
        raise ValueError(f"params should be all float32 or all float64, got: {found}")
    return np.concatenate([array.ravel() for array in arrays])


@primitive  # type: ignore[untyped-decorator]
def _network(call: _Call, x: Any, h_0: Any, c_0: Any, *weights: Any) -> Results:
    return call.forward(x, h_0, c_0, weights)


@primitive  # type: ignore[untyped-decorator]
def _pullback(gradient: Results, call: _Call, *args: Any) -> tuple[FloatArray, ...]:
    # A primitive, so that a second derivative reaches the refusal below and not the kernels.
    return tuple(call.backward(gradient, args))


def _vjp(argnums: tuple[int, ...], answer: Any, args: tuple[Any, ...], kwargs: Any) -> Any:
    call, *values = args

    def pull(gradient: Any) -> list[Any]:
        gradients = _pullback(gradient, call, *values)
        return [gradients[argnum - 1] for argnum in argnums]

    return pull


def _refuse(*_: Any, **__: Any) -> Any:
    raise NotImplementedError("lstm has no second derivative: it can be differentiated once")


defvjp_argnums(_network, _vjp)
defvjp_argnums(_pullback, _refuse)

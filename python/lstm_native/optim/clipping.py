"""The norm of gradients, and its limit.

Owns `clip_grad_norm_` and how a norm is summed. Must not know optimizers.
"""

import math

import numpy as np

from lstm_native.optim.arrays import BLOCK, Array, Gradients, check_float, listed


def clip_grad_norm_(
    gradients: Gradients,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale gradients in place so that their norm, taken over all of them, is at most `max_norm`.

    Parameters
    ----------
    gradients : ndarray or iterable of (ndarray or None)
        float32 or float64.
    max_norm : float
        At least 0; infinity only measures.
    norm_type : float
        p of the p-norm, above 0; infinity for the largest magnitude.
    error_if_nonfinite : bool
        Raise when the norm is infinite or NaN; else the gradients become NaN or 0, as in torch.

    Returns
    -------
    float
        The norm before scaling, summed up in float64.

    Raises
    ------
    ValueError, TypeError
        An argument is out of its range, or an array is read-only or not of floats.
    RuntimeError
        The norm is not finite and ``error_if_nonfinite`` is true. Nothing has changed then.

    Examples
    --------
    >>> gradient = np.array([3.0, 4.0])
    >>> clip_grad_norm_(gradient, 1.0)
    5.0
    >>> np.round(gradient, 6)
    array([0.6, 0.8])
    """
    arrays = [array for array in listed(gradients, "gradients") if array is not None]
    for index, array in enumerate(arrays):
        check_float(array, f"gradients[{index}]")
        if not array.flags.writeable:
            raise ValueError(f"gradients[{index}] is read-only")
    try:
        limit, p = float(max_norm), float(norm_type)
    except OverflowError:
        raise ValueError("Invalid max_norm or norm_type: an int beyond every float") from None
    if not limit >= 0:
        raise ValueError(f"Invalid max_norm: {max_norm}")
    if not p > 0:
        raise ValueError(f"Invalid norm_type: {norm_type}")
    with np.errstate(all="ignore"):
        total = _norm(np.array([_norm(array, p) for array in arrays]), p)
        if error_if_nonfinite and not math.isfinite(total):
            raise RuntimeError(
                f"The total norm of order {p} for gradients is non-finite, so it cannot be "
                "clipped. To disable this error and scale the gradients by the non-finite norm "
                "anyway, set `error_if_nonfinite=False`"
            )
        factor = limit / (total + 1e-6)
        if limit < math.inf and not factor >= 1:  # NaN is not either, and spreads as in torch
            for array in arrays:
                np.multiply(array, factor, out=array)
    return total


def _norm(array: Array, p: float) -> float:
    """The p-norm of all elements, in float64, right also where a power of one would overflow."""
    norm = _scaled_norm(array, p, 1.0)
    if 1e-100 < norm < math.inf or math.isinf(p):
        return norm
    largest = _scaled_norm(array, math.inf, 1.0)
    if not 0 < largest < math.inf:
        return largest
    return largest * _scaled_norm(array, p, largest)


def _scaled_norm(array: Array, p: float, scale: float) -> float:
    """The p-norm of array / scale."""
    parts = []
    with np.nditer(
        array,
        ["external_loop", "buffered", "zerosize_ok"],
        op_dtypes=[np.float64],
        buffersize=BLOCK,
    ) as walk:
        for block in walk:
            sizes = np.abs(block) / scale
            parts.append(np.max(sizes, initial=0.0) if math.isinf(p) else np.sum(sizes**p))
    if math.isinf(p):
        return float(np.max(parts, initial=0.0))
    return float(np.sum(parts) ** (1 / p))

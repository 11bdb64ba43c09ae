"""The least time a row can take on the machine that was measured: its roofline.

Owns the model; takes the machine's peaks as `peaks` measured them, and knows no times of any side.

A row takes no less than its arithmetic and no less than its reading of weights, whichever is more.

- *Arithmetic*: the multiplications and additions of the matrix products (`Shape.flops`), at the
  peak of the fused multiply-add. Activations, biases and the call itself count as nothing, which is
  why tiny rows stay far below this limit.
- *Reading*: the recurrent weights (W_hh, and W_hr of a projection) of each layer and direction once
  a step, whatever the number of batch rows, since step t needs all of h_{t-1}; the input weights
  once a pass, since the inputs of many steps can be taken together. Training reads all of it twice:
  backward needs the same weights. Inputs, outputs, states, the tape and the weight gradients count
  as nothing.
- *From where*: the threads share the weights evenly, each reading its own share over and over. What
  fits the nearest level is read from there, what is left from the next one, and so on; the best
  order of walking comes near to that. A program that gives each thread batch rows instead makes
  every core read all weights, and so can only be slower.
"""

from typing import Any

from bench.shapes import Mode, Shape

BYTES = {"float32": 4, "float64": 8}


def weight_bytes(shape: Shape, mode: Mode) -> float:
    """Count the bytes of weights that a row reads, by the rules above."""
    recurrent, inputs = _weights(shape)
    return _passes(mode) * (shape.T * shape.L * shape.D * recurrent + inputs)


def limit(shape: Shape, mode: Mode, peaks: dict[str, Any], threads: int) -> dict[str, Any]:
    """Work out the least time of a row.

    Parameters
    ----------
    shape : Shape
        The row.
    mode : {'forward', 'train'}
        What is timed.
    peaks : dict
        See `bench.peaks.measure`.
    threads : int
        With how many threads; the peaks must have been measured with as many.

    Returns
    -------
    dict
        Ready for JSON: ``threads``, ``bytes`` of weights, ``arithmetic`` and ``reading`` in seconds
        and the larger of them, ``seconds``.
    """
    levels = peaks["levels"][str(threads)]
    recurrent, inputs = _weights(shape)
    steps = shape.T * shape.L * shape.D
    arithmetic = shape.flops(mode) / (peaks["gflops"][shape.dtype][str(threads)] * 1e9)
    one_pass = steps * _reading(recurrent, levels, threads) + _reading(inputs, levels, threads)
    reading = _passes(mode) * one_pass
    return {
        "threads": threads,
        "bytes": weight_bytes(shape, mode),
        "arithmetic": arithmetic,
        "reading": reading,
        "seconds": max(arithmetic, reading),
    }


def _weights(shape: Shape) -> tuple[float, float]:
    """Bytes of one layer's and direction's recurrent weights, and of all input weights."""
    size = BYTES[shape.dtype]
    recurrent = 4 * shape.H * shape.outputs + shape.P * shape.H
    inputs = sum(4 * shape.H * features for features in shape.inputs) * shape.D
    return float(size * recurrent), float(size * inputs)


def _passes(mode: Mode) -> int:
    return 2 if mode == "train" else 1


def _reading(total: float, levels: list[dict[str, Any]], threads: int) -> float:
    """Seconds for all threads to read their shares of so many bytes once."""
    left, seconds = total / threads, 0.0
    for level in levels:
        part = left if level["bytes"] is None else min(left, level["bytes"])
        seconds += part * threads / (level["gbytes"] * 1e9)
        left -= part
    return seconds

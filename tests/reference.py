"""A slow LSTM in NumPy, forward and backward, written from the equations.

Owns the truth the package is tested against, and is documentation of it. Must not import the
package, torch, or anything but NumPy: a mistake shared by both sides would be invisible.

One step of one direction, for the rows that are still alive at that step::

    z = W_ih x + b_ih + W_hh h' + b_hh       (h', c': the state before the step)
    i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o);   g = tanh(z_g)
    c = f c' + i g
    m = o tanh(c)
    h = W_hr m  with a projection, else  m

A direction is a scan over the steps, ascending or descending; a layer joins its directions'
outputs on the last axis; a stack feeds each layer the one below, times a dropout mask. A reset
at (t, n) cuts row n in two before step t: a scan that crosses the cut, either way, begins anew
there with a state of zeros.
Shapes: x (T, N, I), h (L*D, N, P), c (L*D, N, H), y (T, N, D*P), gates in the order i, f, g, o.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]


def bfloat16(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The nearest values of eight significant bits, of two the one whose last bit is zero."""
    bits = values.view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return rounded.astype(np.uint32).view(np.float32)


class Gradients(NamedTuple):
    """What ``backward`` returns: the loss differentiated by each argument of ``forward``."""

    input: Array  # (T, N, I)
    h_0: Array  # (L*D, N, P)
    c_0: Array  # (L*D, N, H)
    parameters: dict[str, Array]  # the names and shapes of the parameters given


@dataclass
class Step:
    """One step of one direction, as backward needs it; every array holds the live rows only."""

    t: int
    rows: Array  # indices of the live rows
    x: Array
    h_before: Array
    c_before: Array
    anew: Array  # bool: the rows whose state before the step was set to zero
    gates: tuple[Array, Array, Array, Array]  # i, f, g, o after their activations
    c: Array
    tanh_c: Array


@dataclass
class Run:
    """A forward pass: its results, and what its backward needs."""

    output: Array  # (T, N, D*P), zero where a row has ended
    h_n: Array
    c_n: Array
    parameters: dict[str, Array]
    masks: Sequence[Array] | None
    input_shape: tuple[int, ...]
    scans: list[list[Step]]  # [layer*D + direction][step in the order it was taken]
    layers: Array  # (L, T, N, D*P), the output of every layer, before its mask
    cells: Array  # (L, T, N, D*H), c after every step, zero where a row has ended


def layers_and_directions(parameters: Mapping[str, Array]) -> tuple[int, int]:
    """Read L and D off the names of a ``state_dict``."""
    layers = sum(name.startswith("weight_ih") and "_reverse" not in name for name in parameters)
    return layers, 2 if "weight_ih_l0_reverse" in parameters else 1


def forward(
    parameters: Mapping[str, Array],
    x: Array,
    h_0: Array | None = None,
    c_0: Array | None = None,
    lengths: Array | None = None,
    masks: Sequence[Array] | None = None,
    dtype: DTypeLike = np.float64,
    resets: Array | None = None,
) -> Run:
    """Run the stack; ``masks`` are L-1 arrays (T, N, D*P) that multiply each lower layer's output.

    Row n lives for the first ``lengths[n]`` steps (all T when absent, zero allowed): after them
    its output is zero and its state is kept. An absent state is zeros. ``resets`` is bool (T, N).
    """
    weights = {name: np.asarray(value, dtype) for name, value in parameters.items()}
    layers, directions = layers_and_directions(weights)
    steps, batch = x.shape[:2]
    hidden = weights["weight_hh_l0"].shape[0] // 4
    features = weights["weight_hh_l0"].shape[1]
    lengths = np.full(batch, steps) if lengths is None else np.asarray(lengths)
    resets = np.zeros((steps, batch), bool) if resets is None else resets
    h_n = np.zeros((layers * directions, batch, features), dtype)
    c_n = np.zeros((layers * directions, batch, hidden), dtype)
    if h_0 is not None:
        h_n[...] = h_0
    if c_0 is not None:
        c_n[...] = c_0

    scans, outputs = [], []
    cells = np.zeros((layers, steps, batch, directions * hidden), dtype)
    y = np.asarray(x, dtype)
    for layer in range(layers):
        below = y if layer == 0 or masks is None else y * masks[layer - 1]
        y = np.zeros((steps, batch, directions * features), dtype)
        for direction in range(directions):
            k = layer * directions + direction
            own = y[:, :, direction * features : (direction + 1) * features]
            suffix = f"_l{layer}" + ("_reverse" if direction else "")
            scans.append(scan(weights, suffix, below, lengths, resets, h_n[k], c_n[k], own))
            for step in scans[-1]:
                columns = slice(direction * hidden, (direction + 1) * hidden)
                cells[layer, step.t, step.rows, columns] = step.c
        outputs.append(y)
    return Run(y, h_n, c_n, weights, masks, x.shape, scans, np.array(outputs), cells)


def scan(
    weights: Mapping[str, Array],
    suffix: str,
    x: Array,
    lengths: Array,
    resets: Array,
    h: Array,
    c: Array,
    y: Array,
) -> list[Step]:
    """One direction of one layer: writes ``y``, and ``h`` and ``c`` in place, step by step."""
    w_ih, w_hh = weights["weight_ih" + suffix], weights["weight_hh" + suffix]
    b_ih, b_hh = weights.get("bias_ih" + suffix, 0.0), weights.get("bias_hh" + suffix, 0.0)
    w_hr = weights.get("weight_hr" + suffix)
    trace = []
    times = range(len(x))
    reverse = suffix.endswith("_reverse")
    for t in reversed(times) if reverse else times:
        rows = np.flatnonzero(lengths > t)
        if not reverse:
            anew = resets[t, rows]
        elif t + 1 < len(x):
            anew = resets[t + 1, rows] & (lengths[rows] > t + 1)
        else:
            anew = np.zeros(len(rows), bool)
        h[rows[anew]] = c[rows[anew]] = 0
        h_before, c_before = h[rows], c[rows]
        z = x[t, rows] @ w_ih.T + b_ih + h_before @ w_hh.T + b_hh
        z_i, z_f, z_g, z_o = np.split(z, 4, axis=-1)
        i, f, g, o = sigmoid(z_i), sigmoid(z_f), np.tanh(z_g), sigmoid(z_o)
        c[rows] = f * c_before + i * g
        tanh_c = np.tanh(c[rows])
        m = o * tanh_c
        h[rows] = m if w_hr is None else m @ w_hr.T
        y[t, rows] = h[rows]
        gates = (i, f, g, o)
        trace.append(Step(t, rows, x[t, rows], h_before, c_before, anew, gates, c[rows], tanh_c))
    return trace


def backward(
    run: Run,
    d_output: Array | None = None,
    d_h_n: Array | None = None,
    d_c_n: Array | None = None,
    d_layers: Array | None = None,
    d_cells: Array | None = None,
) -> Gradients:
    """Differentiate the sum of d_output * output, d_h_n * h_n, ... d_cells * cells."""
    layers, directions = layers_and_directions(run.parameters)
    features = run.h_n.shape[2]
    hidden = run.c_n.shape[2]
    dh, dc = np.zeros_like(run.h_n), np.zeros_like(run.c_n)
    dy, d_inner = np.zeros_like(run.output), np.zeros_like(run.layers)
    dc_steps = np.zeros_like(run.cells)
    totals = (dy, dh, dc, d_inner, dc_steps)
    for total, given in zip(totals, (d_output, d_h_n, d_c_n, d_layers, d_cells), strict=True):
        if given is not None:
            total[...] = given
    grads = {name: np.zeros_like(value) for name, value in run.parameters.items()}

    for layer in reversed(range(layers)):
        dy += d_inner[layer]
        width = run.parameters[f"weight_ih_l{layer}"].shape[1]
        dx = np.zeros((*run.input_shape[:2], width), dy.dtype)
        for direction in range(directions):
            k = layer * directions + direction
            own = dy[:, :, direction * features : (direction + 1) * features]
            own_c = dc_steps[layer, :, :, direction * hidden : (direction + 1) * hidden]
            suffix = f"_l{layer}" + ("_reverse" if direction else "")
            scan_backward(run.parameters, suffix, run.scans[k], own, own_c, dh[k], dc[k], dx, grads)
        dy = dx if layer == 0 or run.masks is None else dx * run.masks[layer - 1]
    return Gradients(dy, dh, dc, grads)


def scan_backward(
    weights: Mapping[str, Array],
    suffix: str,
    trace: list[Step],
    dy: Array,
    d_c: Array,
    dh: Array,
    dc: Array,
    dx: Array,
    grads: dict[str, Array],
) -> None:
    """``scan``, transposed: updates ``dh`` and ``dc`` in place, adds to ``dx`` and ``grads``."""
    w_ih, w_hh = weights["weight_ih" + suffix], weights["weight_hh" + suffix]
    w_hr = weights.get("weight_hr" + suffix)
    for step in reversed(trace):
        rows, (i, f, g, o) = step.rows, step.gates
        dh_now = dh[rows] + dy[step.t, rows]
        if w_hr is None:
            dm = dh_now
        else:
            grads["weight_hr" + suffix] += dh_now.T @ (o * step.tanh_c)
            dm = dh_now @ w_hr
        dc_now = dc[rows] + d_c[step.t, rows] + dm * o * (1 - step.tanh_c**2)
        dz_i = dc_now * g * i * (1 - i)
        dz_f = dc_now * step.c_before * f * (1 - f)
        dz_g = dc_now * i * (1 - g**2)
        dz_o = dm * step.tanh_c * o * (1 - o)
        dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=-1)
        grads["weight_ih" + suffix] += dz.T @ step.x
        grads["weight_hh" + suffix] += dz.T @ step.h_before
        for bias in ("bias_ih" + suffix, "bias_hh" + suffix):
            if bias in grads:
                grads[bias] += dz.sum(axis=0)
        dx[step.t, rows] += dz @ w_ih
        dh[rows] = dz @ w_hh
        dc[rows] = dc_now * f
        dh[rows[step.anew]] = dc[rows[step.anew]] = 0


def sigmoid(z: Array) -> Array:
    """1 / (1 + exp(-z)), without overflow for either sign."""
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1.0, small) / (1.0 + small)


def draw_masks(
    seed: int, p: float, boundaries: int, lengths: Array, features: int, dtype: DTypeLike
) -> list[Array]:
    """Draw the masks torch's generator gives after ``manual_seed(seed)``, as (T, N, features).

    Each element costs two 32-bit draws, high word first, and is kept where their low 53 bits as
    a fraction are below 1 - p; kept elements hold 1 / (1 - p). Elements are drawn in the order of
    packed frames: time-major, rows by falling length, one mask per boundary after the other.
    """
    mask_shape = (boundaries, int(lengths.max(initial=0)), len(lengths), features)
    masks = np.zeros(mask_shape, dtype)
    if p == 1:
        return list(masks)
    engine = np.random.MT19937()
    engine._legacy_seeding(seed & 0xFFFFFFFF)
    order = np.argsort(-lengths, kind="stable")
    scale = np.ones((), dtype) / np.asarray(1 - p, dtype)
    for mask in masks:
        for t in range(len(mask)):
            rows = order[lengths[order] > t]
            words = engine.random_raw(2 * len(rows) * features).reshape(len(rows), features, 2)
            u = ((words[..., 0] << 32 | words[..., 1]) & (2**53 - 1)) * 2.0**-53
            mask[t, rows] = np.where(u < 1 - p, scale, 0)
    return list(masks)


def draw_uniform(seed: int, count: int, bound: float, dtype: DTypeLike) -> Array:
    """Draw what torch's ``uniform_(-bound, bound)`` gives after ``manual_seed(seed)``.

    float32 takes 24 bits of one draw, float64 53 bits of two; the product and sum round once.
    """
    engine = np.random.MT19937()
    engine._legacy_seeding(seed & 0xFFFFFFFF)
    if np.dtype(dtype) == np.float32:
        fraction = (engine.random_raw(count) & (2**24 - 1)) * 2.0**-24
        low, high = np.float32(-bound), np.float32(bound)
        # The product of two float32 is exact in float64, so only the last cast rounds.
        values = (fraction * np.float64(high - low) + np.float64(low)).astype(np.float32)
        return np.where(values == high, low, values)
    words = engine.random_raw(2 * count).reshape(count, 2)
    fraction = ((words[:, 0] << 32 | words[:, 1]) & (2**53 - 1)) * 2.0**-53
    exact = [Fraction(f) * Fraction(2 * bound) - Fraction(bound) for f in fraction.tolist()]
    values = np.array([float(value) for value in exact])
    return np.where(values == bound, -bound, values)

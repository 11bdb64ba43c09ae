"""Cases, weights, inputs and one way to run them: what several test files need.

Owns the small vocabulary of the numerical tests. Must not hold assertions about a feature (those
stand in the tests), and must not import torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, cast, get_args

import numpy as np
from numpy.typing import NDArray

import lstm_native
from lstm_native.parameters import Precision, Storage

Array = NDArray[Any]
State = tuple[Array, Array]


@dataclass(frozen=True)
class Case:
    """A network and the size of its input; prints as a short id of what is not the default."""

    T: int = 4
    N: int = 3
    I: int = 3  # noqa: E741 - the letter of the project for input features
    H: int = 5
    L: int = 1
    D: int = 1
    proj: int = 0
    bias: bool = True
    batch_first: bool = False
    dropout: float = 0.0
    dtype: str = "float32"

    @property
    def P(self) -> int:
        """Output features of one direction."""
        return self.proj or self.H

    def __str__(self) -> str:
        sizes = f"T{self.T}-N{self.N}-I{self.I}-H{self.H}"
        rest = fields(self)[4:]
        changed = [f for f in rest if getattr(self, f.name) != f.default]
        return "-".join([sizes, *(f"{f.name}={getattr(self, f.name)}" for f in changed)])


class Problem(NamedTuple):
    """Random data of a case, all time-major: an input, a state and one gradient per result."""

    x: Array  # (T, N, I)
    state: State  # (L*D, N, P), (L*D, N, H)
    d_output: Array  # (T, N, D*P)
    d_state: State


class Results(NamedTuple):
    """Everything a recorded run gives, time-major, whatever layout it was run in."""

    output: Array  # (T, N, D*P), zero in pad frames
    h_n: Array
    c_n: Array
    d_input: Array  # (T, N, I), zero in pad frames
    d_h_0: Array
    d_c_0: Array
    d_parameters: Array  # flat, in state_dict order


def network(case: Case, rng: np.random.Generator) -> lstm_native.LSTM:
    """Build a case's network in training mode, its weights such that gates bend but do not shut."""
    lstm = lstm_native.LSTM(
        case.I,
        case.H,
        num_layers=case.L,
        bias=case.bias,
        batch_first=case.batch_first,
        dropout=case.dropout,
        bidirectional=case.D == 2,
        proj_size=case.proj,
        dtype=np.dtype(case.dtype),
    )
    bound = 1.5 / np.sqrt(max(case.H, case.I))
    lstm.flat_parameters[...] = rng.uniform(-bound, bound, lstm.flat_parameters.shape)
    return lstm


def rounded(lstm: lstm_native.LSTM, name: str) -> lstm_native.LSTM:
    """Quantize a network, or set its precision, and enter evaluation mode."""
    if name in get_args(Storage):
        return lstm.eval().quantize(cast(Storage, name))
    lstm.precision = cast(Precision, name)
    return lstm.eval()


def problem(case: Case, rng: np.random.Generator) -> Problem:
    """Draw input, state and gradients of a case."""

    def draw(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(case.dtype)

    h_shape, c_shape = (case.L * case.D, case.N, case.P), (case.L * case.D, case.N, case.H)
    return Problem(
        x=draw(case.T, case.N, case.I),
        state=(draw(*h_shape), draw(*c_shape)),
        d_output=draw(case.T, case.N, case.D * case.P),
        d_state=(draw(*h_shape), draw(*c_shape)),
    )


def ragged_lengths(case: Case, rng: np.random.Generator, shortest: int = 0) -> Array:
    """Draw unsorted lengths, the longest T, and the shortest as given when there is room for it."""
    lengths = rng.integers(shortest, case.T + 1, case.N)
    lengths[rng.integers(case.N)] = case.T
    if case.N > 1:
        lengths[(int(np.argmax(lengths)) + 1) % case.N] = shortest
    return lengths.astype(np.int64)


def run(
    lstm: lstm_native.LSTM,
    x: Array,
    state: State | None = None,
    d_output: Array | None = None,
    d_state: tuple[Array | None, Array | None] | None = None,
    *,
    lengths: Array | None = None,
    packed: bool = False,
    checkpoint: int | None = None,
    resets: Array | None = None,
) -> Results:
    """Record and differentiate time-major data, as the network's own layout or as packed.

    ``lengths`` with ``packed`` packs the sequences first, else it is given to ``record``.
    ``resets`` is (T, N).
    """
    if packed:
        frames = lengths if lengths is not None else np.full(x.shape[1], x.shape[0])
        anew = None if resets is None else pack(resets, frames)
        output, (h_n, c_n), tape = lstm.record(
            pack(x, frames), state, checkpoint=checkpoint, resets=anew
        )
        d_frames = None if d_output is None else pack(d_output, frames)
        grads = lstm.backward(tape, d_frames, d_state)
        output, d_input = unpack(output, len(x)), unpack(grads.input, len(x))
    else:
        anew = None if resets is None else own(lstm, resets)
        output, (h_n, c_n), tape = lstm.record(
            own(lstm, x), state, lengths=lengths, checkpoint=checkpoint, resets=anew
        )
        d_own = None if d_output is None else own(lstm, d_output)
        grads = lstm.backward(tape, d_own, d_state)
        output, d_input = own(lstm, output), own(lstm, grads.input)
    return Results(output, h_n, c_n, d_input, grads.h_0, grads.c_0, grads.parameters)


def own(lstm: lstm_native.LSTM, array: Array) -> Array:
    """Turn time-major into the network's layout, or back: a view."""
    return array.swapaxes(0, 1) if lstm.batch_first else array


def pack(array: Array, lengths: Array) -> lstm_native.PackedSequence:
    """Pack time-major sequences in any order of lengths."""
    return lstm_native.pack_padded_sequence(array, lengths, enforce_sorted=False)


def unpack(packed: lstm_native.PackedSequence, steps: int) -> Array:
    """Turn packed sequences into a time-major array of ``steps`` steps, in the original order."""
    return lstm_native.pad_packed_sequence(packed, total_length=steps)[0]


def named(lstm: lstm_native.LSTM, flat: Array) -> Iterator[tuple[str, Array]]:
    """Cut a flat gradient into the named shapes of the parameters."""
    start = 0
    for name, value in lstm.state_dict().items():
        yield name, flat[start : start + value.size].reshape(value.shape)
        start += value.size
    assert start == flat.size


def bits(array: Array) -> bytes:
    """Return the values as bytes in C order: two arrays are the same bits, or they differ."""
    return np.ascontiguousarray(array).tobytes()


def differing(got: NamedTuple, expected: NamedTuple) -> list[str]:
    """Name the fields whose shape, dtype or bits differ."""
    return [
        f"{name} ({np.count_nonzero(a != b) if a.shape == b.shape else (a.shape, b.shape)})"
        for name, a, b in zip(got._fields, got, expected, strict=True)
        if a.shape != b.shape or a.dtype != b.dtype or bits(a) != bits(b)
    ]

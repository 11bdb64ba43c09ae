"""Small networks, what they answer, and their twins mapped from a file.

Owns what the tests of mapped weights and of pickles share. Must not hold assertions.
"""

from pathlib import Path
from typing import Any

import numpy as np

from lstm_native import LSTM, LSTMCell, save

SIZES = [
    {},
    {"num_layers": 2, "bidirectional": True, "proj_size": 3, "bias": False},
    {"num_layers": 3, "dtype": "float64"},
    {"hidden_size": 70, "batch_first": True},
]


def network(**options: Any) -> LSTM:
    return LSTM(7, options.pop("hidden_size", 13), **options).eval()


def answers(lstm: LSTM) -> list[bytes]:
    x = np.random.default_rng(0).standard_normal((5, 3, 7)).astype(lstm.dtype)
    output, state = lstm(x)
    _, _, tape = lstm.record(x)
    gradients = lstm.backward(tape, np.ones_like(output))
    return [array.tobytes() for array in (output, *state, gradients.input, gradients.parameters)]


def mapped(path: Path, lstm: LSTM | LSTMCell) -> LSTM:
    save(path, lstm, packed=True)
    return LSTM.from_file(path, mmap=True)

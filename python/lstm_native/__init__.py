"""PyTorch's LSTM for NumPy: the same numbers, names, seeds and errors, without PyTorch.

Start with :class:`LSTM`; ``LSTM.from_file`` makes a network of a weight file, :func:`load` reads
one, ``LSTM.record`` and ``LSTM.backward`` with :mod:`lstm_native.optim` train one.

This module only re-exports; it must not define anything but the version.
"""

from lstm_native import optim
from lstm_native._module import Gradients
from lstm_native.cell import LSTMCell
from lstm_native.checkpoints import load, save
from lstm_native.functional import Tape
from lstm_native.inventory import FoundLSTM, find_lstms
from lstm_native.lstm import LSTM
from lstm_native.packing import (
    PackedSequence,
    invert_permutation,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)
from lstm_native.random import Generator, manual_seed
from lstm_native.runtime import (
    float32_matmul_precision,
    get_float32_matmul_precision,
    get_num_threads,
    get_reproducible,
    isa,
    set_float32_matmul_precision,
    set_num_threads,
    set_reproducible,
    show_config,
)
from lstm_native.stream import Stream

__version__ = "0.1.0"

__all__ = [
    "LSTM",
    "FoundLSTM",
    "Generator",
    "Gradients",
    "LSTMCell",
    "PackedSequence",
    "Stream",
    "Tape",
    "__version__",
    "find_lstms",
    "float32_matmul_precision",
    "get_float32_matmul_precision",
    "get_num_threads",
    "get_reproducible",
    "invert_permutation",
    "isa",
    "load",
    "manual_seed",
    "optim",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "save",
    "set_float32_matmul_precision",
    "set_num_threads",
    "set_reproducible",
    "show_config",
    "unpack_sequence",
    "unpad_sequence",
]

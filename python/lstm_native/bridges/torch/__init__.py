"""lstm_native inside PyTorch: a ``torch.nn.LSTM`` that runs on lstm_native's kernels.

:class:`LSTM` is the module, :func:`replace_lstm` and :func:`restore_lstm` change the LSTMs of a
model in place and back. This module only re-exports.
"""

from lstm_native.bridges.torch.module import LSTM
from lstm_native.bridges.torch.replacing import replace_lstm, restore_lstm

__all__ = ["LSTM", "replace_lstm", "restore_lstm"]

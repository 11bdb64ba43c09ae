"""Changing the LSTMs of a whole model, and back.

Owns which modules are changed. Must not know what the change does.
"""

from typing import TypeVar

from torch import nn

from lstm_native.bridges.torch.module import LSTM, become

Model = TypeVar("Model", bound=nn.Module)


def replace_lstm(model: Model) -> Model:
    """Let every ``torch.nn.LSTM`` in `model` run on lstm_native, in place; returns `model`.

    Modules stay the same objects, with the same Parameter objects, hooks, modes and names, so
    optimizers and references to them stay valid. They become
    :class:`lstm_native.bridges.torch.LSTM`, of which see the notes on memory.

    Parameters
    ----------
    model : torch.nn.Module
        May be an LSTM itself. Only modules whose class is exactly ``torch.nn.LSTM`` are changed:
        what a subclass does, or a parametrized LSTM, is not known here.

    Examples
    --------
    >>> import torch
    >>> from lstm_native.bridges.torch import replace_lstm
    >>> replace_lstm(torch.nn.Sequential(torch.nn.LSTM(4, 5)))
    Sequential(
      (0): LSTM(4, 5)
    )
    """
    return _turn(model, nn.LSTM, LSTM)


def restore_lstm(model: Model) -> Model:
    """Undo :func:`replace_lstm`, in place; returns `model`.

    Parameters
    ----------
    model : torch.nn.Module
        Every module whose class is exactly :class:`lstm_native.bridges.torch.LSTM` becomes a
        ``torch.nn.LSTM``, also where it was made as one of ours.
    """
    return _turn(model, LSTM, nn.LSTM)


def _turn(model: Model, source: type[nn.LSTM], target: type[nn.LSTM]) -> Model:
    for module in model.modules():
        if type(module) is source:
            become(module, target)
    return model

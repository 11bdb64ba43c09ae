"""Which calls are not ours: what makes a module hand a call to torch.

Owns the list of reasons and their texts. A call that torch would refuse is an obstacle too: its own
error is the right one. Must not know how a call is run.
"""

from collections.abc import Sequence
from typing import Any, TypeGuard

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import LSTM, Parameter
from torch.nn.utils.rnn import PackedSequence
from torch.utils._python_dispatch import is_in_torch_dispatch_mode

from lstm_native.bridges.torch.memory import DTYPES, Memory


def transforming() -> str | None:
    """What makes tensors stand for something else than numbers in memory, or None."""
    if torch.compiler.is_compiling() or torch._C._is_tracing():
        return "the call is being traced"
    if torch._C._are_functorch_transforms_active():
        return "a transform of torch.func (vmap, grad and others)"
    if is_in_torch_dispatch_mode():
        return "a torch dispatch mode"
    return None


def around() -> str | None:
    """Why no call can be ours at this moment, or None."""
    if (text := transforming()) is not None:
        return text
    if torch.is_autocast_enabled("cpu"):
        return "autocast"
    if forward_ad._current_level >= 0:
        return "forward-mode differentiation"
    return None


def in_arguments(module: LSTM, memory: Memory, given: object, hx: object) -> str | None:
    """Why a call with these arguments must go to torch, or None."""
    packed = isinstance(given, PackedSequence)
    data = given[0] if isinstance(given, PackedSequence) else given
    states: Sequence[object] = ()
    if hx is not None:
        if not isinstance(hx, tuple | list) or len(hx) != 2:
            return "hx is no pair of tensors"
        states = hx
    for value in (data, *states):
        if not _plain(value) or value.dtype is not memory.dtype:
            return _tensor(value, "an argument")
    if packed or _fits(module, memory, data, states):
        return None
    return "shapes that do not belong together"


def in_parameters(weights: Sequence[object]) -> str:
    """Why parameters that ``Memory.flat`` cannot read must go to torch."""
    for weight in weights:
        if not _plain(weight) or weight.dtype not in DTYPES:
            return _tensor(weight, "a parameter")
    return "parameters of several dtypes, or of other shapes than at first"


def _plain(value: object) -> TypeGuard[Tensor]:
    return (
        (type(value) is Tensor or type(value) is Parameter)
        and value.is_cpu
        and value.layout is torch.strided
    )


def _fits(module: LSTM, memory: Memory, x: Any, states: Sequence[Any]) -> bool:
    """torch's checks of shapes, and that there is a step."""
    shape = x.shape
    if len(shape) not in (2, 3) or shape[-1] != memory.config.input_size:
        return False
    time_axis = 1 if len(shape) == 3 and module.batch_first else 0
    if shape[time_axis] == 0:
        return False
    if not states:
        return True
    rows = (memory.config.state_rows, *((shape[1 - time_axis],) if len(shape) == 3 else ()))
    expected = [(*rows, memory.config.output_size), (*rows, memory.config.hidden_size)]
    return [tuple(state.shape) for state in states] == expected


def _tensor(value: object, what: str) -> str:
    if not isinstance(value, Tensor):
        return f"{what} is a {type(value).__name__}"
    if type(value) is not Tensor and type(value) is not Parameter:
        return f"{what} is a {type(value).__name__}"
    if not value.is_cpu or value.layout is not torch.strided:
        return f"{what} is on {value.device}, {value.layout}"
    return f"{what} is of {value.dtype}"

"""The module: ``torch.nn.LSTM`` with another forward.

Owns what a call looks like from outside and where parameters are put. Must not know how a call is
computed or differentiated.
"""

import copy
import warnings
from typing import Any

from torch import nn
from torch.nn.utils.rnn import PackedSequence

from lstm_native._checks import calls
from lstm_native.bridges.torch.function import Call, run
from lstm_native.bridges.torch.memory import DTYPES, Memory, as_array
from lstm_native.bridges.torch.obstacles import around, in_arguments, in_parameters, transforming
from lstm_native.functional import Layout
from lstm_native.parameters import Config, FloatArray


class LSTM(nn.LSTM):
    """``torch.nn.LSTM`` on lstm_native's kernels: a drop-in, forward and backward.

    Arguments, attributes, state dicts, shapes, errors and random numbers are those of
    ``torch.nn.LSTM``, of which this is a subclass. Results agree with it to rounding, and do not
    depend on the number of threads (``lstm_native.set_num_threads``; torch's own count has no
    effect here) nor on the rows beside a row.

    torch itself runs a call, and a warning says so once per module and reason, where lstm_native
    has nothing to offer: other devices; other dtypes than float32 and float64; autocast; forward-
    mode, double and batched differentiation; the transforms of ``torch.func``; tracing, compiling
    and scripting; tensor subclasses.

    Notes
    -----
    Parameters are ordinary Parameters, moved end to end into one piece of memory that the kernels
    read in place. As torch does for CUDA, :meth:`flatten_parameters` does this when a module is
    made, converted or copied. A parameter that is put elsewhere later (``.data = ...``, weight
    tying, parametrizations, shared memory) is copied at each call, and never missed.

    See Also
    --------
    replace_lstm : change the LSTMs of a whole model.

    Examples
    --------
    >>> import torch
    >>> from lstm_native.bridges.torch import LSTM
    >>> lstm = LSTM(10, 20, num_layers=2)
    >>> output, (h_n, c_n) = lstm(torch.randn(5, 3, 10))
    >>> output.sum().backward()
    >>> lstm.weight_ih_l0.grad.shape
    torch.Size([80, 10])
    """

    # On the class, so that an nn.LSTM that becomes one of these has them.
    _memory: Memory | None = None
    _said: frozenset[str] = frozenset()

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Run the network; arguments and results as those of ``torch.nn.LSTM``.

        Raises
        ------
        ValueError, RuntimeError
            As torch; and for a PackedSequence of wrong sizes, which torch accepts and reads wrongly
            (pytorch#195803).
        """
        weights, flat, why = self._admit(input, hx)
        memory = self._memory
        if flat is None or memory is None or why is not None:
            result = super().forward(input, hx)
            self._say(str(why))  # afterwards: what torch refuses, its error explains
            return result

        h_0, c_0 = hx or (None, None)
        dropout = self.dropout if self.training and self.num_layers > 1 else 0.0
        if not isinstance(input, PackedSequence):
            layout = Layout(self.batch_first)
            call = Call(memory, layout, dropout, None, None, None, self._say)
            output, h_n, c_n = run(call, flat, input, h_0, c_0, weights)
            return output, (h_n, c_n)

        data, sizes, order, inverse = input
        state = None if hx is None else (as_array(hx[0]), as_array(hx[1]))
        arrays = tuple([None if field is None else as_array(field) for field in input])
        _, _, ragged = calls.packed(arrays, state, memory.config, DTYPES[memory.dtype])
        call = Call(memory, Layout(False, None, *ragged), dropout, sizes, order, inverse, self._say)
        output, h_n, c_n = run(call, flat, data, h_0, c_0, weights)
        # Not by its constructor, which would check again what was checked above.
        return PackedSequence._make((output, sizes, order, inverse)), (h_n, c_n)

    def flatten_parameters(self) -> None:
        """Put the parameters end to end into one piece of memory, unless they are or cannot be.

        Called by torch when a module is made or converted. The Parameter objects stay; arrays and
        tensors made of them before do not follow.
        """
        super().flatten_parameters()
        weights = self._current()
        first = weights[0] if len(weights) == len(self._flat_weights_names) else None
        if type(first) is not nn.Parameter or transforming() is not None:
            return  # unfinished, or something else stands in its place for a while
        if first.dtype not in DTYPES or not first.is_cpu:
            self._memory = None
            return
        if self._memory is not None and self._memory.holds(weights):
            return
        both = bool(self.bidirectional)
        sizes = self.input_size, self.hidden_size, self.num_layers
        config = Config(*sizes, self.bias, both, self.proj_size)
        memory = Memory(config, first.dtype)
        if memory.movable(weights):
            memory.move(weights)
            self._memory = memory
        elif self._memory is None or self._memory.dtype is not first.dtype:
            self._memory = memory

    def _admit(self, input: object, hx: object) -> tuple[list[Any], FloatArray | None, str | None]:
        """The parameters, the same for our kernels, and why torch must run the call, or None."""
        if (why := around()) is not None:
            return [], None, why
        if self._memory is None:
            self.flatten_parameters()
        weights = self._current()
        flat = None if self._memory is None else self._memory.flat(weights)
        if flat is None or self._memory is None:
            return weights, None, in_parameters(weights)
        return weights, flat, in_arguments(self, self._memory, input, hx)

    def _current(self) -> list[Any]:
        """The parameters as they are now, whatever took their place."""
        names, own = self._flat_weights_names, self._parameters
        if list(own) == names:
            return list(own.values())
        return [own.get(name) if name in own else getattr(self, name, None) for name in names]

    def _say(self, reason: str) -> None:
        if reason not in self._said:
            self._said |= {reason}
            text = f"torch's own LSTM runs in place of lstm_native's: {reason}"
            warnings.warn(text, UserWarning, stacklevel=5)  # who called the module

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.flatten_parameters()

    def __prepare_scriptable__(self) -> nn.LSTM:
        """For ``torch.jit.script``: an nn.LSTM with the same parameters."""
        plain = copy.copy(self)
        become(plain, nn.LSTM)
        return plain


def become(module: nn.LSTM, kind: type[nn.LSTM]) -> None:
    """Turn an nn.LSTM into one of ours or back: the same object, with the same parameters."""
    for name in ("_memory", "_said"):
        module.__dict__.pop(name, None)
    module.__class__ = kind
    module.flatten_parameters()

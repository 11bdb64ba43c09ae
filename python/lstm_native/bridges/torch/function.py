"""One call as a node of torch's graph.

Owns what is saved between forward and backward, and when it is computed anew. Must not know modules
or decide whether a call is ours.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from lstm_native import functional
from lstm_native._checks.arrays import readable
from lstm_native.bridges.torch import masks
from lstm_native.bridges.torch.memory import DTYPES, Memory, as_array
from lstm_native.functional import Engine, Layout, State, Tape
from lstm_native.parameters import FloatArray

Results: TypeAlias = tuple[Tensor, Tensor, Tensor]


class Call(NamedTuple):
    """A call apart from its tensors."""

    memory: Memory
    layout: Layout
    dropout: float  # 0 where no element is dropped
    batch_sizes: Tensor | None  # of a PackedSequence, with its two permutations
    order: Tensor | None
    inverse: Tensor | None
    say: Callable[[str], None]

    @property
    def draws(self) -> bool:
        """Whether dropout needs random numbers."""
        return 0 < self.dropout < 1


def run(
    call: Call, flat: FloatArray, x: Tensor, h_0: Any, c_0: Any, weights: Sequence[Tensor]
) -> Results:
    """Output and final states, differentiable where torch asks for it.

    `flat` holds the values of `weights`; `h_0` and `c_0` may be None.
    """
    if torch.is_grad_enabled() and any(
        t is not None and t.requires_grad for t in (*weights, x, h_0, c_0)
    ):
        return Network.apply(call, flat, x, h_0, c_0, *weights)  # type: ignore[no-untyped-call, no-any-return]
    return infer(call, flat, x, h_0, c_0)


def infer(call: Call, flat: FloatArray, x: Tensor, h_0: Any, c_0: Any) -> Results:
    """Output and final states, with nothing kept; `flat` holds the parameters."""
    packed, array, state = call.memory.packed(flat), as_array(x), _state(h_0, c_0)
    config, layout, dropout = call.memory.config, call.layout, call.dropout
    if packed is not None and layout.batch_sizes is None and not dropout:
        plain = functional.infer(packed, array, state, layout.batch_first, False)
        if plain is not None:
            return _tensors(plain)
    array = readable(array, DTYPES[call.memory.dtype])

    def forward(engine: Engine | None) -> tuple[FloatArray, State]:
        return functional.forward(packed, config, array, state, layout, dropout, engine)

    if call.draws:
        return _tensors(masks.borrowed(forward)[0])
    return _tensors(forward(_idle(call)))


def _tensors(results: tuple[FloatArray, State]) -> Results:
    y, (h, c) = results
    return torch.from_numpy(y), torch.from_numpy(h), torch.from_numpy(c)


class Network(torch.autograd.Function):
    """``output, h_n, c_n = Network.apply(call, flat, x, h_0, c_0, *weights)``.

    `flat` holds the values of `weights`; `h_0` and `c_0` may be None.

    A tape serves one backward pass and reads the output it gave. So where a pass is repeated
    (``retain_graph=True``), or the output was changed in place, the call is recorded again, with
    the same masks. torch itself watches over input, states and weights, which are saved its way.
    Where gradients are to be differentiated or batched, torch computes them.
    """

    @staticmethod
    def forward(
        ctx: Any, call: Call, flat: FloatArray, x: Tensor, h_0: Any, c_0: Any, *weights: Tensor
    ) -> Results:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, h_0, c_0, *weights)
        ctx.call, ctx.random = call, None
        if call.draws:
            (y, (h, c), ctx.tape), ctx.random = masks.borrowed(
                lambda engine: _record(call, flat, x, h_0, c_0, engine)
            )
        else:
            y, (h, c), ctx.tape = _record(call, flat, x, h_0, c_0, _idle(call))
        y.flags.writeable = True  # torch has no read-only tensors; it counts versions
        output = torch.from_numpy(y)
        ctx.watch = output.detach()  # has the same counter
        ctx.version = output._version
        return output, torch.from_numpy(h), torch.from_numpy(c)

    @staticmethod
    def backward(ctx: Any, *given: Tensor | None) -> tuple[Tensor | None, ...]:
        x, h_0, c_0, *weights = ctx.saved_tensors
        call, needed = ctx.call, ctx.needs_input_grad[2:]
        if torch.is_grad_enabled() or _batched(given):
            call.say("double backward, or gradients in batches")
            saved = (x, h_0, c_0, *weights)
            return None, None, *_through_torch(call, saved, needed, given, ctx.random)
        tape, ctx.tape = ctx.tape, None
        if tape is None or ctx.watch._version != ctx.version:
            engine = _idle(call) if ctx.random is None else masks.engine_at(ctx.random)
            values = call.memory.flat(weights)
            if values is None:
                raise RuntimeError("the LSTM's parameters were converted since its forward pass")
            _, _, tape = _record(call, values, x, h_0, c_0, engine)
        ctx.watch = None
        dtype = DTYPES[call.memory.dtype]
        dy, dh, dc = [None if g is None else readable(as_array(g), dtype) for g in given]
        flat = call.memory.empty()
        gradients = functional.backward(tape, dy, dh, dc, flat, False)
        tensors = [
            torch.from_numpy(gradient) if need else None
            for gradient, need in zip(gradients, needed[:3], strict=True)
        ]
        return None, None, *tensors, *call.memory.cut(flat, needed[3:])


def _batched(given: Sequence[Tensor | None]) -> bool:
    # is_grads_batched gives tensors of an older kind than torch.func's.
    return torch._C._are_functorch_transforms_active() or any(
        torch._C._functorch.is_legacy_batchedtensor(g) for g in given if g is not None
    )


def _idle(call: Call) -> Engine | None:
    # Dropout of 1 asks for an engine and draws nothing.
    return functional.generator(0) if call.dropout else None


def _array(call: Call, x: Tensor) -> FloatArray:
    return readable(as_array(x), DTYPES[call.memory.dtype])


def _state(h_0: Tensor | None, c_0: Tensor | None) -> State | None:
    return None if h_0 is None or c_0 is None else (as_array(h_0), as_array(c_0))


def _record(
    call: Call, flat: FloatArray, x: Tensor, h_0: Any, c_0: Any, engine: Any
) -> tuple[FloatArray, State, Tape]:
    packed, config = call.memory.packed_once(flat), call.memory.config
    state = _state(h_0, c_0)
    return functional.record(
        packed, config, _array(call, x), state, call.layout, call.dropout, engine, None
    )


def _through_torch(
    call: Call,
    inputs: Sequence[Tensor | None],
    needed: Sequence[bool],
    given: Sequence[Tensor | None],
    random: bytes | None,
) -> list[Tensor | None]:
    """The gradients by torch's own LSTM, which can be differentiated in turn."""
    create_graph = torch.is_grad_enabled()
    with torch.enable_grad(), torch.random.fork_rng(devices=[], enabled=random is not None):
        if random is not None:
            torch.set_rng_state(masks.as_tensor(random))
        # Aliases, lest a gradient also runs through one input's dependence on another.
        own = [
            t.view_as(t) if t is not None and n else t for t, n in zip(inputs, needed, strict=True)
        ]
        results = _torch_lstm(call, *own)
        pairs = [(r, g) for r, g in zip(results, given, strict=True) if g is not None]
        wanted = [t for t, n in zip(own, needed, strict=True) if n]
        gradients = iter(
            torch.autograd.grad(
                [r for r, _ in pairs],
                [t for t in wanted if t is not None],
                [g for _, g in pairs],
                create_graph=create_graph,
                allow_unused=True,
            )
        )
    return [next(gradients) if n else None for n in needed]


def _torch_lstm(call: Call, x: Any, h_0: Any, c_0: Any, *weights: Any) -> Results:
    config = call.memory.config
    single = call.batch_sizes is None and x.dim() == 2
    if single:
        x = x.unsqueeze(1)
    if h_0 is None:
        if call.batch_sizes is None:
            batch = x.shape[0 if call.layout.batch_first and not single else 1]
        else:
            batch = int(call.batch_sizes[0])
        h_0 = x.new_zeros(config.state_rows, batch, config.output_size)
        c_0 = x.new_zeros(config.state_rows, batch, config.hidden_size)
    elif single:
        h_0, c_0 = h_0.unsqueeze(1), c_0.unsqueeze(1)
    options = (config.bias, config.num_layers, call.dropout, True, config.bidirectional)
    if call.batch_sizes is None:
        first = call.layout.batch_first and not single
        y, h, c = torch.lstm(x, (h_0, c_0), weights, *options, first)
        return (y.squeeze(1), h.squeeze(1), c.squeeze(1)) if single else (y, h, c)
    if call.order is not None:
        h_0, c_0 = h_0.index_select(1, call.order), c_0.index_select(1, call.order)
    y, h, c = torch.lstm(x, call.batch_sizes, (h_0, c_0), weights, *options)
    if call.inverse is not None:
        h, c = h.index_select(1, call.inverse), c.index_select(1, call.inverse)
    return y, h, c

"""PyTorch: `torch.nn.LSTM`, the library whose results we promise."""

import warnings
from typing import Any

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from bench.problem import Floats, Problem
from bench.shapes import Mode, Shape
from bench.sides import Runner, Side


class PyTorch:
    """`torch.nn.LSTM`: a call without autograd, or forward and ``backward`` to all gradients."""

    name = "torch"
    version: str = torch.__version__
    most_threads: int | None = None

    def refusal(self, shape: Shape, mode: Mode) -> str | None:
        """Refuse nothing."""
        return None

    def prepare(self, problem: Problem, mode: Mode, threads: int) -> Runner:
        """Build the network; ragged input is packed here, so that packing is not timed."""
        # The table says it better.
        warnings.filterwarnings("ignore", message="LSTM with projections is not supported")
        torch.set_num_threads(threads)
        # Set for good rather than by a context manager in every call, which would cost torch a
        # microsecond of ours.
        torch.set_grad_enabled(mode == "train")
        lstm, shape = _network(problem), problem.shape
        hx = (torch.from_numpy(problem.h_0), torch.from_numpy(problem.c_0))
        # Ragged rows are sorted, so torch needs no permutation; it gets them packed beforehand
        # and has no frames to skip.
        x: Any = torch.from_numpy(problem.x)
        grad_output = torch.from_numpy(problem.grad_output)
        if problem.lengths is not None:
            lengths = torch.from_numpy(problem.lengths)
            x = pack_padded_sequence(x, lengths)
            grad_output = pack_padded_sequence(grad_output, lengths).data

        def states(result: Any) -> dict[str, Floats]:
            output, (h_n, c_n) = result
            arrays = {"output": _padded(output, shape.T), "h_n": h_n, "c_n": c_n}
            return {name: tensor.detach().numpy() for name, tensor in arrays.items()}

        if mode == "forward":
            lstm.eval()
            return Runner(lambda: lstm(x, hx), states)

        lstm.train()
        source = x.data.clone().requires_grad_()
        x = x._replace(data=source) if isinstance(x, PackedSequence) else source
        hx = (hx[0].clone().requires_grad_(), hx[1].clone().requires_grad_())
        leaves: list[Any] = [source, *hx, *lstm.parameters()]

        def forward_and_backward() -> Any:
            # As zero_grad() does: fresh gradients are written, not added to old ones.
            for leaf in leaves:
                leaf.grad = None
            output, state = lstm(x, hx)
            (output.data if isinstance(output, PackedSequence) else output).backward(grad_output)
            return output, state

        def states_and_gradients(result: Any) -> dict[str, Floats]:
            grad_input, grad_h_0, grad_c_0, *grad_parameters = (leaf.grad for leaf in leaves)
            if isinstance(x, PackedSequence):
                grad_input = _padded(x._replace(data=grad_input), shape.T)
            return states(result) | {
                "grad_input": grad_input.numpy(),
                "grad_h_0": grad_h_0.numpy(),
                "grad_c_0": grad_c_0.numpy(),
                "grad_parameters": torch.cat([g.flatten() for g in grad_parameters]).numpy(),
            }

        return Runner(forward_and_backward, states_and_gradients)


def _network(problem: Problem) -> torch.nn.LSTM:
    shape = problem.shape
    lstm = torch.nn.LSTM(
        shape.I,
        shape.H,
        shape.L,
        bidirectional=shape.D == 2,
        proj_size=shape.P,
        dtype=getattr(torch, shape.dtype),
    )
    lstm.load_state_dict({name: torch.from_numpy(a) for name, a in problem.state.items()})
    return lstm


def _padded(sequences: Any, steps: int) -> Any:
    if isinstance(sequences, PackedSequence):
        return pad_packed_sequence(sequences, total_length=steps)[0]
    return sequences


SIDE: Side = PyTorch()

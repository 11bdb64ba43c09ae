"""Ourselves: `lstm_native` through its public classes."""

from typing import Any

import numpy as np

import lstm_native
from bench.problem import Floats, Problem
from bench.shapes import Mode, Shape
from bench.sides import Runner, Side


class Ours:
    """`lstm_native.LSTM`: a call in evaluation mode, a step of a stream, or a training step."""

    name = "lstm_native"
    version: str = lstm_native.__version__
    most_threads: int | None = None

    def refusal(self, shape: Shape, mode: Mode) -> str | None:
        """Refuse nothing."""
        return None

    def prepare(self, problem: Problem, mode: Mode, threads: int) -> Runner:
        """Build the network; evaluation mode packs its weights at the first call, once."""
        lstm_native.set_num_threads(threads)
        shape = problem.shape
        lstm = lstm_native.LSTM(
            shape.I,
            shape.H,
            shape.L,
            bidirectional=shape.D == 2,
            proj_size=shape.P,
            dtype=np.dtype(shape.dtype),
        )
        lstm.load_state_dict(problem.state)
        x, hx, lengths = problem.x, (problem.h_0, problem.c_0), problem.lengths
        grad_output = problem.grad_output

        if shape.stepped and mode == "forward":
            return _stepped(lstm, problem)
        if mode == "forward":
            lstm.eval()
            return Runner(lambda: lstm(x, hx, lengths=lengths), _states)

        lstm.train()

        def forward_and_backward() -> Any:
            output, state, tape = lstm.record(x, hx, lengths=lengths)
            return output, state, lstm.backward(tape, grad_output)

        return Runner(forward_and_backward, _states_and_gradients)


def _stepped(lstm: lstm_native.LSTM, problem: Problem) -> Runner:
    stream, frame = lstm.eval().stream(problem.shape.N), problem.x[0]
    out = np.empty((problem.shape.N, problem.shape.outputs), lstm.dtype)

    def from_the_beginning(_: Any) -> dict[str, Floats]:
        stream.state = problem.h_0, problem.c_0
        output = stream.step(frame)[None]
        h_n, c_n = stream.state
        return {"output": output, "h_n": h_n, "c_n": c_n}

    return Runner(lambda: stream.step(frame, out), from_the_beginning)


def _states(result: Any) -> dict[str, Floats]:
    output, (h_n, c_n) = result
    return {"output": output, "h_n": h_n, "c_n": c_n}


def _states_and_gradients(result: Any) -> dict[str, Floats]:
    output, state, gradients = result
    return _states((output, state)) | {
        "grad_input": gradients.input,
        "grad_h_0": gradients.h_0,
        "grad_c_0": gradients.c_0,
        "grad_parameters": gradients.parameters,
    }


SIDE: Side = Ours()

"""ONNX Runtime: the ONNX operator LSTM; forward only."""

import itertools
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]

from bench.problem import Floats, Problem
from bench.shapes import Mode, Shape
from bench.sides import Runner, Side, onnx_graph


class OnnxRuntime:
    """An `onnxruntime.InferenceSession` over the graph of `onnx_graph`.

    Called by ``run`` with arrays, which gives fresh arrays as our own call does; for a step of a
    stream with buffers bound beforehand, which saves it 1 to 5 us. Its workers go on spinning for
    about 40 ms after a call; that is left on, since it makes ONNX Runtime faster, and
    `bench.timing.settle` waits for them.
    """

    name = "onnxruntime"
    version: str = onnxruntime.__version__
    most_threads: int | None = None

    def refusal(self, shape: Shape, mode: Mode) -> str | None:
        """Refuse what the operator or the CPU provider lacks."""
        return onnx_graph.refusal(shape, mode)

    def prepare(self, problem: Problem, mode: Mode, threads: int) -> Runner:
        """Build the graph and a session of its own with so many threads."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            onnx_graph.graph(problem).SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
        )
        feeds = onnx_graph.feeds(problem)
        if problem.shape.stepped:
            return _stepped(session, problem, feeds)
        return Runner(
            lambda: session.run(None, feeds),
            lambda result: onnx_graph.states(problem.shape, result),
        )


def _stepped(session: Any, problem: Problem, feeds: dict[str, Any]) -> Runner:
    """Bind all buffers twice: what one step writes as its state the next one reads."""
    names = [value.name for value in session.get_outputs()]
    inputs = [name for name in feeds if name != "x"]  # in the order of the outputs
    states = [[_value(feeds[name].copy()) for name in inputs] for _ in range(2)]
    shape = problem.shape
    output = _value(np.empty((1, 1, shape.N, shape.H), np.float32))
    bindings = []
    for before, after in (states, states[::-1]):
        binding = session.io_binding()
        for name, value in zip(["x", *inputs], [_value(feeds["x"]), *before], strict=True):
            binding.bind_ortvalue_input(name, value)
        for name, value in zip(names, [output, *after], strict=True):
            binding.bind_ortvalue_output(name, value)
        bindings.append(binding)
    turns = itertools.cycle(bindings)

    def from_the_beginning(_: Any) -> dict[str, Floats]:
        for name, value in zip(inputs, states[0], strict=True):
            value.update_inplace(feeds[name])
        session.run_with_iobinding(bindings[0])
        return onnx_graph.states(shape, [value.numpy() for value in (output, *states[1])])

    return Runner(lambda: session.run_with_iobinding(next(turns)), from_the_beginning)


def _value(array: Floats) -> Any:
    return onnxruntime.OrtValue.ortvalue_from_numpy(array)


SIDE: Side = OnnxRuntime()

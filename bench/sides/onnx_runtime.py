"""ONNX Runtime: the ONNX operator LSTM; forward only."""

import onnxruntime  # type: ignore[import-untyped]

from bench.problem import Problem
from bench.shapes import Mode, Shape
from bench.sides import Runner, Side, onnx_graph


class OnnxRuntime:
    """An `onnxruntime.InferenceSession` over the graph of `onnx_graph`.

    Called by ``run`` with arrays, which gives fresh arrays as our own call does (binding buffers
    beforehand would save it 1 to 5 us). Its workers go on spinning for about 40 ms after a call;
    that is left on, since it makes ONNX Runtime faster, and `bench.timing.settle` waits for them.
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
        return Runner(
            lambda: session.run(None, feeds),
            lambda result: onnx_graph.states(problem.shape, result),
        )


SIDE: Side = OnnxRuntime()

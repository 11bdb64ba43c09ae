"""OpenVINO: the same ONNX graph as ONNX Runtime's, compiled for the CPU in f32; forward only."""

from typing import Any

import numpy as np
import openvino

from bench.problem import Floats, Problem
from bench.shapes import Mode, Shape
from bench.sides import Runner, Side, onnx_graph


class OpenVino:
    """One `openvino.InferRequest` for latency.

    Called by ``infer`` with arrays it may read in place; its results are fresh arrays, as our own
    call's are. Without the precision hint it would compute in bfloat16 on CPUs that have it.
    """

    name = "openvino"
    version: str = openvino.__version__.split("-")[0]
    most_threads: int | None = None

    def refusal(self, shape: Shape, mode: Mode) -> str | None:
        """Refuse what the operator or the CPU plugin lacks."""
        return onnx_graph.refusal(shape, mode)

    def prepare(self, problem: Problem, mode: Mode, threads: int) -> Runner:
        """Read the graph and compile it for so many threads."""
        return compiled(problem, threads, "f32")


def compiled(problem: Problem, threads: int, precision: str) -> Runner:
    """The graph with a hint of precision, for so many threads."""
    core = openvino.Core()
    model = core.read_model(onnx_graph.graph(problem).SerializeToString())
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": threads,
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    feeds = onnx_graph.feeds(problem)

    def answers(result: Any) -> dict[str, Floats]:
        outputs = [np.asarray(result[place]) for place in range(len(result))]
        return onnx_graph.states(problem.shape, outputs)

    return Runner(lambda: request.infer(feeds, share_inputs=True), answers)


SIDE: Side = OpenVino()

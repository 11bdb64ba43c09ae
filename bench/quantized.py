"""What rounding weights and products saves, and what it costs: ``python -m bench.quantized``.

Owns the comparison of float32, quantized weights and the precision "medium" on our side with what
each peer offers of them: torch's bfloat16 and dynamic int8, ONNX Runtime's DynamicQuantizeLSTM,
OpenVINO's bfloat16; with a projection that is torch's float32 and bfloat16 alone. Beside each time
stands the error: the largest difference from the results of the same network in float64.
"""

import argparse
import itertools
import json
import logging
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped]
import torch

import lstm_native
from bench import machine, timing
from bench.problem import Floats, Problem
from bench.shapes import Shape
from bench.sides import Runner, onnx_graph
from bench.sides.onnx_runtime import OnnxRuntime
from bench.sides.open_vino import OpenVino, compiled
from bench.sides.ours import Ours
from bench.sides.pytorch import PyTorch
from lstm_native.parameters import Precision, Storage

SHAPES = [
    Shape(f"{N} x {I}-{H}x{L}" + f" to {P}" * bool(P), "quantized", T, N, I, H, L, 1, P)
    for T, N, I, H, L, P in (  # noqa: E741
        (64, 1, 1024, 1024, 1, 0),
        (100, 1, 512, 512, 1, 0),
        (100, 1, 256, 256, 2, 0),
        (100, 1, 512, 1024, 1, 512),
        (100, 1, 64, 128, 1, 0),
        (50, 4, 512, 512, 1, 0),
        (50, 32, 512, 512, 1, 0),
        (50, 128, 512, 512, 1, 0),
        (20, 256, 1024, 1024, 1, 0),
    )
]
STEP = Shape("a step of 1024", "quantized", 1, 1, 1024, 1024, 1, 1)
OURS = "lstm_native"
THREADS = (1, 2)


def ours(problem: Problem, storage: Storage | None, precision: Precision) -> Runner:
    """Our network, its weights rounded, or its products."""
    shape = problem.shape
    lstm = lstm_native.LSTM(shape.I, shape.H, shape.L, proj_size=shape.P, precision=precision)
    lstm.load_state_dict(problem.state)
    lstm.eval().quantize(storage)
    hx = problem.h_0, problem.c_0
    return Runner(lambda: lstm(problem.x, hx), lambda result: {"output": result[0]})


def torch_bfloat16(problem: Problem) -> Runner:
    """torch's network with parameters, input and states in bfloat16."""
    shape = problem.shape
    lstm = torch.nn.LSTM(shape.I, shape.H, shape.L, proj_size=shape.P)
    lstm.load_state_dict({name: torch.from_numpy(a) for name, a in problem.state.items()})
    lstm = lstm.to(torch.bfloat16).eval()
    x, *hx = (torch.from_numpy(a).bfloat16() for a in (problem.x, problem.h_0, problem.c_0))

    @torch.inference_mode()
    def call() -> Any:
        return lstm(x, tuple(hx))

    return Runner(call, lambda result: {"output": result[0].float().numpy()})


def torch_int8(problem: Problem) -> Runner:
    """``torch.ao.quantization.quantize_dynamic`` of the same network."""
    shape = problem.shape
    lstm = torch.nn.LSTM(shape.I, shape.H, shape.L)
    lstm.load_state_dict({name: torch.from_numpy(a) for name, a in problem.state.items()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its being moved to another package
        quantize: Any = torch.ao.quantization.quantize_dynamic
        dynamic = quantize(torch.nn.Sequential(lstm).eval(), {torch.nn.LSTM}, dtype=torch.qint8)[0]
    x = torch.from_numpy(problem.x)
    hx = torch.from_numpy(problem.h_0), torch.from_numpy(problem.c_0)

    @torch.inference_mode()
    def call() -> Any:
        return dynamic(x, hx)

    return Runner(call, lambda result: {"output": result[0].numpy()})


def onnx_runtime_int8(problem: Problem, threads: int) -> Runner:
    """ONNX Runtime's DynamicQuantizeLSTM, as its own tool makes it."""
    from onnxruntime.quantization import quantize_dynamic  # type: ignore[import-untyped]

    logging.getLogger().setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        plain, small = f"{folder}/plain.onnx", f"{folder}/small.onnx"
        onnx.save(onnx_graph.graph(problem), plain)
        quantize_dynamic(plain, small, op_types_to_quantize=["LSTM"], per_channel=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(small, options, providers=["CPUExecutionProvider"])
    feeds = onnx_graph.feeds(problem)
    return Runner(
        lambda: session.run(None, feeds),
        lambda result: onnx_graph.states(problem.shape, result),
    )


def runners(problem: Problem, threads: int) -> Iterator[tuple[str, Runner]]:
    """Everybody who can do a row, by the names of the table's columns."""
    lstm_native.set_num_threads(threads)
    for storage in (None, "bfloat16", "int8"):
        yield f"{OURS} {storage or 'float32'}", ours(problem, storage, "highest")
    yield f"{OURS} medium", ours(problem, None, "medium")
    yield "torch float32", PyTorch().prepare(problem, "forward", threads)
    yield "torch bfloat16", torch_bfloat16(problem)
    if onnx_graph.refusal(problem.shape, "forward"):
        return
    yield "torch int8", torch_int8(problem)
    yield "onnxruntime float32", OnnxRuntime().prepare(problem, "forward", threads)
    yield "onnxruntime int8", onnx_runtime_int8(problem, threads)
    yield "openvino float32", OpenVino().prepare(problem, "forward", threads)
    yield "openvino bfloat16", compiled(problem, threads, "bf16")


def exact(problem: Problem) -> Floats:
    """The output of the same network in float64."""
    shape = problem.shape
    lstm = lstm_native.LSTM(shape.I, shape.H, shape.L, proj_size=shape.P, dtype=np.float64)
    lstm.load_state_dict(problem.state)
    wide = (np.asarray(a, np.float64) for a in (problem.x, problem.h_0, problem.c_0))
    x, *hx = wide
    output: Floats = lstm.eval()(x, (hx[0], hx[1]))[0]
    return output


def measure(shape: Shape, effort: timing.Effort) -> dict[str, dict[str, Any]]:
    """Milliseconds, at each side's better count of threads, and the error, by side."""
    problem = Problem.of(shape)
    expected = exact(problem)
    found: dict[str, dict[str, Any]] = {}
    for threads in THREADS:
        prepared = dict(runners(problem, threads))
        times = timing.interleave({name: r.call for name, r in prepared.items()}, effort)
        for name, runner in prepared.items():
            milliseconds = round(1e3 * times[name].median, 4)
            if name in found and found[name]["ms"] <= milliseconds:
                continue
            error = np.abs(runner.answers(runner.call())["output"] - expected).max()
            found[name] = {"ms": milliseconds, "threads": threads, "error": float(f"{error:.1e}")}
    return found


def table(rows: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """The rows as Markdown: a line for each shape, milliseconds and errors."""
    sides = list(dict.fromkeys(itertools.chain.from_iterable(rows.values())))
    lines = [f"| shape | {' | '.join(sides)} |", "| --- |" + " --- |" * len(sides)]
    for name, found in rows.items():
        cells = (
            f"{found[s]['ms']:.3g} ({found[s]['error']:.0e})" if s in found else "" for s in sides
        )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main() -> int:
    """Time all sides in turns, at one and two threads, and print milliseconds and errors."""
    parser = argparse.ArgumentParser(prog="python -m bench.quantized", description=main.__doc__)
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write JSON")
    parser.add_argument("--show", type=Path, metavar="FILE", help="print the table of a file")
    parser.add_argument("--quick", action="store_true", help="a rough look")
    arguments = parser.parse_args()
    if arguments.show:
        print(*table(json.loads(arguments.show.read_text(encoding="utf-8"))["rows"]), sep="\n")
        return 0
    effort = timing.QUICK if arguments.quick else timing.Effort()
    facts = machine.facts([Ours(), PyTorch(), OnnxRuntime(), OpenVino()], THREADS)
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for shape in [*SHAPES, STEP]:
        rows[shape.name] = measure(shape, effort)
        print(*table({shape.name: rows[shape.name]}), sep="\n", flush=True)
    if arguments.output:
        result = {"machine": facts, "rows": rows}
        arguments.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Thinc: `thinc.layers.LSTM`, NumPy arrays and no PyTorch, our nearest relative; forward only."""

from importlib.metadata import version
from typing import Any

import numpy as np
from thinc.api import LSTM, Model, NumpyOps
from thinc.types import Padded

from bench.problem import Floats, Problem
from bench.shapes import Mode, Shape
from bench.sides import Runner, Side

# It needs ten times as long as the others; above this its turns would take most of a run.
MOST_FLOPS = 5e9


class Thinc:
    """A Thinc model's ``predict``.

    Its layer holds one initial state for all rows of a batch, as a parameter, and gives no final
    states: so it solves the problem with one state for all rows, and is compared with our answers
    to that.
    """

    name = "thinc"
    version: str = version("thinc")
    # The BLAS that it brings, BLIS, is built without threads.
    most_threads: int | None = 1

    def refusal(self, shape: Shape, mode: Mode) -> str | None:
        """Refuse what the layer lacks, and what would take too long."""
        if mode == "train":
            # In 9.1.1 they are as far from torch's as they are large: backward skips the first
            # step and begins its sums of weight gradients with the weights themselves.
            return "its gradients on the CPU are not those of the LSTM"
        if shape.P:
            return "no projection"
        if shape.dtype == "float64":
            return "no float64"
        if shape.flops(mode) > MOST_FLOPS:
            return f"too slow for rows above {MOST_FLOPS / 1e9:.0f} Gflop"
        return None

    def prepare(self, problem: Problem, mode: Mode, threads: int) -> Runner:
        """Build the model; its weights lie in one flat array in cuDNN's manner."""
        problem = problem.with_one_state()
        shape = problem.shape
        model: Model[Padded, Padded] = LSTM(
            shape.H * shape.D, shape.I, bi=shape.D == 2, depth=shape.L
        )
        model.ops = NumpyOps()
        model.initialize()
        model.set_param("LSTM", _flat_weights(problem))
        # Named h and c, but read as c and h.
        states = [a[:, 0].reshape(shape.L, shape.D, shape.H) for a in (problem.c_0, problem.h_0)]
        model.set_param("HC0", np.stack(states))
        x = _padded(problem)

        def answers(result: Any) -> dict[str, Floats]:
            return {"output": result.data}

        return Runner(
            lambda: model.predict(x), answers, problem=problem, withheld=frozenset({"h_n", "c_n"})
        )


def _flat_weights(problem: Problem) -> Floats:
    """Turn the gates from torch's i, f, g, o to Thinc's f, i, o, g; a weight, then its bias."""
    parts = []
    for layer in range(problem.shape.L):
        for suffix in ("", "_reverse")[: problem.shape.D]:
            for name in ("weight_ih", "bias_ih", "weight_hh", "bias_hh"):
                i, f, g, o = np.split(problem.state[f"{name}_l{layer}{suffix}"], 4)
                parts += [array.ravel() for array in (f, i, o, g)]
    return np.concatenate(parts)


def _padded(problem: Problem) -> Padded:
    shape = problem.shape
    lengths = np.full(shape.N, shape.T) if problem.lengths is None else problem.lengths
    live = (lengths > np.arange(shape.T)[:, None]).sum(axis=1)
    order = np.arange(shape.N, dtype=np.int32)
    return Padded(problem.x, live.astype(np.int32), lengths.astype(np.int32), order)


SIDE: Side = Thinc()

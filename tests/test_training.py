"""The training kit as a loop meets it: interrupted training goes on with the same bits, chunks of a
sequence give the whole one's, truncation and accumulation give torch's gradients. And the code of
docs/training.md runs."""

from __future__ import annotations

import itertools
import pickle
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from builders import Case, network, problem
from lstm_native import LSTM, Generator, load, manual_seed, optim, save

Array = NDArray[Any]

TEXT = (Path(__file__).parents[1] / "docs" / "training.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)

DEEP = Case(T=12, N=3, I=4, H=6, L=2, dropout=0.3)
LONG = Case(T=23, N=3, I=4, H=6, L=2)
BORDERS = (0, 5, 6, 16, 23)  # of chunks of several lengths, one of them a single step


# --- interrupted training ---


class Loop:
    """A network with dropout, a head of its own and an optimizer over both, as a user has them."""

    def __init__(self, kind: str, **options: Any) -> None:
        self.lstm = network(DEEP, np.random.default_rng(1))
        self.lstm.generator = Generator().manual_seed(1)
        self.weight = np.full((2, DEEP.H), 0.1, np.float32)
        self.optimizer = self.over(kind, options)

    def over(self, kind: str, options: dict[str, Any]) -> optim.Optimizer:
        made: optim.Optimizer = getattr(optim, kind)(
            [self.lstm.flat_parameters, self.weight], **options
        )
        return made

    def steps(self, numbers: range) -> list[float]:
        """Train on as many batches; each depends on its number alone. Gives the losses."""
        losses = []
        for number in numbers:
            x, _, target, _ = problem(DEEP, np.random.default_rng(number))
            output, _, tape = self.lstm.record(x)
            missed = output @ self.weight.T - target[..., :2]
            losses.append(float(np.mean(missed**2)))
            slope = missed / missed.size
            gradients = [
                self.lstm.backward(tape, slope @ self.weight).parameters,
                np.einsum("tnk,tnh->kh", slope, output),
            ]
            optim.clip_grad_norm_(gradients, 0.05)
            self.optimizer.step(gradients)
        return losses

    def state(self) -> dict[str, Array]:
        """Everything that training goes on from, as one flat dict."""
        assert self.lstm.generator
        rest = {"weight": self.weight.copy(), "dropout": self.lstm.generator.get_state()}
        optimizer = {f"optim.{name}": value for name, value in self.optimizer.state_dict().items()}
        return self.lstm.state_dict(prefix="lstm.") | optimizer | rest

    @classmethod
    def resumed(cls, state: dict[str, Array], kind: str) -> Loop:
        """Take up the state in new objects, the optimizer made without its hyperparameters."""
        loop = cls(kind)
        loop.lstm = LSTM.from_state_dict(state, prefix="lstm.").train()
        loop.lstm.dropout = DEEP.dropout
        loop.lstm.generator = Generator()
        loop.lstm.generator.set_state(state["dropout"])
        loop.weight = state["weight"].copy()
        loop.optimizer = loop.over(kind, {})
        loop.optimizer.load_state_dict(
            {
                name.removeprefix("optim."): value
                for name, value in state.items()
                if name.startswith("optim.")
            }
        )
        return loop


@pytest.mark.parametrize("way", ["npz", "safetensors", "pickle"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("SGD", {"lr": 0.1}),
        ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        ("Adam", {"lr": 0.01, "betas": (0.8, 0.99), "amsgrad": True}),
        ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ],
)
def test_interrupted_training_goes_on_with_the_same_bits(
    kind: str, options: dict[str, Any], way: str, tmp_path: Path
) -> None:
    straight = Loop(kind, **options)
    losses = straight.steps(range(8))

    first = Loop(kind, **options)
    before = first.steps(range(4))
    if way == "pickle":
        state = pickle.loads(pickle.dumps(first.state()))
    else:
        save(tmp_path / f"all.{way}", first.state())
        state = load(tmp_path / f"all.{way}")
    second = Loop.resumed(state, kind)
    assert before + second.steps(range(4, 8)) == losses
    np.testing.assert_equal(second.state(), straight.state())
    assert not np.array_equal(second.weight, first.weight)


# --- truncated backpropagation ---


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("proj", [0, 4])
def test_chunks_give_the_bits_of_the_whole(dtype: str, proj: int, rng: np.random.Generator) -> None:
    case = Case(**{**vars(LONG), "dtype": dtype, "proj": proj})
    lstm, data = network(case, rng), problem(case, rng)
    whole, final = lstm(data.x, data.state)
    state, outputs = data.state, []
    for start, stop in itertools.pairwise(BORDERS):
        output, state, tape = lstm.record(data.x[start:stop], state)
        assert all(type(array) is np.ndarray for array in state)
        outputs.append(output)
        lstm.backward(tape, data.d_output[start:stop])  # spends the tape, not the state
    assert_array_equal(np.concatenate(outputs), whole, strict=True)
    for ours, theirs in zip(state, final, strict=True):
        assert_array_equal(ours, theirs, strict=True)


@pytest.mark.parametrize(
    ("dtype", "relative", "size"), [("float32", 1e-4, 1e-5), ("float64", 1e-12, 1e-12)]
)
def test_truncated_gradients_are_those_of_torch(
    torch: ModuleType, dtype: str, relative: float, size: float, rng: np.random.Generator
) -> None:
    """Torch detaches the state between the chunks and adds up their gradients; so does `into`."""
    case = Case(**{**vars(LONG), "dtype": dtype})
    lstm, data = network(case, rng), problem(case, rng)
    peer = torch.nn.LSTM(case.I, case.H, num_layers=case.L).to(getattr(torch, dtype))
    peer.load_state_dict({n: torch.from_numpy(a.copy()) for n, a in lstm.state_dict().items()})
    total, state = np.zeros_like(lstm.flat_parameters), data.state
    peer_state = tuple(torch.from_numpy(array) for array in data.state)

    for start, stop in itertools.pairwise(BORDERS):
        output, state, tape = lstm.record(data.x[start:stop], state)
        gradients = lstm.backward(tape, data.d_output[start:stop], into=total)

        x = torch.from_numpy(data.x[start:stop]).requires_grad_()
        expected, peer_state = peer(x, tuple(array.detach() for array in peer_state))
        expected.backward(torch.from_numpy(data.d_output[start:stop]))
        assert_allclose(output, expected.detach().numpy(), rtol=relative / 10, atol=size / 10)
        limit = size * float(x.grad.abs().max())
        assert_allclose(gradients.input, x.grad.numpy(), rtol=relative, atol=limit)

    summed = np.concatenate([p.grad.numpy().ravel() for p in peer.parameters()])
    assert_allclose(total, summed, rtol=relative, atol=size * np.abs(summed).max())
    through = lstm.backward(lstm.record(data.x, data.state)[2], data.d_output).parameters
    assert np.abs(through - total).max() > 0.01 * np.abs(through).max()  # truncation is no no-op


# --- accumulation ---


def test_accumulated_batches_are_those_of_torch(
    torch: ModuleType, rng: np.random.Generator
) -> None:
    """Four small batches make the gradient, and with clipping and a step the weights, of one."""
    case = Case(T=9, N=8, I=4, H=6, dtype="float64")
    lstm, data = network(case, rng), problem(case, rng)
    peer = torch.nn.LSTM(case.I, case.H).to(torch.float64)
    peer.load_state_dict({n: torch.from_numpy(a.copy()) for n, a in lstm.state_dict().items()})
    total = np.zeros_like(lstm.flat_parameters)
    for start in range(0, case.N, 2):
        rows = slice(start, start + 2)
        _, _, tape = lstm.record(data.x[:, rows])
        assert lstm.backward(tape, data.d_output[:, rows], into=total).parameters is total
    norm = optim.clip_grad_norm_(total, 0.5)
    optim.AdamW(lstm.flat_parameters, lr=0.01).step(total)

    peer(torch.from_numpy(data.x))[0].backward(torch.from_numpy(data.d_output))
    expected = torch.nn.utils.clip_grad_norm_(peer.parameters(), 0.5)
    torch.optim.AdamW(peer.parameters(), lr=0.01).step()
    assert norm > 0.5
    assert_allclose(norm, float(expected), rtol=1e-12)
    for name, value in peer.state_dict().items():
        assert_allclose(lstm.state_dict()[name], value.numpy(), rtol=1e-12, atol=1e-12)


# --- docs/training.md ---


@pytest.mark.parametrize("code", CODE, ids=range(len(CODE)))
def test_code_in_the_docs_runs(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "assert" in code
    monkeypatch.chdir(tmp_path)
    manual_seed(0)  # first weights
    exec(code, {})


def test_the_docs_have_code_for_each_topic() -> None:
    topics = ("record(", "into=", "clip_grad_norm_", "save(", "load_state_dict(", "set_state(")
    topics += ("resets=", "grad_layers=")
    assert [topic for topic in topics if not any(topic in code for code in CODE)] == []

"""Make the golden files with torch 2.13, from the root: ``python tests/golden/make_golden.py``.

Owns what torch says, once, so that the suite means something where torch is not installed: results
and gradients of the main variants, initial weights and generator states of seeds, dropout masks,
and the inputs of a tutorial whose printed numbers are known. ``test_golden.py`` reads the files.
Must not import the package.

Everything random comes from seeds, so a second run on the same torch writes the same arrays.
"""

import hashlib
import json
import platform
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
T, N, INPUT, HIDDEN = 5, 4, 3, 4

# name: arguments of nn.LSTM, and how it is called
VARIANTS = {
    "plain": {},
    "no bias": {"bias": False},
    "two layers": {"num_layers": 2},
    "three layers": {"num_layers": 3},
    "bidirectional": {"bidirectional": True},
    "batch first": {"batch_first": True, "num_layers": 2},
    "projected": {"proj_size": 2},
    "all": {"num_layers": 2, "bidirectional": True, "proj_size": 3},
    "unbatched": {"layout": "unbatched", "bidirectional": True},
    "packed": {"layout": "packed", "num_layers": 2, "bidirectional": True},
    "packed projected": {"layout": "packed", "proj_size": 2},
    "no state": {"with_state": False, "num_layers": 2},
    "dropout": {"num_layers": 3, "dropout": 0.4},
    "dropout packed": {"layout": "packed", "num_layers": 2, "dropout": 0.4, "bidirectional": True},
    "dropout batch first": {"num_layers": 2, "dropout": 0.25, "batch_first": True},
    "dropout 1": {"num_layers": 2, "dropout": 1.0},
}
# float64 costs twice the bytes: one variant of each kernel path is enough of it.
IN_FLOAT64 = ("plain", "projected", "all", "packed", "dropout", "dropout packed")
SEEDS = (0, 1000, -1, 2**32 + 7)


def main() -> None:
    torch.set_num_threads(1)
    arrays = {"made_by": text(f"torch {torch.__version__}, {platform.machine()}")}
    for dtype in ("float32", "float64"):
        for number, (name, options) in enumerate(VARIANTS.items()):
            if dtype == "float64" and name not in IN_FLOAT64:
                continue
            arrays |= prefixed(f"{name}/{dtype}", variant(number, dtype, **options))
    np.savez_compressed(HERE / "lstm.npz", **arrays)
    np.savez_compressed(HERE / "cell.npz", **cells())
    np.savez_compressed(HERE / "random.npz", **random_numbers())
    np.savez_compressed(HERE / "tutorial.npz", **tutorial())


def variant(seed: int, dtype: str, layout: str = "dense", with_state: bool = True, **options):
    """Run one network forward and backward; return everything that went in and came out."""
    torch.manual_seed(seed)
    lstm = torch.nn.LSTM(INPUT, HIDDEN, dtype=getattr(torch, dtype), **options)
    result = {"parameters": flat(lstm.parameters())}

    lead = {"dense": (T, N), "unbatched": (T,), "packed": (T, N)}[layout]
    if options.get("batch_first"):
        lead = lead[::-1]
    rows = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    batch = () if layout == "unbatched" else (N,)
    x = draw(dtype, *lead, INPUT)
    states = [
        draw(dtype, rows, *batch, options.get("proj_size") or HIDDEN),
        draw(dtype, rows, *batch, HIDDEN),
    ]
    if with_state:
        result["h_0"], result["c_0"] = arrays_of(states)
    given = x
    if layout == "packed":
        lengths = torch.tensor([3, 5, 1, 4])
        result["lengths"] = lengths.numpy()
        given = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    result["x"] = x.detach().numpy()

    torch.manual_seed(seed + 100)
    output, (h_n, c_n) = lstm(given, tuple(states) if with_state else None)
    called = {"options": options, "layout": layout, "seed": seed, "dropout_seed": seed + 100}
    result["called"] = text(json.dumps(called | {"generator_after": state_digest()}))
    if layout == "packed":
        output, _ = torch.nn.utils.rnn.pad_packed_sequence(output)
    grads = [draw(dtype, *value.shape) for value in (output, h_n, c_n)]
    variables = [x, *(states if with_state else []), *lstm.parameters()]
    d_x, *rest = torch.autograd.grad((output, h_n, c_n), variables, [g.detach() for g in grads])
    if with_state:
        result["d_h_0"], result["d_c_0"] = arrays_of(rest[:2])
    result["d_x"], result["d_parameters"] = d_x.numpy(), flat(rest[2 if with_state else 0 :])
    for key, value in zip(("output", "h_n", "c_n"), (output, h_n, c_n), strict=True):
        result[key] = value.detach().numpy()
    for key, value in zip(("d_output", "d_h_n", "d_c_n"), grads, strict=True):
        result[key] = value.detach().numpy()
    return result


def cells():
    """Two steps of a cell from an absent state, with the gradient of the second's results."""
    arrays = {}
    for dtype in ("float32", "float64"):
        for bias in (True, False):
            torch.manual_seed(11)
            cell = torch.nn.LSTMCell(INPUT, HIDDEN, bias=bias, dtype=getattr(torch, dtype))
            first, second = draw(dtype, N, INPUT), draw(dtype, N, INPUT)
            with torch.no_grad():
                state = cell(first)
            state = tuple(value.requires_grad_() for value in state)
            again = cell(second, state)
            grads = [draw(dtype, N, HIDDEN).detach() for _ in range(2)]
            d_x, d_h, d_c, *d_weights = torch.autograd.grad(
                again, [second, *state, *cell.parameters()], grads
            )
            names = [
                "first",
                "second",
                "h_1",
                "c_1",
                "h_2",
                "c_2",
                "d_h_2",
                "d_c_2",
                "d_x",
                "d_h_1",
                "d_c_1",
            ]
            values = arrays_of([first, second, *state, *again, *grads, d_x, d_h, d_c])
            case = dict(zip(names, values, strict=True))
            case |= {"parameters": flat(cell.parameters()), "d_parameters": flat(d_weights)}
            arrays |= prefixed(f"bias={bias}/{dtype}", case | {"bias": np.array(bias)})
    return arrays


def random_numbers():
    """Initial weights, masks and generator states: all of them compared bit for bit."""
    arrays = {"seeds": text(json.dumps(SEEDS))}
    for number, seed in enumerate(SEEDS):
        torch.manual_seed(seed)
        single = torch.nn.LSTM(3, 5, num_layers=2, bidirectional=True, proj_size=2)
        double = torch.nn.LSTM(7, 6, dtype=torch.float64)
        cell = torch.nn.LSTMCell(5, 3, bias=False)
        for name, module in (("single", single), ("double", double), ("cell", cell)):
            arrays[f"{number}/{name}"] = flat(module.parameters())
        arrays[f"{number}/state_digest"] = text(state_digest())
    arrays["last_state"] = torch.get_rng_state().numpy()
    for dtype in ("float32", "float64"):
        for p in (0.1, 0.4, 0.9):
            torch.manual_seed(17)
            # More than one refill of the generator's 624 words.
            ones = torch.ones(7, 9, 12, dtype=getattr(torch, dtype))
            mask = torch.nn.functional.dropout(ones, p).numpy()
            arrays[f"mask/{dtype}/{p}"] = np.packbits(mask != 0)
            arrays[f"scale/{dtype}/{p}"] = np.unique(mask)
    return arrays


def tutorial():
    """Inputs, states and results of the two-step LSTMCell example with seed 1000."""
    torch.manual_seed(1000)
    x = torch.randn(2, 3, 4)
    cell = torch.nn.LSTMCell(4, 3)
    h_0, c_0 = torch.randn(3, 3), torch.randn(3, 3)
    state, outputs = (h_0, c_0), []
    with torch.no_grad():
        for step in x:
            state = cell(step, state)
            outputs.append(state[0])
    names = ("x", "h_0", "c_0", "output", "weight_ih", "weight_hh")
    values = [x, h_0, c_0, torch.stack(outputs), cell.weight_ih, cell.weight_hh]
    return dict(zip(names, arrays_of(values), strict=True))


def draw(dtype: str, *shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=getattr(torch, dtype), requires_grad=True)


def arrays_of(tensors) -> list[np.ndarray]:
    return [tensor.detach().numpy() for tensor in tensors]


def flat(tensors) -> np.ndarray:
    return np.concatenate([array.ravel() for array in arrays_of(tensors)])


def state_digest() -> str:
    """Return the SHA-256 of the 5056 bytes of the generator's state."""
    return hashlib.sha256(torch.get_rng_state().numpy().tobytes()).hexdigest()


def text(value: str) -> np.ndarray:
    return np.array(value)


def prefixed(prefix: str, arrays):
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


if __name__ == "__main__":
    main()

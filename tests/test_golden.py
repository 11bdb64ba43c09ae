"""What torch 2.13 said, from the files of ``golden/``: the suite's meaning where there is no torch.

Initial weights, dropout masks and the generator's state are compared bit for bit, results and
gradients within the tolerances of the parity tests.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

import lstm_native
import reference
from lstm_native.random import default_generator

GOLDEN = Path(__file__).parent / "golden"


def load(name: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / name, allow_pickle=False) as saved:
        return dict(saved)


def groups(name: str) -> dict[str, dict[str, np.ndarray]]:
    """Split ``variant/dtype/array`` names into one dict of arrays per variant and dtype."""
    cases: dict[str, dict[str, np.ndarray]] = {}
    for path, array in load(name).items():
        case, _, key = path.rpartition("/")
        cases.setdefault(case, {})[key] = array
    cases.pop("", None)
    return cases


LSTMS, CELLS, RANDOM = groups("lstm.npz"), groups("cell.npz"), load("random.npz")
SEEDS = json.loads(str(RANDOM["seeds"]))


def state_digest() -> str:
    return hashlib.sha256(bytes(default_generator.get_state())).hexdigest()


def assert_close(got, golden: dict[str, np.ndarray], names: str) -> None:
    for name, array in zip(names.split(), got, strict=True):
        expected = golden[name]
        assert (array.shape, array.dtype) == (expected.shape, expected.dtype), name
        size = np.abs(expected).max()
        if expected.dtype == np.float64:
            relative, absolute = 0.0, 1e-12 * size
        elif name.startswith("d_"):
            relative, absolute = 1e-4, 1e-5 * size
        else:
            relative, absolute = 1e-5, 1e-6
        np.testing.assert_allclose(array, expected, relative, absolute, err_msg=name)


@pytest.mark.parametrize("name", LSTMS)
def test_lstm(name) -> None:
    golden = LSTMS[name]
    called = json.loads(str(golden["called"]))
    lstm_native.manual_seed(called["seed"])
    lstm = lstm_native.LSTM(3, 4, dtype=golden["x"].dtype, **called["options"])
    np.testing.assert_array_equal(lstm.flat_parameters, golden["parameters"])

    x, d_output = golden["x"], golden["d_output"]
    packed = called["layout"] == "packed"
    if packed:
        pack = lstm_native.pack_padded_sequence
        x = pack(x, golden["lengths"], enforce_sorted=False)
        d_output = pack(d_output, golden["lengths"], enforce_sorted=False)
    state = (golden["h_0"], golden["c_0"]) if "h_0" in golden else None
    lstm_native.manual_seed(called["dropout_seed"])
    output, (h_n, c_n), tape = lstm.record(x, state)
    assert state_digest() == called["generator_after"], "another count of random numbers was drawn"
    gradients = lstm.backward(tape, d_output, (golden["d_h_n"], golden["d_c_n"]))
    d_x = gradients.input
    if packed:
        output, d_x = (lstm_native.pad_packed_sequence(part)[0] for part in (output, d_x))
    assert_close((output, h_n, c_n), golden, "output h_n c_n")
    assert_close((d_x, gradients.parameters), golden, "d_x d_parameters")
    if state is not None:
        assert_close((gradients.h_0, gradients.c_0), golden, "d_h_0 d_c_0")


@pytest.mark.parametrize("name", [name for name in LSTMS if name.startswith("packed")])
def test_packed_as_lengths(name) -> None:
    golden = LSTMS[name]
    called = json.loads(str(golden["called"]))
    lstm_native.manual_seed(called["seed"])
    lstm = lstm_native.LSTM(3, 4, dtype=golden["x"].dtype, **called["options"])
    state = (golden["h_0"], golden["c_0"])
    output, (h_n, c_n), tape = lstm.record(golden["x"], state, lengths=golden["lengths"])
    gradients = lstm.backward(tape, golden["d_output"], (golden["d_h_n"], golden["d_c_n"]))
    assert_close((output, h_n, c_n), golden, "output h_n c_n")
    assert_close(gradients, golden, "d_x d_h_0 d_c_0 d_parameters")


@pytest.mark.parametrize("name", CELLS)
def test_cell(name) -> None:
    golden = CELLS[name]
    first, second = golden["first"], golden["second"]
    lstm_native.manual_seed(11)
    cell = lstm_native.LSTMCell(3, 4, bias=bool(golden["bias"]), dtype=first.dtype)
    np.testing.assert_array_equal(cell.flat_parameters, golden["parameters"])
    state = cell(first)
    assert_close(state, golden, "h_1 c_1")
    # The gradients belong to torch's own state, which may differ from ours in the last bit.
    again, tape = cell.record(second, (golden["h_1"], golden["c_1"]))
    assert_close(again, golden, "h_2 c_2")
    gradients = cell.backward(tape, (golden["d_h_2"], golden["d_c_2"]))
    assert_close(gradients, golden, "d_x d_h_1 d_c_1 d_parameters")


@pytest.mark.parametrize("number", range(len(SEEDS)), ids=[f"seed {seed}" for seed in SEEDS])
def test_initial_weights(number) -> None:
    """Three modules in a row from one seed; the stream stands where torch's stands after them."""
    lstm_native.manual_seed(SEEDS[number])
    single = lstm_native.LSTM(3, 5, num_layers=2, bidirectional=True, proj_size=2)
    double = lstm_native.LSTM(7, 6, dtype=np.float64)
    cell = lstm_native.LSTMCell(5, 3, bias=False)
    for name, module in (("single", single), ("double", double), ("cell", cell)):
        np.testing.assert_array_equal(module.flat_parameters, RANDOM[f"{number}/{name}"])
    assert state_digest() == str(RANDOM[f"{number}/state_digest"])


def test_reset_parameters_draws_as_the_constructor_does() -> None:
    lstm_native.manual_seed(SEEDS[0])
    lstm = lstm_native.LSTM(3, 5, num_layers=2, bidirectional=True, proj_size=2)
    lstm.flat_parameters[...] = 0
    lstm_native.manual_seed(SEEDS[0])
    lstm.reset_parameters()
    np.testing.assert_array_equal(lstm.flat_parameters, RANDOM["0/single"])


def test_generator_goes_on_from_torch_state() -> None:
    """The state torch had after the last seed's modules is read, and written again as it was."""
    default_generator.set_state(RANDOM["last_state"])
    np.testing.assert_array_equal(default_generator.get_state(), RANDOM["last_state"])
    continued = lstm_native.LSTM(3, 2).flat_parameters.copy()
    lstm_native.manual_seed(SEEDS[-1])
    for module in ((3, 5, 2, True, False, 0.0, True, 2), (7, 6)):
        dtype = np.float64 if len(module) == 2 else np.float32
        lstm_native.LSTM(*module, dtype=dtype)
    lstm_native.LSTMCell(5, 3, bias=False)
    np.testing.assert_array_equal(lstm_native.LSTM(3, 2).flat_parameters, continued)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [0.1, 0.4, 0.9])
def test_masks_of_the_reference(p, dtype) -> None:
    """The masks that ``test_reference.py`` compares the package with are torch's."""
    (mask,) = reference.draw_masks(17, p, 1, np.full(9, 7), 12, dtype)
    expected = np.unpackbits(RANDOM[f"mask/{dtype}/{p}"], count=mask.size).reshape(mask.shape)
    np.testing.assert_array_equal(mask != 0, expected)
    np.testing.assert_array_equal(np.unique(mask), RANDOM[f"scale/{dtype}/{p}"])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [0.1, 0.4, 0.9])
def test_masks_of_the_package(p, dtype) -> None:
    """A network whose second layer copies its input shows the mask, element by element.

    Saturated gates (i = o = 1, f = 0) give h = tanh(tanh(w x)): zero exactly where x was dropped.
    """
    features = 12
    lstm = lstm_native.LSTM(features, features, num_layers=2, dropout=p, dtype=np.dtype(dtype))
    lstm.flat_parameters[...] = 0
    gates = np.repeat([50.0, -800.0, 0.0, 50.0], features)
    for layer in (0, 1):
        getattr(lstm, f"bias_ih_l{layer}")[...] = gates
        getattr(lstm, f"weight_ih_l{layer}")[2 * features : 3 * features] = 0.1 * np.eye(features)
    x = np.ones((7, 9, features), dtype)
    lstm_native.manual_seed(17)
    output, _ = lstm(x)
    kept = np.unpackbits(RANDOM[f"mask/{dtype}/{p}"], count=x.size).reshape(x.shape)
    np.testing.assert_array_equal(output != 0, kept)
    scale = RANDOM[f"scale/{dtype}/{p}"].max()
    below = np.tanh(np.tanh(0.1))
    np.testing.assert_allclose(output.max(), np.tanh(np.tanh(0.1 * scale * below)), rtol=1e-6)


def test_files_are_small() -> None:
    assert sum(path.stat().st_size for path in GOLDEN.glob("*.npz")) < 300_000

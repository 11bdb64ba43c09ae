"""Numbers that well-known tutorials on ``nn.LSTM`` print, which readers will try first."""

from pathlib import Path

import numpy as np
import pytest

import lstm_native


@pytest.mark.parametrize(
    ("layers", "bidirectional", "count"),
    [
        (1, False, 2560),
        (2, False, 5920),
        (3, False, 9280),
        (1, True, 5120),
        (2, True, 15040),
        (3, True, 24960),
    ],
)
def test_parameter_counts(layers, bidirectional, count) -> None:
    lstm = lstm_native.LSTM(10, 20, num_layers=layers, bidirectional=bidirectional)
    assert sum(parameter.size for parameter in lstm.parameters()) == count
    assert lstm.flat_parameters.shape == (count,)


def test_shapes_of_the_documented_example() -> None:
    """torch.nn.LSTM's own example: 5 steps, 3 sequences, 10 features, 2 layers of 20 units."""
    lstm = lstm_native.LSTM(10, 20, 2)
    x = np.zeros((5, 3, 10), np.float32)
    state = (np.zeros((2, 3, 20), np.float32), np.zeros((2, 3, 20), np.float32))
    output, (h_n, c_n) = lstm(x, state)
    assert (output.shape, h_n.shape, c_n.shape) == ((5, 3, 20), (2, 3, 20), (2, 3, 20))
    np.testing.assert_array_equal(output[-1], h_n[-1])


def test_shapes_of_the_documented_cell_example() -> None:
    """torch.nn.LSTMCell's own example: 2 steps, 3 sequences, 10 features, 20 units."""
    cell = lstm_native.LSTMCell(10, 20)
    state = (np.zeros((3, 20), np.float32), np.zeros((3, 20), np.float32))
    output = []
    for x in np.zeros((2, 3, 10), np.float32):
        state = cell(x, state)
        output.append(state[0])
    assert np.stack(output).shape == (2, 3, 20)


PRINTED = [
    [[-0.3610, -0.1643, 0.1631], [-0.0613, -0.4937, -0.1642], [0.5080, -0.4175, 0.2502]],
    [[-0.0703, -0.0393, -0.0429], [0.2085, -0.3005, -0.2686], [0.1482, -0.4728, 0.1425]],
]


def test_cell_of_seed_1000() -> None:
    """``manual_seed(1000); x = randn(2, 3, 4); LSTMCell(4, 3); hx, cx = randn(3, 3) twice``."""
    with np.load(Path(__file__).parent / "golden" / "tutorial.npz") as golden:
        x, state = golden["x"], (golden["h_0"], golden["c_0"])
        expected, weight_ih, weight_hh = (
            golden[name] for name in ("output", "weight_ih", "weight_hh")
        )
    lstm_native.manual_seed(1000)
    # randn(2, 3, 4) takes 40 draws: 24, and 16 more for a last full block of normal numbers.
    # There is no randn here, but the weights of this cell are 4 * (9 + 1) draws.
    lstm_native.LSTMCell(9, 1, bias=False)
    cell = lstm_native.LSTMCell(4, 3)
    np.testing.assert_array_equal(cell.weight_ih, weight_ih)
    np.testing.assert_array_equal(cell.weight_hh, weight_hh)

    output = []
    for step in x:
        state = cell(step, state)
        output.append(state[0])
    np.testing.assert_array_equal(np.round(output, 4), np.array(PRINTED, np.float32))
    np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)


def test_sequence_equals_the_cell_in_a_loop() -> None:
    """The step-by-step loop and the whole sequence at once, as the sequence tutorial shows."""
    lstm_native.manual_seed(1)
    lstm = lstm_native.LSTM(3, 3)
    inputs = np.random.default_rng(1).standard_normal((5, 1, 3)).astype(np.float32)
    hidden = (np.ones((1, 1, 3), np.float32), np.ones((1, 1, 3), np.float32))
    state, steps = hidden, []
    for x in inputs:
        step, state = lstm(x.reshape(1, 1, -1), state)
        steps.append(step)
    output, (h_n, c_n) = lstm(inputs, hidden)
    np.testing.assert_array_equal(np.concatenate(steps), output)
    np.testing.assert_array_equal(state[0], h_n)
    np.testing.assert_array_equal(state[1], c_n)

"""Weights rounded for calls: the numbers. What keeps the option is in ``test_quantized_option.py``.

bfloat16 is held to a network of rounded weights, bit by bit; int8, and the precisions below
"highest", to products written down in NumPy (`rounded_products`).
"""

import copy
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import lstm_native
import rounded_products
from builders import Case, network, problem, ragged_lengths, rounded
from lstm_native import LSTM, LSTMCell, _core
from lstm_native.runtime import packing
from reference import bfloat16

F32 = np.float32
NAMES = ("bfloat16", "int8")
CASES = [
    Case(*sizes)
    for sizes in (
        (1, 1, 1, 1, 1, 1, 0),
        (5, 1, 3, 4, 1, 1, 0),
        (7, 3, 5, 9, 2, 2, 0),
        (20, 1, 64, 64, 1, 1, 0),
        (30, 2, 17, 130, 1, 2, 0),
        (9, 7, 33, 70, 2, 2, 17),
        (6, 1, 130, 66, 3, 1, 65),
        (6, 40, 31, 100, 1, 1, 0),
        (5, 300, 31, 20, 1, 2, 0),
        (3, 40, 1100, 40, 1, 1, 0),
        # More features than a product takes at once, by an odd number: ahead, and projected.
        (9, 1, 601, 20, 1, 1, 0),
        (3, 9, 5, 531, 1, 1, 9),
    )
]


def with_weights_in_bfloat16(lstm: LSTM) -> LSTM:
    rounded = copy.deepcopy(lstm)
    state = {n: bfloat16(a.copy()) if "weight" in n else a for n, a in lstm.state_dict().items()}
    rounded.load_state_dict(state)
    return rounded


def quantized(case: Case, rng: np.random.Generator, name: str) -> tuple[LSTM, Any]:
    """A network whose weights or products are rounded, and a problem."""
    return rounded(network(case, rng), name), problem(case, rng)


@pytest.mark.parametrize("case", CASES)
def test_bfloat16_has_the_bits_of_rounded_weights(case: Case, rng: np.random.Generator) -> None:
    lstm, data = quantized(case, rng, "bfloat16")
    rounded = with_weights_in_bfloat16(lstm).quantize(None)
    output, state = lstm(data.x, data.state)
    expected, expected_state = rounded(data.x, data.state)
    for ours, theirs in zip((output, *state), (expected, *expected_state), strict=True):
        np.testing.assert_array_equal(ours, theirs)


PRODUCTS = {"int8": rounded_products.of_bytes}
if packing("medium"):
    PRODUCTS["medium"] = rounded_products.of_bfloat16
if packing("high"):
    PRODUCTS["high"] = rounded_products.of_two_parts


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("case", CASES)
def test_products_are_of_rounded_factors(case: Case, name: str, rng: np.random.Generator) -> None:
    lstm, data = quantized(case, rng, name)
    pairs = rounded_products.steps(lstm, data.x, data.state, PRODUCTS[name])
    for ours, expected in pairs[::2]:
        np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-6)
    for ours, expected in pairs[1::2]:
        # What is projected is not known to the last bit, and may be rounded the other way.
        turned = np.abs(ours - expected) > 2e-6
        assert np.mean(turned) < (0.02 if lstm.proj_size else 1e-9)
        np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize("name", ["medium", "high"])
def test_highest_where_the_cpu_multiplies_no_bfloat16(name: Any, rng: np.random.Generator) -> None:
    lstm, data = quantized(Case(9, 7, 33, 70, 2, 2, 17), rng, name)
    output, _ = lstm(data.x)
    lstm.precision = "highest"
    same = output.tobytes() == lstm(data.x)[0].tobytes()
    assert same is (packing(name) is None)


@pytest.mark.parametrize("name", [*NAMES, "medium", "high"])
@pytest.mark.parametrize("case", CASES[2:9])
def test_the_same_bits_however_it_is_called(
    case: Case, name: str, rng: np.random.Generator
) -> None:
    """Rows alone or together, on one thread or two, ragged, begun anew, and step by step."""
    lstm, data = quantized(case, rng, name)
    output, state = lstm(data.x)
    lstm_native.set_num_threads(1)
    alone, _ = lstm(data.x)
    np.testing.assert_array_equal(output, alone)
    for row in range(min(case.N, 3)):
        np.testing.assert_array_equal(output[:, row], lstm(data.x[:, row])[0])
    lengths = ragged_lengths(case, rng)
    ragged, _ = lstm(data.x, lengths=lengths)
    for row in range(min(case.N, 3)):
        if length := lengths[row]:
            alone, _ = lstm(data.x[:length, row])
            np.testing.assert_array_equal(ragged[:length, row], alone)
    half = case.T // 2
    anew = np.zeros((case.T, case.N), bool)
    anew[half] = True
    np.testing.assert_array_equal(lstm(data.x, resets=anew)[0][half:], lstm(data.x[half:])[0])
    if case.D == 1:
        stream = lstm.stream(case.N)
        steps = np.stack([stream.step(frame) for frame in data.x])
        np.testing.assert_array_equal(steps, output)
        for ours, theirs in zip(stream.state, state, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dealing", ["rows", "units", "tail", "directions", "layers"])
@pytest.mark.parametrize("name", [*NAMES, "medium", "high"])
@pytest.mark.parametrize(
    "case", [Case(9, 7, 33, 70, 2, 2, 17), Case(40, 3, 31, 100, 3, 1)], ids=str
)
def test_every_way_of_dealing_work_out(
    case: Case, name: str, dealing: str, rng: np.random.Generator
) -> None:
    lstm, data = quantized(case, rng, name)
    lengths = ragged_lengths(case, rng, shortest=1)
    lstm_native.set_num_threads(1)
    expected, _ = lstm(data.x, data.state, lengths=lengths)
    lstm_native.set_num_threads(4)
    _core.force_dealing(dealing)
    try:
        output, _ = lstm(data.x, data.state, lengths=lengths)
    finally:
        _core.force_dealing("any")
    np.testing.assert_array_equal(output, expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_cell(name: str, rng: np.random.Generator) -> None:
    cell = LSTMCell(5, 37).eval()
    names = {f"{n}_l0": array for n, array in cell.state_dict().items()}
    lstm = LSTM.from_state_dict(names).quantize(name)  # type: ignore[arg-type]
    x = rng.standard_normal((3, 5), F32)
    h, c = cell.quantize(name)(x)  # type: ignore[arg-type]
    _, (h_n, c_n) = lstm(x[None])
    np.testing.assert_array_equal(h, h_n[0])
    np.testing.assert_array_equal(c, c_n[0])
    assert repr(cell) == f"LSTMCell(5, 37, quantized={name!r})"


PROBE = """
import sys
import numpy as np
from lstm_native import LSTM
rng = np.random.default_rng(3)
lstm = LSTM(33, 70, 2, bidirectional=True, proj_size=17).eval().quantize("int8")
lstm.load_state_dict({n: rng.uniform(-0.2, 0.2, a.shape) for n, a in lstm.state_dict().items()})
sys.stdout.buffer.write(lstm(rng.standard_normal((100, 3, 33), np.float32))[0].tobytes())
"""


@pytest.mark.forced_isa
def test_int8_on_every_isa() -> None:
    """Sums of integers are the same; the cell is where multiply-adds are fused.

    Elsewhere h differs by a rounding, which may turn a byte of it in the next step.
    """
    answers = {
        isa: np.frombuffer(
            subprocess.run(
                [sys.executable, "-c", PROBE],
                env=os.environ | {"LSTM_NATIVE_ISA": isa}, capture_output=True, check=True,
            ).stdout,
            F32,
        )
        for isa in lstm_native.show_config("dicts")["isas available"]
    }  # fmt: skip
    baseline = answers.pop("baseline")
    assert baseline.size == 100 * 3 * 34
    for answer in answers.values():
        np.testing.assert_array_equal(answer, next(iter(answers.values())))
        np.testing.assert_allclose(answer, baseline, rtol=0, atol=1e-3)


class TestNumbersThatHurt:
    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    def test_a_frame_that_is_not_finite(self, bad: float, rng: np.random.Generator) -> None:
        """It and what follows are NaN; the rows beside it are as they were."""
        lstm = LSTM(6, 20).eval().quantize("int8")
        x = rng.standard_normal((5, 3, 6), F32)
        clean, _ = lstm(x)
        x[2, 1, 4] = bad
        output, _ = lstm(x)
        assert np.isnan(output[2:, 1]).all()
        np.testing.assert_array_equal(output[:, [0, 2]], clean[:, [0, 2]])
        np.testing.assert_array_equal(output[:2], clean[:2])

    @pytest.mark.parametrize("bits", [0x7FC00000, 0x7F800001, 0x7FFFFFFF, 0xFFFFFFFF], ids=hex)
    @pytest.mark.parametrize("name", NAMES)
    def test_weights_that_are_not_finite(
        self, name: str, bits: int, rng: np.random.Generator
    ) -> None:
        """Some NaN have nothing but what rounding takes, or would carry over into the sign."""
        lstm = LSTM(6, 20).eval().quantize(name)  # type: ignore[arg-type]
        clean, _ = lstm(np.zeros((1, 1, 6), F32))
        weight = lstm.weight_ih_l0.copy()
        weight.view(np.uint32)[[3, 23, 43, 63], 2] = bits  # the gates of unit 3
        lstm.load_state_dict({"weight_ih_l0": weight}, strict=False)
        output, _ = lstm(np.zeros((1, 1, 6), F32))
        assert np.isnan(output[0, 0, 3])
        others = np.arange(20) != 3
        np.testing.assert_array_equal(output[0, 0, others], clean[0, 0, others])

    def test_sizes_beyond_what_has_an_inverse(self) -> None:
        lstm = LSTM(6, 20).eval().quantize("int8")
        zero, _ = lstm(np.zeros((1, 1, 6), F32))
        for size in (1e-45, 1e-38, 9e-37):
            np.testing.assert_array_equal(lstm(np.full((1, 1, 6), size, F32))[0], zero)
        assert np.isfinite(lstm(np.full((1, 1, 6), 3e38, F32))[0]).all()
        # Nor do they count where what they are multiplied with is as large.
        for small, large in ((1e-38, 3e38), (3e38, 1e-38)):
            lstm.load_state_dict({"weight_ih_l0": np.full((80, 6), large, F32)}, strict=False)
            np.testing.assert_array_equal(lstm(np.full((1, 1, 6), small, F32))[0], zero)

    def test_all_extremes_at_once(self) -> None:
        """The largest sum of 133,000 products of bytes is below 2^31."""
        lstm = LSTM(133_000, 1, bias=False).eval().quantize("int8")
        lstm.load_state_dict({
            "weight_ih_l0": np.full((4, 133_000), 1e-6, F32), "weight_hh_l0": np.zeros((4, 1), F32),
        })  # fmt: skip
        for sign in (1, -1):
            _, (_, c_n) = lstm(np.full((1, 133_000), 10 * sign, F32))
            z = 1.33 * sign
            np.testing.assert_allclose(c_n, np.tanh(z) / (1 + np.exp(-z)), rtol=1e-5)

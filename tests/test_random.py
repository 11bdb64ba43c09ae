"""The generator against torch's: seeds, state bytes both ways, initial weights, dropout's draws."""

import copy
import hashlib
import pickle
from typing import Any

import numpy as np
import pytest

from lstm_native import LSTM, Generator, LSTMCell, manual_seed
from lstm_native.random import default_generator

SEEDS = [0, 1, 42, 2**31, 2**32 + 1, 2**63 - 1, 2**64 - 1, -1, -(2**63)]


def drawn(generator: Generator, count: int) -> np.ndarray:
    """What a cell of `count` float32 parameters starts from."""
    out = np.empty(count, np.float32)
    generator._engine.uniform(out, -0.5, 0.5)
    return out


# --- against torch ---


@pytest.mark.parametrize("seed", SEEDS)
def test_state_bytes_both_ways(seed: int, torch: Any) -> None:
    generator, there = Generator(), torch.Generator()
    assert generator.manual_seed(seed) is generator
    there.manual_seed(seed)
    assert generator.initial_seed() == there.initial_seed() == seed % 2**64
    for count in (0, 1, 623, 1, 700):  # around the end of the 624 words of a state
        drawn(generator, count)
        torch.empty(count).uniform_(generator=there)
        state = generator.get_state()
        assert (state.dtype, state.shape) == (np.uint8, (5056,))
        np.testing.assert_array_equal(state, there.get_state().numpy())

    other = torch.Generator()
    other.set_state(torch.from_numpy(generator.get_state()))
    expected = torch.empty(1000).uniform_(-0.5, 0.5, generator=other).numpy()
    np.testing.assert_array_equal(drawn(generator, 1000), expected)
    for state in (there.get_state(), there.get_state().numpy(), bytes(there.get_state().numpy())):
        ours = Generator()
        ours.set_state(state)
        assert ours.initial_seed() == seed % 2**64
        np.testing.assert_array_equal(drawn(ours, 1000), expected)


def test_state_with_a_spare_normal_survives(torch: Any) -> None:
    there = torch.Generator().manual_seed(3)
    torch.empty(1, dtype=torch.float64).normal_(generator=there)  # torch keeps the second of a pair
    generator = Generator()
    generator.set_state(there.get_state())
    np.testing.assert_array_equal(generator.get_state(), there.get_state().numpy())


NETWORKS = [
    {},
    {"num_layers": 3},
    {"num_layers": 2, "bidirectional": True},
    {"num_layers": 2, "bidirectional": True, "proj_size": 3},
    {"bias": False},
    {"bias": False, "proj_size": 1, "bidirectional": True},
]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_initial_weights_of_a_whole_model(dtype: str, seed: int, torch: Any) -> None:
    """Several networks one after another, so that the state of the generator counts too."""
    there = getattr(torch, dtype)
    torch.manual_seed(seed)
    manual_seed(seed)
    for options in NETWORKS:
        expected = torch.nn.LSTM(7, 5, **options, dtype=there)
        lstm = LSTM(7, 5, **options, dtype=dtype)
        assert list(lstm.state_dict()) == list(expected.state_dict())
        for name, value in expected.state_dict().items():
            np.testing.assert_array_equal(getattr(lstm, name), value.numpy())
        cell, expected_cell = LSTMCell(3, 4, dtype=dtype), torch.nn.LSTMCell(3, 4, dtype=there)
        for name, value in expected_cell.state_dict().items():
            np.testing.assert_array_equal(getattr(cell, name), value.numpy())
    np.testing.assert_array_equal(default_generator.get_state(), torch.get_rng_state().numpy())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_initial_weights_of_a_large_network(dtype: str, torch: Any) -> None:
    torch.manual_seed(11)
    manual_seed(11)
    expected = torch.nn.LSTM(200, 150, dtype=getattr(torch, dtype))
    lstm = LSTM(200, 150, dtype=dtype)
    for name, value in expected.state_dict().items():
        np.testing.assert_array_equal(getattr(lstm, name), value.numpy())
    torch.manual_seed(12)
    manual_seed(12)
    expected.reset_parameters()
    lstm.eval().reset_parameters()
    np.testing.assert_array_equal(lstm.weight_hh_l0, expected.weight_hh_l0.detach().numpy())
    assert not lstm.weight_hh_l0.flags.writeable


# --- without torch: what torch 2.13 gave ---


# A row of weight_ih_l0 and the end of bias_hh_l0 of nn.LSTM(2, 3).
FEW = [
    (0, "float32", ["-0x1.1b47d0p-8", "0x1.3d2626p-2"], ["0x1.c1879ep-2", "-0x1.26df62p-1"]),
    (1234, "float32", ["-0x1.16787ap-1", "-0x1.cffc5cp-4"], ["-0x1.7d5642p-2", "-0x1.0752d6p-4"]),
    (
        -1,
        "float64",
        ["0x1.0a46d0eec89bbp-1", "0x1.1c15ac9704f69p-4"],
        ["-0x1.82c316df02d58p-2", "-0x1.cf6615ab80f50p-2"],
    ),
]


@pytest.mark.parametrize(("seed", "dtype", "first", "last"), FEW)
def test_initial_weights(seed: int, dtype: str, first: list[str], last: list[str]) -> None:
    manual_seed(seed)
    lstm = LSTM(2, 3, dtype=dtype)
    assert lstm.weight_ih_l0[0].tolist() == [float.fromhex(x) for x in first]
    assert lstm.bias_hh_l0[-2:].tolist() == [float.fromhex(x) for x in last]


# SHA-256 of all parameters of nn.LSTM(7, 5, 2, bidirectional=True, proj_size=3), and of the state
# the generator is left in.
ALL = [
    (0, "float32", "0741bdf8c2e354ecdbd70db82688a5b0", "6305a909132c451076d7d94b3323903b"),
    (-1, "float32", "25146d9762ff11254a8d7ea7b7a8707d", "7c9863b2b8928ff9a5cce3e0d36092ff"),
    (1234, "float64", "18d11d3b9579c2b8b372f76817f298b0", "595224a895151092d3072f8ba643daa0"),
]


@pytest.mark.parametrize(("seed", "dtype", "weights", "state"), ALL)
def test_all_initial_weights(seed: int, dtype: str, weights: str, state: str) -> None:
    def digest(array: np.ndarray) -> str:
        return hashlib.sha256(array.tobytes()).hexdigest()[:32]

    manual_seed(seed)
    lstm = LSTM(7, 5, 2, bidirectional=True, proj_size=3, dtype=dtype)
    assert digest(lstm.flat_parameters) == weights
    assert digest(default_generator.get_state()) == state


# --- our own ---


def test_a_new_generator_starts_from_torchs_seed() -> None:
    generator = Generator()
    assert generator.initial_seed() == 67280421310721
    assert not np.array_equal(generator.get_state(), default_generator.get_state())


def test_manual_seed_is_the_default_generators() -> None:
    assert manual_seed(5) is default_generator
    assert default_generator.initial_seed() == 5
    assert manual_seed(np.int64(-5)).initial_seed() == 2**64 - 5


def test_seed_is_fresh() -> None:
    generator = Generator()
    seeds = {generator.seed() for _ in range(4)}
    assert len(seeds) == 4
    assert generator.initial_seed() in seeds


def test_copies() -> None:
    generator = Generator().manual_seed(5)
    drawn(generator, 10)
    twins = [pickle.loads(pickle.dumps(generator, p)) for p in range(6)]
    twins += [copy.deepcopy(generator), copy.copy(generator)]
    expected = drawn(generator, 10)
    for twin in twins:
        np.testing.assert_array_equal(drawn(twin, 10), expected)


@pytest.mark.parametrize("function", [manual_seed, Generator().manual_seed])
@pytest.mark.parametrize(
    ("seed", "kind", "text"),
    [
        (2**64, ValueError, "Overflow when unpacking long long"),
        (-(2**63) - 1, ValueError, "Overflow when unpacking long long"),
        (1.5, TypeError, "manual_seed expected an int, but got float"),
        ("3", TypeError, "manual_seed expected an int, but got str"),
        (None, TypeError, "manual_seed expected an int, but got NoneType"),
    ],
)
def test_seeds_refused(function: Any, seed: Any, kind: type, text: str) -> None:
    with pytest.raises(kind, match=text):
        function(seed)


def test_seeds_refused_by_torch(torch: Any) -> None:
    for seed in (2**64, -(2**63) - 1):
        with pytest.raises(ValueError, match="Overflow when unpacking long long"):
            torch.manual_seed(seed)


def forged(offset: int, value: int) -> bytes:
    state = bytearray(Generator().get_state())
    state[offset : offset + 4] = value.to_bytes(4, "little", signed=True)
    return bytes(state)


@pytest.mark.parametrize(
    ("state", "kind", "text"),
    [
        (b"abc", RuntimeError, "Expected a generator state of size 5056 but found .* to be 3"),
        (np.zeros(3, np.uint8), RuntimeError, "Expected a generator state of size 5056"),
        (np.zeros(5056, np.float32), TypeError, "should be bytes or a 1-D uint8 array, got 1-D f"),
        (np.zeros((1, 5056), np.uint8), TypeError, "1-D uint8 array, got 2-D uint8"),
        ("state", TypeError, "RNG state should be bytes or a 1-D uint8 array"),
        (np.zeros(5056, np.uint8), RuntimeError, "Invalid mt19937 state"),
        (forged(8, 0), RuntimeError, "Invalid mt19937 state"),
        (forged(8, 10**6), RuntimeError, "Invalid mt19937 state"),
        (forged(16, 10**6), RuntimeError, "Invalid mt19937 state"),
    ],
)
def test_states_refused(state: Any, kind: type, text: str) -> None:
    generator = Generator()
    before = generator.get_state()
    with pytest.raises(kind, match=text):
        generator.set_state(state)
    np.testing.assert_array_equal(generator.get_state(), before)


# --- dropout and its generator ---


def test_dropout_only_in_training(rng: np.random.Generator) -> None:
    lstm, x = LSTM(2, 5, 2, dropout=0.5), rng.standard_normal((5, 3, 2), np.float32)
    state = default_generator.get_state()
    plain, _ = lstm.eval()(x)
    np.testing.assert_array_equal(lstm.record(x)[0], plain)
    lstm.dropout = 0.0
    np.testing.assert_array_equal(lstm.train()(x)[0], plain)
    np.testing.assert_array_equal(default_generator.get_state(), state)
    lstm.dropout = 0.5
    assert not np.array_equal(lstm(x)[0], plain)
    assert not np.array_equal(lstm(x)[0], lstm(x)[0])


def test_generator_of_ones_own(rng: np.random.Generator) -> None:
    lstm, x = LSTM(2, 5, 2, dropout=0.5), rng.standard_normal((5, 3, 2), np.float32)
    manual_seed(7)
    default, _ = lstm(x)
    lstm.generator = Generator().manual_seed(7)
    manual_seed(8)
    np.testing.assert_array_equal(lstm(x)[0], default)
    assert default_generator.initial_seed() == 8
    twin = copy.deepcopy(lstm)
    np.testing.assert_array_equal(twin(x)[0], lstm(x)[0])
    lstm.generator.manual_seed(7)
    np.testing.assert_array_equal(lstm.record(x)[0], default)

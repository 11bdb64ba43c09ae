"""Weights on their way in and out of a network: state dicts, ``from_state_dict``, pickles."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import lstm_native
from lstm_native import LSTM

MISSING = '\tMissing key(s) in state_dict: "bias_ih_l0", "bias_hh_l0". '
UNEXPECTED = '\tUnexpected key(s) in state_dict: "foo", "bar". '
SIZES = (
    "\tsize mismatch for weight_ih_l0: copying a param with shape (2, 2) from checkpoint, the "
    "shape in current model is (16, 3).\n"
    "\tsize mismatch for weight_hh_l0: copying a param with shape (2,) from checkpoint, the "
    "shape in current model is (16, 4)."
)


@pytest.fixture
def lstm() -> LSTM:
    """Four parameters."""
    lstm_native.manual_seed(1)
    return LSTM(3, 4)


def changed(lstm: LSTM, without: tuple[str, ...] = (), **others: Any) -> dict[str, Any]:
    state = {n: v + 1 for n, v in lstm.state_dict().items() if n not in without}
    return state | others


def normal(rng: np.random.Generator, *shape: int, dtype: str = "float32") -> np.ndarray:
    return rng.standard_normal(shape).astype(dtype)


# --- state_dict and load_state_dict ---


def test_state_dict_is_alive(lstm: LSTM) -> None:
    state = lstm.state_dict()
    assert type(state) is dict
    assert all(state[name] is getattr(lstm, name) for name in state)
    assert list(lstm.state_dict(prefix="a.b.")) == [f"a.b.{name}" for name in state]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "longdouble"])
def test_load(dtype: str, training: bool, lstm: LSTM) -> None:
    lstm.train(training)
    view, flat = lstm.weight_hh_l0, lstm.flat_parameters
    state = {n: np.round(v + 1, 2).astype(dtype) for n, v in lstm.state_dict().items()}
    result = lstm.load_state_dict(state)
    assert repr(result) == "<All keys matched successfully>"
    assert result == ([], [])
    assert lstm.weight_hh_l0 is view
    assert lstm.flat_parameters is flat
    assert flat.flags.writeable is training
    for name, value in state.items():
        np.testing.assert_array_equal(getattr(lstm, name), value.astype("float32"))
        assert not np.shares_memory(getattr(lstm, name), value)


def test_load_from_its_own_memory(lstm: LSTM) -> None:
    before = {name: value.copy() for name, value in lstm.state_dict().items()}
    swapped = {"bias_ih_l0": lstm.bias_hh_l0, "bias_hh_l0": lstm.bias_ih_l0}
    lstm.load_state_dict(lstm.state_dict() | swapped)
    np.testing.assert_array_equal(lstm.bias_ih_l0, before["bias_hh_l0"])
    np.testing.assert_array_equal(lstm.bias_hh_l0, before["bias_ih_l0"])


def test_load_tensors(torch: Any, lstm: LSTM) -> None:
    there = torch.nn.LSTM(3, 4)
    lstm.load_state_dict(there.state_dict())
    for name, value in there.state_dict().items():
        np.testing.assert_array_equal(getattr(lstm, name), value.numpy())


def faulty(lstm: LSTM, array: Any = np.asarray) -> list[tuple[dict[str, Any], bool, str]]:
    """State dicts that do not fit, whether only ``strict`` says so, and what is said."""
    extra = {"foo": array(np.zeros(1)), "bar": array(np.zeros(1))}
    odd = {"weight_ih_l0": array(np.zeros((2, 2))), "weight_hh_l0": array(np.zeros(2))}
    biases = ("bias_ih_l0", "bias_hh_l0")
    return [
        (changed(lstm, biases), True, MISSING),
        (changed(lstm, **extra), True, UNEXPECTED),
        (changed(lstm, **odd), False, SIZES),
        (changed(lstm, biases, **extra, **odd), True, f"{MISSING}\n{UNEXPECTED}\n{SIZES}"),
        (
            {},
            True,
            "\tMissing key(s) in state_dict: "
            + ", ".join(map('"{}"'.format, lstm.state_dict()))
            + ". ",
        ),
    ]


def test_state_dicts_that_do_not_fit(lstm: LSTM) -> None:
    before = lstm.flat_parameters.copy()
    for state, only_strict, text in faulty(lstm):
        for network in (lstm.train(), lstm.eval()):
            with pytest.raises(RuntimeError) as raised:
                network.load_state_dict(state)
            assert str(raised.value) == f"Error(s) in loading state_dict for LSTM:\n{text}"
        if not only_strict:
            with pytest.raises(RuntimeError, match="size mismatch"):
                lstm.load_state_dict(state, strict=False)
        np.testing.assert_array_equal(lstm.flat_parameters, before)


def test_state_dicts_that_do_not_fit_torch(lstm: LSTM, torch: Any) -> None:
    there = torch.nn.LSTM(3, 4)
    for state, _, text in faulty(lstm):
        tensors = {name: torch.from_numpy(np.array(value)) for name, value in state.items()}
        with pytest.raises(RuntimeError) as raised:
            there.load_state_dict(tensors)
        ours = str(raised.value).replace("torch.Size([2])", "(2,)")
        ours = ours.replace("torch.Size([", "(").replace("])", ")")
        assert ours == f"Error(s) in loading state_dict for LSTM:\n{text}"


def test_load_what_fits(lstm: LSTM) -> None:
    before = lstm.bias_ih_l0.copy()
    state = changed(lstm, ("bias_ih_l0",), foo=np.zeros(1))
    result = lstm.load_state_dict(state, strict=False)
    assert result.missing_keys == ["bias_ih_l0"]
    assert result.unexpected_keys == ["foo"]
    assert repr(result) == "IncompatibleKeys(missing_keys=['bias_ih_l0'], unexpected_keys=['foo'])"
    np.testing.assert_array_equal(lstm.bias_ih_l0, before)
    np.testing.assert_array_equal(lstm.bias_hh_l0, state["bias_hh_l0"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (
            [0.0] * 16,
            "expected an ndarray or an array-like object from checkpoint but received "
            "<class 'list'>",
        ),
        (np.zeros(16, int), "expected floating-point values but received int64"),
        (np.zeros(16, bool), "expected floating-point values but received bool"),
        (np.zeros(16, complex), "expected floating-point values but received complex128"),
        (np.full(16, None), "expected floating-point values but received object"),
        (np.full(16, "1"), "expected floating-point values but received <U1"),
    ],
)
def test_values_that_are_no_weights(value: Any, text: str, lstm: LSTM) -> None:
    before = lstm.flat_parameters.copy()
    with pytest.raises(RuntimeError) as raised:
        lstm.load_state_dict(changed(lstm, bias_hh_l0=value))
    assert str(raised.value) == (
        "Error(s) in loading state_dict for LSTM:\n"
        f'\tWhile copying the parameter named "bias_hh_l0", {text}'
    )
    np.testing.assert_array_equal(lstm.flat_parameters, before)


NO_MAPPING = r"Expected state_dict to be dict-like, got <class 'list'>\."


def test_what_is_no_state_dict(lstm: LSTM) -> None:
    with pytest.raises(TypeError, match=NO_MAPPING):
        lstm.load_state_dict([1])


def test_what_is_no_state_dict_for_torch(torch: Any) -> None:
    with pytest.raises(TypeError, match=NO_MAPPING):
        torch.nn.LSTM(3, 4).load_state_dict([1])


# --- from_state_dict ---


@pytest.mark.parametrize("prefix", ["", "encoder.lstm."])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("proj_size", [0, 2])
def test_from_state_dict(
    proj_size: int, bidirectional: bool, bias: bool, layers: int, prefix: str
) -> None:
    lstm = LSTM(3, 4, layers, bias, bidirectional=bidirectional, proj_size=proj_size)
    state = lstm.state_dict(prefix=prefix) | {"fc.weight": np.zeros((2, 2)), f"{prefix}x": 3}
    random = lstm_native.random.default_generator.get_state()
    twin = LSTM.from_state_dict(state, prefix)
    np.testing.assert_array_equal(lstm_native.random.default_generator.get_state(), random)
    assert repr(twin) == repr(lstm)
    assert not twin.training
    assert twin.dtype == np.float32
    np.testing.assert_array_equal(twin.flat_parameters, lstm.flat_parameters)
    assert not np.shares_memory(twin.flat_parameters, lstm.flat_parameters)


def test_from_state_dict_of_torch(torch: Any, rng: np.random.Generator) -> None:
    there = torch.nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True, dtype=torch.float64)
    lstm = LSTM.from_state_dict(there.state_dict(), batch_first=True)
    assert repr(lstm) == repr(there)
    assert lstm.dtype == np.float64
    x = normal(rng, 2, 5, 3, dtype="float64")
    expected = there(torch.from_numpy(x))[0].detach().numpy()
    np.testing.assert_allclose(lstm(x)[0], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (["float16"], "float32"),
        (["float32"], "float32"),
        (["float32", "float64"], "float64"),
        (["float16", "longdouble"], "float64"),
    ],
)
def test_dtype_follows_the_arrays(dtypes: list[str], expected: str, lstm: LSTM) -> None:
    state = {
        n: v.astype(dtypes[i % len(dtypes)]) for i, (n, v) in enumerate(lstm.state_dict().items())
    }
    assert LSTM.from_state_dict(state).dtype == expected


NOT_ONE = "the arrays under prefix '' are not one LSTM: "
ROOT = {"weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "bias_ih_l0": (16,), "bias_hh_l0": (16,)}


@pytest.mark.parametrize(
    ("shapes", "prefix", "text"),
    [
        ({}, "", "no LSTM under prefix '': there is no 'weight_ih_l0'"),
        (
            {"a.weight_ih_l0": (16, 3), "b.c.weight_ih_l0": (16, 3), "d.weight_ih": (16, 3)},
            "a",
            "no LSTM under prefix 'a': there is no 'aweight_ih_l0'; prefixes with one: 'a.', "
            "'b.c.'; for LSTMCell.from_state_dict there is: 'd.'",
        ),
        (
            {"weight_ih_l0": (16, 3), "bias_ih_l0": (16,), "weight_hh_l0": (16, 4)},
            "",
            NOT_ONE + "missing 'bias_hh_l0'",
        ),
        (
            ROOT | {"weight_hh_l0": (16, 5)},
            "",
            NOT_ONE + "'weight_ih_l0': expected shape (20, 3), got "
            "(16, 3); 'weight_hh_l0': expected shape (20, 5), got (16, 5); 'bias_ih_l0': expected "
            "shape (20,), got (16,); 'bias_hh_l0': expected shape (20,), got (16,)",
        ),
        (
            {"weight_ih_l0": (12, 3), "weight_hh_l0": (12, 4)},
            "",
            NOT_ONE + "'weight_ih_l0': expected shape (16, 3), got "
            "(12, 3); 'weight_hh_l0': expected shape (16, 4), got (12, 4); 12 rows for 4 units: is "
            "this a GRU?",
        ),
        (
            {"weight_ih_l0": (4, 3), "weight_hh_l0": (4, 4)},
            "",
            NOT_ONE + "'weight_ih_l0': expected shape (16, 3), got "
            "(4, 3); 'weight_hh_l0': expected shape (16, 4), got (4, 4); 4 rows for 4 units: is "
            "this an RNN?",
        ),
        (
            ROOT | {"weight_ih_l2": (16, 4)},
            "",
            NOT_ONE + "'weight_ih_l2' belongs to no layer found",
        ),
        (
            ROOT | {"weight_ih_l999999999": (16, 4)},
            "",
            NOT_ONE + "'weight_ih_l999999999' belongs to no layer found",
        ),
        (
            ROOT | {"weight_ih_l0": (16,)},
            "",
            "'weight_ih_l0': expected a 2-D array, got shape (16,)",
        ),
        ({"weight_ih_l0": (16, 3)}, "", NOT_ONE + "missing 'weight_hh_l0'"),
        (
            {"weight_ih_l0": (16, 3), "weight_hh_l0": (), "weight_hr_l0": (2, 4)},
            "",
            NOT_ONE + "'weight_hh_l0': expected shape (16, 2), got ()",
        ),
        ({"weight_ih_l0": (0, 0), "weight_hh_l0": (0, 0)}, "", "input_size must be greater than"),
    ],
)
def test_no_network_in_it(shapes: dict[str, tuple[int, ...]], prefix: str, text: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the whole text follows
        LSTM.from_state_dict({name: np.zeros(shape) for name, shape in shapes.items()}, prefix)
    assert str(raised.value).startswith(text)


# --- pickles and copies ---


class Named(LSTM):
    """What callers do: a subclass with attributes of its own."""

    def __init__(self, name: str) -> None:
        super().__init__(2, 5, 2, batch_first=True, dropout=0.5, bidirectional=1)
        self.name = name
        self._note = [name]


def duplicates(lstm: LSTM) -> list[LSTM]:
    pickled = [pickle.loads(pickle.dumps(lstm, protocol)) for protocol in range(6)]
    return [*pickled, copy.deepcopy(lstm), copy.copy(lstm)]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pickles(dtype: str, training: bool, rng: np.random.Generator) -> None:
    lstm = LSTM(2, 5, 2, False, True, 0.5, True, 3, dtype=dtype).train(training)
    lstm.generator = lstm_native.Generator().manual_seed(5)
    state = lstm.generator.get_state()
    x = normal(rng, 3, 4, 2, dtype=dtype)
    expected, _ = lstm(x)
    lstm.generator.set_state(state)
    for twin in duplicates(lstm):
        assert repr(twin) == repr(lstm)
        assert (twin.training, twin.dtype) == (training, dtype)
        assert twin.flat_parameters.flags.writeable is training
        assert not np.shares_memory(twin.flat_parameters, lstm.flat_parameters)
        twin.generator = lstm_native.Generator()
        twin.generator.set_state(state)
        np.testing.assert_array_equal(twin(x)[0], expected)


def test_pickles_of_a_subclass() -> None:
    lstm = Named("a")
    for twin in duplicates(lstm):
        assert type(twin) is Named
        assert (twin.name, twin._note) == ("a", ["a"])
        assert repr(twin) == (
            "Named(2, 5, num_layers=2, batch_first=True, dropout=0.5, bidirectional=1)"
        )

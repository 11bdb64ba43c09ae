"""Every error and warning a caller of a constructor or a call can meet: class, text and order.

Each fault is tried here; where torch makes the same check, there too, so that class and text are
torch's own with its words for arrays exchanged for NumPy's. The cell's are in ``test_cell.py``,
those of backward passes in ``test_lstm_interface.py``, those of state dicts in
``test_parameters.py``.
"""

import re
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from lstm_native import LSTM, LSTMCell, PackedSequence


class Given(NamedTuple):
    args: tuple[Any, ...]
    options: dict[str, Any]


def given(*args: Any, **options: Any) -> Given:
    return Given(args, options)


def error_of(call: Callable[[], Any]) -> tuple[type, str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call()
        except Exception as error:
            return type(error), str(error)
    return type(None), "nothing was raised"


def in_our_words(text: str) -> str:
    text = re.sub(r"torch\.(?=float|int|bool|complex)", "", text).replace("RNNBase.", "LSTM.")
    return text.replace(" tensors", " ndarrays").replace("LSTM.forward()", "LSTM.__call__()")


def zeros(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.zeros(shape, dtype)


def pair(h: tuple[int, ...], c: tuple[int, ...] | None = None) -> tuple[np.ndarray, np.ndarray]:
    return zeros(*h), zeros(*(h if c is None else c))


def tensors(torch: Any, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    return type(value)(tensors(torch, v) for v in value) if isinstance(value, tuple) else value


# --- constructors: a class, a text, and what brings them; torch says exactly the same ---

CONSTRUCTOR: list[tuple[type[Exception], str, list[Given]]] = [
    (TypeError, "LSTM.__init__() missing 2 required positional arguments: 'input_size' and "
     "'hidden_size'", [given()]),
    (TypeError, "LSTM.__init__() missing 1 required positional argument: 'hidden_size'",
     [given(3), given(input_size=3)]),
    (TypeError, "LSTM.__init__() got an unexpected keyword argument 'foo'", [given(3, 4, foo=1)]),
    (TypeError, "float() argument must be a string or a real number, not 'NoneType'",
     [given(3, 4, dropout=None)]),
    (TypeError, "float() argument must be a string or a real number, not 'complex'",
     [given(3, 4, dropout=1j)]),
    (ValueError, "dropout should be a number in range [0, 1] representing the probability of an "
     "element being zeroed",
     [given(3, 4, dropout=p) for p in (True, np.True_, "0.5", -0.1, 1.1, 2, np.nan, np.inf)]
     + [given(0, 0, dropout=2, bias=1)]),
    (TypeError, "bias should be of type bool, got: int",
     [given(3, 4, bias=1), given(0, 0, bias=1, batch_first=1)]),
    (TypeError, "batch_first should be of type bool, got: int",
     [given(3, 4, batch_first=0), given(0, 0, batch_first=1)]),
    (TypeError, "input_size should be of type int, got: float", [given(3.0, 4), given(3.0, 0)]),
    (TypeError, "input_size should be of type int, got: NoneType", [given(None, 4)]),
    (ValueError, "input_size must be greater than zero", [given(0, 4), given(0, "4")]),
    (TypeError, "hidden_size should be of type int, got: str", [given(3, "4"), given(3, "4", 0)]),
    (ValueError, "hidden_size must be greater than zero", [given(3, -1), given(3, 0, 0)]),
    (ValueError, "num_layers must be greater than zero",
     [given(3, 4, 0), given(3, 4, -1), given(3, 4, 0, proj_size=-1)]),
    (ValueError, "proj_size should be a positive integer or zero to disable projections",
     [given(3, 4, proj_size=-1)]),
    (ValueError, "proj_size has to be smaller than hidden_size",
     [given(3, 4, proj_size=4), given(3, 4, proj_size=5)]),
]  # fmt: skip
# Here torch says nothing, or stops in the middle with words about something else.
OUR_CONSTRUCTOR: list[tuple[type[Exception], str, list[Given]]] = [
    (TypeError, "num_layers should be of type int, got: float", [given(3, 4, 2.0)]),
    (TypeError, "num_layers should be of type int, got: str", [given(3, 4, "2")]),
    (TypeError, "proj_size should be of type int, got: NoneType", [given(3, 4, proj_size=None)]),
    (TypeError, "dtype should be float32 or float64, got: int64", [given(3, 4, dtype=np.int64)]),
    (TypeError, "dtype should be float32 or float64, got: float16", [given(3, 4, dtype="f2")]),
]  # fmt: skip


def each(table: list[tuple[type[Exception], str, list[Given]]]) -> list[tuple[type, str, Given]]:
    return [(kind, text, one) for kind, text, many in table for one in many]


@pytest.mark.parametrize(("kind", "text", "what"), each(CONSTRUCTOR + OUR_CONSTRUCTOR))
def test_constructor(kind: type, text: str, what: Given) -> None:
    assert error_of(lambda: LSTM(*what.args, **what.options)) == (kind, text)


@pytest.mark.parametrize(("kind", "text", "what"), each(CONSTRUCTOR))
def test_constructor_of_torch(kind: type, text: str, what: Given, torch: Any) -> None:
    got = error_of(lambda: torch.nn.LSTM(*what.args, **what.options))
    assert (got[0], in_our_words(got[1])) == (kind, text)


IDLE_DROPOUT = (
    "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
    "num_layers greater than 1, but got dropout=0.5 and num_layers=1"
)


def test_dropout_without_a_second_layer_warns_at_the_callers_line() -> None:
    with pytest.warns(UserWarning, match="dropout option") as caught:
        LSTM(3, 4, dropout=0.5)
    (warning,) = caught
    assert str(warning.message) == IDLE_DROPOUT
    assert warning.filename == __file__


def test_warning_of_torch(torch: Any) -> None:
    with pytest.warns(UserWarning, match="dropout option") as caught:
        torch.nn.LSTM(3, 4, dropout=0.5)
    assert [str(warning.message) for warning in caught] == [IDLE_DROPOUT]


def test_numpy_scalars_are_numbers() -> None:
    lstm = LSTM(
        np.int64(3), np.int32(4), np.uint8(2), np.True_, np.False_, np.float32(0.5), np.True_
    )
    assert repr(lstm) == "LSTM(3, 4, num_layers=2, dropout=0.5, bidirectional=True)"
    assert (type(lstm.input_size), type(lstm.bias), type(lstm.dropout)) == (int, bool, float)


@pytest.mark.parametrize("cls", [LSTM, LSTMCell])
@pytest.mark.parametrize("sizes", [(2**40, 2**40), (2**62, 1), (1, 2**62), (10**30, 1)])
def test_absurd_sizes(cls: type, sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"an LSTM of these sizes has \d+ parameters, more than"):
        cls(*sizes)


def test_more_layers_than_memory() -> None:
    with pytest.raises(MemoryError):
        LSTM(1, 1, num_layers=2**50)


# --- calls of an LSTM(3, 4) ---

X = zeros(5, 2, 3)
CALL: list[tuple[type[Exception], str, list[Given]]] = [
    (ValueError, "LSTM: Expected input to be 2D or 3D, got 0D instead", [given(zeros())]),
    (ValueError, "LSTM: Expected input to be 2D or 3D, got 1D instead", [given(zeros(3))]),
    (ValueError, "LSTM: Expected input to be 2D or 3D, got 4D instead", [given(zeros(1, 5, 2, 3))]),
    (RuntimeError, "For batched 3-D input, hx and cx should also be 3-D but got (2-D, 2-D) "
     "ndarrays",
     [given(X, pair((1, 4))), given(zeros(5, 2, 7, dtype="float64"), pair((1, 4)))]),
    (RuntimeError, "For batched 3-D input, hx and cx should also be 3-D but got (3-D, 2-D) "
     "ndarrays", [given(X, pair((1, 2, 4), (1, 4)))]),
    (RuntimeError, "For unbatched 2-D input, hx and cx should also be 2-D but got (3-D, 3-D) "
     "ndarrays", [given(zeros(5, 3), pair((1, 2, 4)))]),
    (RuntimeError, "input.size(-1) must be equal to input_size. Expected 3, got 7",
     [given(zeros(5, 2, 7)), given(zeros(5, 7)), given(zeros(5, 2, 7), pair((1, 3, 4)))]),
    (RuntimeError, "Expected hidden[0] size (1, 2, 4), got [1, 3, 4]",
     [given(X, pair((1, 3, 4))), given(zeros(0, 2, 3), pair((1, 3, 4)))]),
    (RuntimeError, "Expected hidden[0] size (1, 2, 4), got [2, 1, 4]", [given(X, pair((2, 1, 4)))]),
    (RuntimeError, "Expected hidden[1] size (1, 2, 4), got [1, 2, 3]",
     [given(X, pair((1, 2, 4), (1, 2, 3)))]),
    (RuntimeError, "Expected sequence length to be larger than 0 in RNN",
     [given(zeros(0, 2, 3)), given(zeros(0, 3)), given(zeros(0, 0, 3))]),
    (RuntimeError, "lstm expects two hidden states", [given(X, (zeros(1, 2, 4),) * 3)]),
]  # fmt: skip
OUR_CALL: list[tuple[type[Exception], str, list[Given]]] = [
    # torch shows its own third axis.
    (RuntimeError, "Expected hidden[0] size (1, 4), got [2, 4]",
     [given(zeros(5, 3), pair((2, 4)))]),
    (RuntimeError, "lstm expects two hidden states", [given(X, (zeros(1, 2, 4),)), given(X, ())]),
    (TypeError, "LSTM: hx should be a tuple (h_0, c_0) of ndarrays, got ndarray",
     [given(X, zeros(2, 1, 2, 4)), given(zeros(5, 3), zeros(2, 1, 4))]),
    (TypeError, "hx[0] should be an ndarray, got NoneType", [given(X, (None, None))]),
    (TypeError, "hx[1] should be an ndarray, got float", [given(X, (zeros(1, 2, 4), 0.0))]),
    (ValueError, "RNN hx[1] dtype (float64) does not match weight dtype (float32). Convert hx[1]: "
     "x.astype(np.float32), or convert the model: LSTM(..., dtype=np.float64)",
     [given(X, (zeros(1, 2, 4), zeros(1, 2, 4, dtype="float64")))]),
    (TypeError, "input should be an ndarray, got list", [given([[1.0, 2.0, 3.0]])]),
    (TypeError, "input should be an ndarray, got NoneType", [given(None)]),
    # lengths= is no argument of torch's.
    (ValueError, "lengths= needs a batched 3-D input, got 2-D", [given(zeros(5, 3), lengths=[5])]),
    (ValueError, "Expected `len(lengths)` to be equal to batch_size, but got 3 (batch_size=2)",
     [given(X, lengths=[5, 4, 3])]),
    (ValueError, "lengths should be between 0 and the sequence length 5, but lengths[1] is 6",
     [given(X, lengths=[5, 6]), given(X, lengths=np.array([5, 6], np.uint8))]),
    (ValueError, "lengths should be between 0 and the sequence length 5, but lengths[0] is -1",
     [given(X, lengths=[-1, 6])]),
    (ValueError, "lengths should fit int64, got 18446744073709551615",
     [given(X, lengths=np.array([2**64 - 1, 5], np.uint64))]),
    (TypeError, "lengths should be 1-D integers, got 1-D float64", [given(X, lengths=[5.0, 4.0])]),
    (TypeError, "lengths should be 1-D integers, got 1-D bool", [given(X, lengths=[True, True])]),
    (TypeError, "lengths should be 1-D integers, got 2-D int64", [given(X, lengths=[[5, 4]])]),
    (TypeError, "lengths should be 1-D integers, got 0-D int64", [given(X, lengths=5)]),
]  # fmt: skip


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("kind", "text", "what"), each(CALL + OUR_CALL))
def test_call(kind: type, text: str, what: Given, training: bool) -> None:
    lstm = LSTM(3, 4).train(training)
    assert error_of(lambda: lstm(*what.args, **what.options)) == (kind, text)
    assert error_of(lambda: lstm.record(*what.args, **what.options)) == (kind, text)


@pytest.mark.parametrize(("kind", "text", "what"), each(CALL))
def test_call_of_torch(kind: type, text: str, what: Given, torch: Any) -> None:
    got = error_of(lambda: torch.nn.LSTM(3, 4)(*tensors(torch, what.args)))
    assert (got[0], in_our_words(got[1])) == (kind, text)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(("layers", "shape"), [(1, (2, 1, 4)), (2, (3, 2, 4))])
def test_state_that_is_batch_first(layers: int, shape: tuple[int, ...], batch_first: bool) -> None:
    lstm = LSTM(3, 4, layers, batch_first=batch_first)
    x = zeros(shape[0], 5, 3) if batch_first else zeros(5, shape[0], 3)
    expected = shape[1], shape[0], shape[2]
    text = f"Expected hidden[0] size {expected}, got {list(shape)}"
    if batch_first:
        text += (
            ": hx is never batch-first, also not with batch_first=True; pass hx[0].swapaxes(0, 1)"
        )
    assert error_of(lambda: lstm(x, pair(shape))) == (RuntimeError, text)
    other = (shape[0], shape[1] + 1, 4)  # fits no reading: no advice
    text = f"Expected hidden[0] size {expected}, got {list(other)}"
    assert error_of(lambda: lstm(x, pair(other))) == (RuntimeError, text)


DTYPES = ["float64", "float16", "int64", "bool", "complex64"]


@pytest.mark.parametrize("features", [3, 7])  # the dtype is told first
@pytest.mark.parametrize("dtype", [*DTYPES, "object"])
def test_dtype_of_the_input(dtype: str, features: int) -> None:
    text = (
        f"RNN input dtype ({dtype}) does not match weight dtype (float32). "
        "Convert input: x.astype(np.float32)"
    )
    if dtype == "float64":
        text += ", or convert the model: LSTM(..., dtype=np.float64)"
    assert error_of(lambda: LSTM(3, 4)(zeros(5, 2, features, dtype=dtype))) == (ValueError, text)


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtype_of_the_input_of_torch(dtype: str, torch: Any) -> None:
    kind, text = error_of(
        lambda: torch.nn.LSTM(3, 4)(torch.from_numpy(zeros(5, 2, 7, dtype=dtype)))
    )
    assert kind is ValueError
    assert in_our_words(text).startswith(
        f"RNN input dtype ({dtype}) does not match weight dtype (float32). Convert input: "
    )


def test_masked_entries() -> None:
    x = np.ma.masked_invalid(np.full((5, 2, 3), np.nan, np.float32))
    assert error_of(lambda: LSTM(3, 4)(x)) == (
        ValueError,
        "input is a masked array with masked entries: fill them first, .filled()",
    )


# --- packed input: torch checks nothing of it (pytorch#195803) ---


def forged(**fields: Any) -> PackedSequence:
    """Five frames of two sequences, and what the constructor would refuse."""
    packed = PackedSequence(zeros(5, 3), np.array([2, 2, 1]), np.array([1, 0]), np.array([1, 0]))
    return packed._replace(**fields)


PACKED: list[tuple[type[Exception], str, dict[str, Any]]] = [
    (RuntimeError, "input.size(-1) must be equal to input_size. Expected 3, got 7",
     {"data": zeros(5, 7)}),
    (ValueError, "LSTM: Expected packed input data to be 2D, got 3D instead",
     {"data": zeros(5, 2, 3)}),
    (ValueError, "RNN input dtype (int64) does not match weight dtype (float32). Convert input: "
     "x.astype(np.float32)", {"data": zeros(5, 3, dtype="int64")}),
    (ValueError, "PackedSequence: the sum of batch_sizes is 5, but data has 6 rows",
     {"data": zeros(6, 3)}),
    (ValueError, "batch_sizes of a PackedSequence should be positive and never grow",
     {"batch_sizes": np.array([2, 2, 1, 0])}),
    (ValueError, "batch_sizes of a PackedSequence should be positive and never grow",
     {"batch_sizes": np.array([1, 2, 2])}),
    (ValueError, f"PackedSequence: the sum of batch_sizes is {2**64}, but data has 0 rows",
     {"batch_sizes": np.array([2**62] * 4), "data": zeros(0, 3)}),
    (RuntimeError, "Expected sequence length to be larger than 0 in RNN",
     {"batch_sizes": np.array([], np.int64), "data": zeros(0, 3)}),
    (TypeError, "batch_sizes should be 1-D integers, got 1-D float64",
     {"batch_sizes": np.array([2.0, 2.0, 1.0])}),
    (ValueError, "PackedSequence: sorted_indices is no permutation of 0..1",
     {"sorted_indices": np.array([1, 1])}),
    (ValueError, "PackedSequence: sorted_indices is no permutation of 0..1",
     {"sorted_indices": np.array([0, 1, 2])}),
    (ValueError, "PackedSequence: unsorted_indices is not the inverse of sorted_indices",
     {"sorted_indices": np.array([0, 1])}),
    (ValueError, "PackedSequence: unsorted_indices without sorted_indices",
     {"sorted_indices": None}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "fields"), PACKED)
def test_packed_input(kind: type, text: str, fields: dict[str, Any]) -> None:
    assert error_of(lambda: LSTM(3, 4)(forged(**fields))) == (kind, text)


@pytest.mark.parametrize(
    ("hx", "text"),
    [
        (pair((1, 3, 4)), "Expected hidden[0] size (1, 2, 4), got [1, 3, 4]"),
        (pair((1, 2, 4), (1, 2, 5)), "Expected hidden[1] size (1, 2, 4), got [1, 2, 5]"),
        (
            pair((1, 4)),
            "For packed input, hx and cx should also be 3-D but got (2-D, 2-D) ndarrays",
        ),
    ],
)
def test_state_with_packed_input(hx: Any, text: str) -> None:
    assert error_of(lambda: LSTM(3, 4)(forged(), hx)) == (RuntimeError, text)


def test_lengths_with_packed_input() -> None:
    assert error_of(lambda: LSTM(3, 4)(forged(), lengths=[3, 2])) == (
        ValueError,
        "a PackedSequence has its own lengths: lengths= is for padded input",
    )

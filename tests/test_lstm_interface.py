"""What an LSTM takes, gives and remembers: layouts, memory, inputs of other kinds, modes, the
backward call. The numbers themselves are tried against torch and a reference elsewhere.
"""

import copy
import inspect
import pickle
from typing import Any

import numpy as np
import pytest

import lstm_native
from lstm_native import LSTM, Gradients, PackedSequence, Tape, pack_padded_sequence

SIGNATURE = (
    "(self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0, "
    "bidirectional=False, proj_size=0, *, dtype=<class 'numpy.float32'>, "
    "precision=None)"
)
REPRS = [
    ({}, "LSTM(3, 4)"),
    ({"bidirectional": 1}, "LSTM(3, 4, bidirectional=1)"),
    (
        {
            "num_layers": 2,
            "bias": False,
            "batch_first": True,
            "dropout": 0.25,
            "bidirectional": True,
            "proj_size": 2,
        },
        "LSTM(3, 4, proj_size=2, num_layers=2, bias=False, batch_first=True, dropout=0.25, "
        "bidirectional=True)",
    ),
    ({"num_layers": 2, "dropout": 1}, "LSTM(3, 4, num_layers=2, dropout=1.0)"),
]


def normal(rng: np.random.Generator, *shape: int, dtype: str = "float32") -> np.ndarray:
    return rng.standard_normal(shape).astype(dtype)


@pytest.fixture
def lstm() -> LSTM:
    """Two layers, two directions, a projection: L*D = 4, P = 3, H = 5, I = 2."""
    lstm_native.manual_seed(1)
    return LSTM(2, 5, num_layers=2, bidirectional=True, proj_size=3)


def test_signature() -> None:
    parameters = [
        p.replace(annotation=p.empty) for p in inspect.signature(LSTM.__init__).parameters.values()
    ]
    assert str(inspect.Signature(parameters)) == SIGNATURE


@pytest.mark.parametrize(("options", "text"), REPRS)
def test_repr(options: dict[str, Any], text: str) -> None:
    assert repr(LSTM(3, 4, **options)) == text


@pytest.mark.parametrize(("options", "text"), REPRS)
def test_repr_of_torch(options: dict[str, Any], text: str, torch: Any) -> None:
    assert repr(torch.nn.LSTM(3, 4, **options)) == text


def test_attributes(lstm: LSTM) -> None:
    names = ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout")
    assert [getattr(lstm, name) for name in names] == [2, 5, 2, True, False, 0.0]
    assert (lstm.bidirectional, lstm.proj_size, lstm.training) == (True, 3, True)
    assert (lstm.dtype, lstm.generator) == (np.float32, None)
    assert lstm.flatten_parameters() is None
    for name in ("input_size", "hidden_size", "num_layers", "bias", "bidirectional", "proj_size"):
        with pytest.raises(AttributeError):
            setattr(lstm, name, 1)
    lstm.batch_first, lstm.dropout = True, 0.5
    assert repr(lstm).endswith("batch_first=True, dropout=0.5, bidirectional=True)")
    with pytest.raises(TypeError, match="generator should be a Generator, got: int"):
        lstm.generator = 3
    with pytest.raises(TypeError, match="batch_first should be of type bool"):
        lstm.batch_first = 1
    with pytest.raises(ValueError, match="dropout should be a number"):
        lstm.dropout = 2
    with pytest.raises(AttributeError, match="'LSTM' object has no attribute 'foo'"):
        lstm.foo  # noqa: B018


def test_modes(lstm: LSTM) -> None:
    assert lstm.eval() is lstm
    assert not lstm.training
    assert lstm.train() is lstm
    assert lstm.training
    assert not lstm.train(False).training
    lstm.training = True
    assert lstm.training
    with pytest.raises(ValueError, match="training mode is expected to be boolean"):
        lstm.train(1)


# --- layouts and memory ---


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("training", [True, False])
def test_shapes(training: bool, dtype: str, rng: np.random.Generator) -> None:
    lstm = LSTM(2, 5, 2, bidirectional=True, proj_size=3, dtype=dtype).train(training)
    for batch_first in (False, True):
        lstm.batch_first = batch_first
        for shape in ((7, 2), (7, 4, 2), (7, 0, 2) if not batch_first else (0, 7, 2)):
            output, (h_n, c_n) = lstm(np.zeros(shape, dtype))
            batch = () if len(shape) == 2 else (shape[0 if batch_first else 1],)
            assert output.shape == (*shape[:-1], 6)
            assert (h_n.shape, c_n.shape) == ((4, *batch, 3), (4, *batch, 5))
            for array in (output, h_n, c_n):
                assert array.dtype == dtype
                assert array.flags.c_contiguous
                assert array.flags.owndata
                assert array.flags.writeable


def test_layouts_agree(lstm: LSTM, rng: np.random.Generator) -> None:
    x = normal(rng, 7, 4, 2)
    state = normal(rng, 4, 4, 3), normal(rng, 4, 4, 5)
    output, (h_n, c_n) = lstm(x, state)
    one, (h_1, c_1) = lstm(x[:, 2], (state[0][:, 2], state[1][:, 2]))
    np.testing.assert_array_equal(one, output[:, 2])
    np.testing.assert_array_equal(h_1, h_n[:, 2])
    np.testing.assert_array_equal(c_1, c_n[:, 2])
    lstm.batch_first = True
    swapped, _ = lstm(np.ascontiguousarray(x.swapaxes(0, 1)), list(state))
    np.testing.assert_array_equal(swapped.swapaxes(0, 1), output)
    one_row = lstm(x[:, 2], (state[0][:, 2], state[1][:, 2]))  # batch_first is not about this
    np.testing.assert_array_equal(one_row[0], one)


def test_packed_in_packed_out(lstm: LSTM, rng: np.random.Generator) -> None:
    x, lengths = normal(rng, 5, 3, 2), [3, 5, 1]
    state = normal(rng, 4, 3, 3), normal(rng, 4, 3, 5)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=False)
    output, (h_n, c_n) = lstm(packed, state)
    assert type(output) is PackedSequence
    assert output[1:] == packed[1:]  # the same objects: arrays have no other ==
    assert all(a is b for a, b in zip(output[1:], packed[1:], strict=True))
    padded, (h_p, c_p) = lstm(x, state, lengths=lengths)
    np.testing.assert_array_equal(h_n, h_p)
    np.testing.assert_array_equal(c_n, c_p)
    unpacked, _ = lstm_native.pad_packed_sequence(output)
    np.testing.assert_array_equal(unpacked, padded)


def test_lengths(lstm: LSTM, rng: np.random.Generator) -> None:
    x = normal(rng, 5, 3, 2)
    state = normal(rng, 4, 3, 3), normal(rng, 4, 3, 5)
    output, (h_n, c_n) = lstm(x, state, lengths=np.array([0, 5, 2], np.uint8))
    assert not output[:, 0].any()
    assert not output[2:, 2].any()
    np.testing.assert_array_equal(h_n[:, 0], state[0][:, 0])
    np.testing.assert_array_equal(c_n[:, 0], state[1][:, 0])
    short, (h_1, _) = lstm(x[:2, 2], (state[0][:, 2], state[1][:, 2]))
    np.testing.assert_array_equal(output[:2, 2], short)
    np.testing.assert_array_equal(h_n[:, 2], h_1)
    x[2:, 2] = np.nan  # pad frames are not read
    np.testing.assert_array_equal(lstm(x, state, lengths=[0, 5, 2])[0], output)


def test_state_of_the_caller_is_left_alone(rng: np.random.Generator) -> None:
    lstm, x, same = LSTM(2, 5, 2), normal(rng, 5, 3, 2), normal(rng, 2, 3, 5)
    before = same.copy()
    expected, _ = lstm(x, (same.copy(), same.copy()))
    same.flags.writeable = False
    output, (h_n, c_n) = lstm(x, (same, same))
    np.testing.assert_array_equal(output, expected)
    np.testing.assert_array_equal(same, before)
    assert not np.shares_memory(h_n, c_n)


class Dlpack:
    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


class Convertible:
    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.array


def misaligned(x: np.ndarray) -> np.ndarray:
    raw = np.empty(x.nbytes + 1, np.uint8)[1:]
    view = raw.view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def in_records(x: np.ndarray) -> np.ndarray:
    records = np.zeros(x.shape, [("pad", np.uint16), ("x", x.dtype)])
    records["x"] = x
    return records["x"]


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


@pytest.mark.parametrize(
    "change",
    [
        read_only,
        misaligned,
        in_records,
        np.asfortranarray,
        np.ma.masked_invalid,
        memoryview,
        lambda x: x.astype(">f4"),
        lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
        lambda x: x[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
        lambda x: x.transpose(2, 0, 1).copy().transpose(1, 2, 0),
        Dlpack,
        Convertible,
    ],
)
def test_inputs_of_other_kinds(change: Any, lstm: LSTM, rng: np.random.Generator) -> None:
    x, h, c = normal(rng, 5, 3, 2), normal(rng, 4, 3, 3), normal(rng, 4, 3, 5)
    for training in (True, False):
        lstm.train(training)
        output, (h_n, c_n) = lstm(change(x), (change(h), change(c)))
        expected, (h_e, c_e) = lstm(x, (h, c))
        for got, want in ((output, expected), (h_n, h_e), (c_n, c_e)):
            assert type(got) is np.ndarray
            np.testing.assert_array_equal(got, want)


def test_one_feature_of_any_stride(rng: np.random.Generator) -> None:
    lstm, series = LSTM(1, 4), normal(rng, 6, 3)
    expected, _ = lstm(series.reshape(6, 3, 1).copy())
    np.testing.assert_array_equal(lstm(series[:, :, None])[0], expected)
    np.testing.assert_array_equal(lstm(np.asfortranarray(series)[:, :, None])[0], expected)
    one = np.broadcast_to(np.float32(0.5), (6, 3, 1))
    np.testing.assert_array_equal(lstm(one)[0], lstm(one.copy())[0])


def test_tensors_are_inputs(torch: Any, lstm: LSTM, rng: np.random.Generator) -> None:
    x = normal(rng, 5, 3, 2)
    np.testing.assert_array_equal(lstm(torch.from_numpy(x))[0], lstm(x)[0])


# --- backward calls ---


def test_any_subset_of_gradients(lstm: LSTM, rng: np.random.Generator) -> None:
    x = normal(rng, 5, 3, 2)
    dy, dh, dc = normal(rng, 5, 3, 6), normal(rng, 4, 3, 3), normal(rng, 4, 3, 5)

    def gradients(*args: Any) -> Gradients:
        _, _, tape = lstm.record(x)
        return lstm.backward(tape, *args)

    whole = gradients(dy, (dh, dc))
    assert [g.shape for g in whole] == [(5, 3, 2), (4, 3, 3), (4, 3, 5), lstm.flat_parameters.shape]
    parts = [gradients(dy), gradients(None, (dh, None)), gradients(None, [None, dc])]
    for field, total in zip(whole._fields, whole, strict=True):
        np.testing.assert_allclose(sum(getattr(p, field) for p in parts), total, atol=1e-5)
    for nothing in (gradients(), gradients(None, (None, None))):
        assert not any(g.any() for g in nothing)
    np.testing.assert_array_equal(
        gradients(np.asfortranarray(dy), (dh.astype(">f4"), misaligned(dc))).parameters,
        whole.parameters,
    )


def test_into_is_added_to(lstm: LSTM, rng: np.random.Generator) -> None:
    x, dy = normal(rng, 5, 3, 2), normal(rng, 5, 3, 6)
    fresh = lstm.backward(lstm.record(x)[2], dy).parameters
    buffer = np.ones_like(fresh)
    result = lstm.backward(lstm.record(x)[2], dy, into=buffer)
    assert result.parameters is buffer
    np.testing.assert_allclose(buffer, fresh + 1, rtol=1e-6, atol=1e-6)
    views = lstm.parameter_views(buffer)
    assert [(n, v.shape) for n, v in views.items()] == [
        (n, p.shape) for n, p in lstm.named_parameters()
    ]
    assert all(np.shares_memory(view, buffer) for view in views.values())
    with pytest.raises(ValueError, match=r"flat: expected shape \(\d+,\), got \(3,\)"):
        lstm.parameter_views(buffer[:3])


def test_no_rows_add_nothing(lstm: LSTM, rng: np.random.Generator) -> None:
    x, buffer = normal(rng, 5, 0, 2), np.ones_like(lstm.flat_parameters)
    output, _, tape = lstm.record(x)
    lstm.backward(tape, output, into=buffer)
    assert (buffer == 1).all()
    assert not lstm.backward(lstm.record(x)[2], output).parameters.any()


@pytest.mark.parametrize("whole", [True, False])
def test_packed_gradients(whole: bool, lstm: LSTM, rng: np.random.Generator) -> None:
    packed = pack_padded_sequence(normal(rng, 5, 3, 2), [3, 5, 1], enforce_sorted=False)
    output, _, tape = lstm.record(packed)
    dy = output._replace(data=normal(rng, *output.data.shape))
    result = lstm.backward(tape, dy if whole else dy.data)
    assert type(result.input) is PackedSequence
    assert result.input.data.shape == packed.data.shape
    assert all(a is b for a, b in zip(result.input[1:], packed[1:], strict=True))


def test_faults_of_a_backward_call(lstm: LSTM, rng: np.random.Generator) -> None:
    output, (h_n, c_n), tape = lstm.record(normal(rng, 5, 3, 2))
    flat = np.zeros_like(lstm.flat_parameters)
    packed = pack_padded_sequence(normal(rng, 5, 3, 6), [3, 5, 1], enforce_sorted=False)
    read_only_flat = read_only(flat)
    faults: list[tuple[type[Exception], str, tuple, dict]] = [
        (TypeError, r"tape should be a Tape from LSTM.record\(\), got tuple", ((1, 2),), {}),
        (RuntimeError, r"Expected grad_output size \(5, 3, 6\), got \[3, 5, 6\]",
         (tape, output.swapaxes(0, 1)), {}),
        (ValueError, r"grad_output dtype \(float64\) does not match weight dtype \(float32\)",
         (tape, output.astype(float)), {}),
        (TypeError, "grad_output should be an ndarray, got PackedSequence", (tape, packed), {}),
        (TypeError, "grad_output should be an ndarray, got float", (tape, 1.0), {}),
        (TypeError, r"grad_state should be a tuple \(grad_h_n, grad_c_n\), got ndarray",
         (tape, None, h_n), {}),
        (TypeError, r"grad_state should be a tuple \(grad_h_n, grad_c_n\), got tuple",
         (tape, None, (h_n,)), {}),
        (RuntimeError, r"Expected grad_state\[1\] size \(4, 3, 5\), got \[4, 3, 3\]",
         (tape, None, (h_n, h_n)), {}),
        (TypeError, "into should be an ndarray, got list", (tape,), {"into": [0.0]}),
        (ValueError, r"into dtype \(float64\) does not match weight dtype \(float32\)",
         (tape,), {"into": flat.astype(float)}),
        (ValueError, r"into: expected shape \(\d+,\), got \(3,\)", (tape,), {"into": flat[:3]}),
        (ValueError, "into should be contiguous, aligned and writable",
         (tape,), {"into": np.repeat(flat, 2)[::2]}),
        (ValueError, "into should be contiguous, aligned and writable",
         (tape,), {"into": read_only_flat}),
        (ValueError, "into should be contiguous, aligned and writable",
         (tape,), {"into": misaligned(flat)}),
        (ValueError, "into overlaps the parameters themselves",
         (tape,), {"into": lstm.flat_parameters}),
    ]  # fmt: skip
    for kind, text, args, options in faults:
        with pytest.raises(kind, match=text):
            lstm.backward(*args, **options)
    assert not tape.consumed  # a fault does not use it up
    lstm.backward(tape, output, (h_n, c_n))
    with pytest.raises(RuntimeError, match=r"through a tape a second time.*record\(\) again"):
        lstm.backward(tape)
    with pytest.raises(ValueError, match="recorded by another network than this LSTM"):
        copy.deepcopy(lstm).backward(lstm.record(np.zeros((5, 2), np.float32))[2])


def test_gradients_packed_otherwise(lstm: LSTM, rng: np.random.Generator) -> None:
    x = normal(rng, 5, 3, 2)
    output, _, tape = lstm.record(pack_padded_sequence(x, [3, 5, 1], enforce_sorted=False))
    with pytest.raises(ValueError, match="grad_output: sorted_indices differ"):
        lstm.backward(tape, output._replace(sorted_indices=None))
    with pytest.raises(ValueError, match="grad_output: batch_sizes differ"):
        lstm.backward(tape, output._replace(batch_sizes=np.array([3, 3, 3])))


def test_tape(lstm: LSTM) -> None:
    x = np.zeros((5, 3, 2), np.float32)
    output, _, tape = lstm.record(x)
    assert type(tape) is Tape
    assert not output.flags.writeable
    assert tape.nbytes > 0
    assert repr(tape) == f"Tape(input (5, 3, 2), float32, {tape.nbytes} bytes)"
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="a Tape cannot be pickled or copied"):
            attempt(tape)
    lstm.backward(tape)
    assert repr(tape).endswith(", consumed)")
    packed = lstm.record(pack_padded_sequence(x, [5, 3, 1]))[2]
    assert repr(packed).startswith("Tape(packed input (9, 2), float32, ")


def test_weights_of_the_tape_are_those_of_its_time(lstm: LSTM, rng: np.random.Generator) -> None:
    x, dy = normal(rng, 5, 3, 2), normal(rng, 5, 3, 6)
    expected = lstm.backward(lstm.record(x)[2], dy)
    _, _, tape = lstm.record(x)
    lstm.flat_parameters[...] = 0
    np.testing.assert_array_equal(lstm.backward(tape, dy).parameters, expected.parameters)

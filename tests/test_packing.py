"""Packed sequences: parity with torch over generated batches, and every message."""

from __future__ import annotations

import copy
import pickle
import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from lstm_native.packing import (
    PackedSequence,
    invert_permutation,
    pack_padded_sequence,
    pack_sequence,
    pad_packed_sequence,
    pad_sequence,
    unpack_sequence,
    unpad_sequence,
)

Array = NDArray[Any]
Batch = tuple[Array, list[int], bool]  # padded, lengths, batch_first

DTYPES = ("float32", "float64", "int64", "int32", "int8", "uint8", "bool", "complex64")
TRAILING = ((), (1,), (3,), (2, 3))
# From 17 sequences on, torch's descending sort leaves equal lengths in an order of its own.
STABLE_IN_TORCH = 16


def numbers(shape: tuple[int, ...], dtype: str) -> Array:
    """Values that tell every element of the batch from its neighbours."""
    return (np.arange(np.prod(shape)) % 101 + 1).reshape(shape).astype(dtype)


@st.composite
def batches(draw: st.DrawFn, smallest: int = 1) -> Batch:
    lengths = draw(st.lists(st.integers(smallest, 7), min_size=1, max_size=24))
    T = max([*lengths, 1]) + draw(st.integers(0, 2))
    batch_first = draw(st.booleans())
    lead = (len(lengths), T) if batch_first else (T, len(lengths))
    x = numbers(lead + draw(st.sampled_from(TRAILING)), draw(st.sampled_from(DTYPES)))
    x = draw(st.sampled_from((x, np.asfortranarray(x), x[::-1, ::-1])))
    x.flags.writeable = False
    return x, lengths, batch_first


@st.composite
def sequences(draw: st.DrawFn, smallest: int = 0) -> list[Array]:
    trailing, dtype = draw(st.sampled_from(TRAILING)), draw(st.sampled_from(DTYPES))
    lengths = draw(st.lists(st.integers(smallest, 6), min_size=1, max_size=20))
    return [numbers((length, *trailing), dtype) for length in lengths]


def assert_same(ours: Array | None, theirs: Any) -> None:
    """Same dtype, shape and values as a tensor."""
    expected = theirs.numpy()
    assert type(ours) is np.ndarray
    assert_array_equal(ours, expected, strict=True)


def ragged() -> PackedSequence:
    """Three sequences, the longest of 4 frames."""
    return pack_padded_sequence(numbers((4, 3, 2), "float32"), [2, 4, 1], enforce_sorted=False)


class TestParity:
    @settings(max_examples=200, deadline=None)
    @given(batch=batches(), padding_value=st.sampled_from((0.0, 1.5, -1)), extra=st.integers(0, 3))
    def test_unsorted_batches_pack_and_pad(
        self, torch: ModuleType, batch: Batch, padding_value: float, extra: int
    ) -> None:
        x, lengths, batch_first = batch
        rnn = torch.nn.utils.rnn
        tensor = torch.tensor(x.copy())
        ours = pack_padded_sequence(x, torch.tensor(lengths), batch_first, enforce_sorted=False)
        theirs = rnn.pack_padded_sequence(tensor, lengths, batch_first, enforce_sorted=False)

        assert ours.data.flags.carray  # contiguous, aligned and writable
        assert not np.shares_memory(ours.data, x)
        again = pack_padded_sequence(tensor, lengths, batch_first, enforce_sorted=False)
        np.testing.assert_equal(tuple(again), tuple(ours))
        assert_same(ours.batch_sizes, theirs.batch_sizes)
        if len(lengths) <= STABLE_IN_TORCH or len(set(lengths)) == len(lengths):
            for mine, other in zip(ours, theirs, strict=True):
                assert_same(mine, other)
        for mine, other in zip(unpack_sequence(ours), rnn.unpack_sequence(theirs), strict=True):
            assert_same(mine, other)

        if x.dtype == np.uint8 and padding_value < 0:
            return  # refused, and tested below
        total = max(lengths) + extra
        padded, sizes = pad_packed_sequence(ours, batch_first, padding_value, total)
        expected, their_sizes = rnn.pad_packed_sequence(theirs, batch_first, padding_value, total)
        assert_same(padded, expected)
        assert_same(sizes, their_sizes)
        assert sizes.tolist() == lengths

    @settings(max_examples=100, deadline=None)
    @given(batch=batches())
    def test_sorted_batches(self, torch: ModuleType, batch: Batch) -> None:
        x, lengths, batch_first = batch
        lengths.sort(reverse=True)
        ours = pack_padded_sequence(x, np.array(lengths, np.int32), batch_first)
        theirs = torch.nn.utils.rnn.pack_padded_sequence(
            torch.tensor(x.copy()), lengths, batch_first
        )
        assert_same(ours.data, theirs.data)
        assert_same(ours.batch_sizes, theirs.batch_sizes)
        assert ours.sorted_indices is ours.unsorted_indices is None

    @pytest.mark.parametrize("padding_value", [0.0, 7, 1.5])
    @pytest.mark.parametrize("side", ["left", "right"])
    @settings(max_examples=40, deadline=None)
    @given(items=sequences(), batch_first=st.booleans())
    def test_pad_sequence(
        self,
        torch: ModuleType,
        items: list[Array],
        batch_first: bool,
        padding_value: Any,
        side: str,
    ) -> None:
        theirs = torch.nn.utils.rnn.pad_sequence
        tensors = [torch.tensor(item) for item in items]
        expected = theirs(tensors, batch_first, padding_value, side)
        assert_same(pad_sequence(items, batch_first, padding_value, side), expected)

    @settings(max_examples=100, deadline=None)
    @given(batch=batches(smallest=0))
    def test_unpad_sequence(self, torch: ModuleType, batch: Batch) -> None:
        x, lengths, batch_first = batch
        ours = unpad_sequence(x, lengths, batch_first)
        theirs = torch.nn.utils.rnn.unpad_sequence
        tensors = theirs(torch.tensor(x.copy()), torch.tensor(lengths), batch_first)
        for mine, other in zip(ours, tensors, strict=True):
            assert_same(mine, other)

    @settings(max_examples=50, deadline=None)
    @given(order=st.integers(0, 40).flatmap(lambda n: st.permutations(range(n))))
    def test_invert_permutation(self, torch: ModuleType, order: list[int]) -> None:
        indices = np.array(order, np.int64)
        theirs = torch.nn.utils.rnn.invert_permutation(torch.tensor(indices))
        assert_same(invert_permutation(indices), theirs)
        assert invert_permutation(None) is None

    def test_dtype_of_the_first_and_broadcast_of_ones(self, torch: ModuleType) -> None:
        items = [np.arange(6).reshape(2, 3), np.array([[1.7], [-2.5]], np.float64)]
        theirs = torch.nn.utils.rnn.pad_sequence([torch.tensor(item) for item in items])
        assert_same(pad_sequence(items), theirs)


class TestRoundTrip:
    @settings(max_examples=100, deadline=None)
    @given(items=sequences(smallest=1))
    def test_pack_and_unpack(self, items: list[Array]) -> None:
        before = [item.copy() for item in items]
        packed = pack_sequence(items, enforce_sorted=False)
        for item, original, result in zip(items, before, unpack_sequence(packed), strict=True):
            assert_array_equal(item, original, strict=True)
            assert_array_equal(result, original, strict=True)
            assert not np.shares_memory(result, packed.data)

    @settings(max_examples=50, deadline=None)
    @given(items=sequences(), batch_first=st.booleans())
    def test_pad_and_unpad(self, items: list[Array], batch_first: bool) -> None:
        padded = pad_sequence(items, batch_first)
        before = padded.copy()
        results = unpad_sequence(padded, [len(item) for item in items], batch_first)
        assert_array_equal(padded, before, strict=True)  # torch has transposed it by now
        for item, result in zip(items, results, strict=True):
            assert_array_equal(item, result, strict=True)
            assert not np.shares_memory(result, padded)

    def test_equal_lengths_keep_the_order_of_the_caller(self) -> None:
        packed = pack_padded_sequence(numbers((3, 40), "int64"), [2, 3] * 20, enforce_sorted=False)
        assert_array_equal(packed.sorted_indices, [*range(1, 40, 2), *range(0, 40, 2)])


class TestPackedSequence:
    def test_keeps_arrays_of_the_right_kind(self) -> None:
        data, sizes, order = numbers((3, 2), "float32"), np.array([2, 1]), np.array([1, 0])
        for packed in (
            PackedSequence(data, sizes, order),
            PackedSequence((data, sizes), None, order),
        ):
            assert packed == (data, sizes, order, packed.unsorted_indices)
            assert_array_equal(packed.unsorted_indices, [1, 0])

    def test_derives_either_permutation(self) -> None:
        for one in ({"sorted_indices": [2, 0, 1]}, {"unsorted_indices": [1, 2, 0]}):
            packed = PackedSequence(np.zeros(3), [3], **one)
            assert_array_equal(packed.sorted_indices, np.array([2, 0, 1]), strict=True)
            assert_array_equal(packed.unsorted_indices, np.array([1, 2, 0]), strict=True)

    def test_astype(self) -> None:
        packed = PackedSequence(np.zeros((3, 2), np.float32), [2, 1], [1, 0])
        assert packed.astype(np.float32) is packed
        double = packed.astype("float64")
        assert type(double) is PackedSequence
        assert double.data.dtype == np.float64
        assert double[1:] == packed[1:]

    @pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
    def test_pickle_and_copy(self, protocol: int) -> None:
        packed = ragged()
        for again in (pickle.loads(pickle.dumps(packed, protocol)), copy.deepcopy(packed)):
            assert type(again) is PackedSequence
            np.testing.assert_equal(tuple(again), tuple(packed))

    @pytest.mark.parametrize(
        ("fields", "error", "message"),
        [
            ((np.zeros(3), [2, 2]), ValueError, "sum(batch_sizes) rows"),
            ((np.zeros(3), [2]), ValueError, "sum(batch_sizes) rows"),
            ((np.zeros(3), [2**62, 2**62, 2**62, 2**62]), ValueError, "sum(batch_sizes) rows"),
            ((np.array(0.0), [1]), ValueError, "sum(batch_sizes) rows"),
            ((np.zeros(3), [3, 0]), ValueError, "positive and never grow"),
            ((np.zeros(3), [1, 2]), ValueError, "positive and never grow"),
            ((np.zeros(3), [4, -1]), ValueError, "positive and never grow"),
            ((np.zeros(0), []), RuntimeError, "batch_sizes can not be empty"),
            ((np.zeros(3), [[2, 1]]), RuntimeError, "'batch_sizes' argument should be a 1D int64"),
            ((np.zeros(3), [2.0, 1.0]), RuntimeError, "but got 1D float64 ndarray"),
            ((np.zeros(3), [2, 1], [0]), ValueError, "inverse permutations of 2 sequences"),
            ((np.zeros(3), [2, 1], [0, 1], [1, 0]), ValueError, "inverse permutations"),
            ((np.zeros(3), [2, 1], [0, 2], [0, 1]), RuntimeError, "index 2 is out of bounds"),
            ((np.zeros(3), [2, 1], [1, 1], [0, 1]), ValueError, "index 1 appears more than once"),
            ((np.zeros(3),), AssertionError, "Expected data to be a list or tuple of length 2"),
            (([1.0, 2.0], [1, 1]), TypeError, "data should be an ndarray, got list"),
        ],
    )
    def test_messages(self, fields: tuple[Any, ...], error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=re.escape(message)):
            PackedSequence(*fields)

    def test_arrays_changed_later_are_found_at_use(self) -> None:
        packed = ragged()
        packed.batch_sizes[0] = 400
        with pytest.raises(ValueError, match="batch_sizes"):
            pad_packed_sequence(packed)


UNSORTED = (
    "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can "
    "pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this "
    "requirement if you do not need ONNX exportability."
)
NOT_POSITIVE = (
    "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
)
COUNT = "Expected `len(lengths)` to be equal to batch_size, but got {} (batch_size=3)"
KIND = "'lengths' argument should be a 1D int64 ndarray, but got {} ndarray"
SIDE = "Expected padding_side to be one of left or right, but got up."
X: Any = np.zeros((4, 3, 2))


class TestPackMessages:
    @pytest.mark.parametrize(
        ("lengths", "enforce_sorted", "error", "message"),
        [
            ([2, 4, 1], True, RuntimeError, UNSORTED),
            ([0, 2, 1], True, RuntimeError, UNSORTED),
            ([4, 2, 0], True, RuntimeError, NOT_POSITIVE),
            ([-3, 2, 1], False, RuntimeError, NOT_POSITIVE),
            ([-(2**63), 2, 1], False, RuntimeError, NOT_POSITIVE),
            ([4, 2, 1, 1], True, RuntimeError, COUNT.format(4)),
            ([4, 2, 1, 1], False, ValueError, COUNT.format(4)),
            # torch silently drops the third sequence
            ([4, 2], False, ValueError, COUNT.format(2)),
            # torch makes batch sizes that do not fit the data
            ([6, 2, 1], True, ValueError, "Expected every length to be at most 4, but got [6 2 1]"),
            ([1, 2**62, 1], False, ValueError, "Expected every length to be at most 4"),
            ([[4, 2, 1]], True, RuntimeError, KIND.format("2D int64")),
            (4, False, RuntimeError, KIND.format("0D int64")),
            (["a", "b", "c"], False, RuntimeError, KIND.format("1D <U1")),
            ([np.nan, 1, 1], False, RuntimeError, "cannot be converted to type int64"),
            ([np.inf, 1, 1], False, RuntimeError, "cannot be converted to type int64"),
        ],
    )
    def test_lengths(
        self, lengths: Any, enforce_sorted: bool, error: type[Exception], message: str
    ) -> None:
        with pytest.raises(error, match=re.escape(message)):
            pack_padded_sequence(X, lengths, enforce_sorted=enforce_sorted)

    @pytest.mark.parametrize("shape", [(0, 3, 2), (4, 0, 2), (4, 3, 0)])
    def test_empty(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(RuntimeError, match=r"^Cannot pack empty ndarrays\.$"):
            pack_padded_sequence(np.zeros(shape), [1] * shape[1])

    def test_fractions_and_frames_past_the_longest_are_cut_off(self) -> None:
        assert pack_padded_sequence(X, [4.9, 2.5, 1.2]).batch_sizes.tolist() == [3, 2, 1, 1]
        assert pack_padded_sequence(X, [2, 2, 1]).batch_sizes.tolist() == [3, 2]

    @pytest.mark.parametrize(("length", "message"), [(3, UNSORTED), (0, NOT_POSITIVE)])
    def test_pack_sequence(self, length: int, message: str) -> None:
        with pytest.raises(RuntimeError, match=re.escape(message)):
            pack_sequence([np.zeros(2), np.zeros(length)])


NO_ITERABLE = (
    "pad_sequence: Expected iterable for input sequences, but got arg of type: <class 'int'>"
)
MISMATCH = (
    "The size of ndarray a ({}) must match the size of ndarray b ({}) at non-singleton dimension {}"
)


class TestPadMessages:
    @pytest.mark.parametrize("total_length", [3, 0, -1])
    def test_total_length(self, total_length: int) -> None:
        message = (
            "Expected total_length to be at least the length of the longest sequence in input, but "
            f"got total_length={total_length} and max sequence length being 4"
        )
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            pad_packed_sequence(ragged(), total_length=total_length)

    def test_total_length_is_an_integer(self) -> None:
        assert pad_packed_sequence(ragged(), total_length=np.int32(6))[0].shape == (6, 3, 2)
        absurd: Any
        for absurd in (2**62, 6.0):
            with pytest.raises((ValueError, MemoryError, TypeError)):
                pad_packed_sequence(ragged(), total_length=absurd)

    @pytest.mark.parametrize(
        ("dtype", "value"),
        [("int64", np.nan), ("int64", -np.inf), ("int8", 300), ("uint8", -1), ("float32", 1e300)],
    )
    def test_padding_value_that_does_not_fit(self, dtype: str, value: float) -> None:
        message = f"value cannot be converted to type {dtype} without overflow"
        with pytest.raises(RuntimeError, match=message):
            pad_sequence([np.zeros(2, dtype)], padding_value=value)
        with pytest.raises(RuntimeError, match=message):
            pad_packed_sequence(pack_sequence([np.ones(2, dtype)]), padding_value=value)

    @pytest.mark.parametrize("value", [np.nan, np.inf, np.float32(2), np.int8(3), True])
    def test_padding_value_that_fits(self, value: float) -> None:
        padded = pad_sequence([np.zeros(1, np.float32), np.zeros(2, np.float32)], True, value)
        assert_array_equal(padded[0, 1], np.float32(value))

    @pytest.mark.parametrize(
        ("items", "error", "message"),
        [
            (3, RuntimeError, NO_ITERABLE),
            ([], RuntimeError, "received an empty list of sequences"),
            ([np.zeros((2, 2)), np.zeros((4, 3))], RuntimeError, MISMATCH.format(2, 3, 1)),
            ([np.zeros((2, 3, 4)), np.zeros((4, 2, 5))], RuntimeError, MISMATCH.format(4, 5, 2)),
            # torch takes these three numbers for one frame, and repeats it
            ([np.zeros((2, 3)), np.zeros(3)], RuntimeError, "one number of dimensions"),
            ([np.zeros(2), np.array(1.0)], IndexError, "Expected sequences of shape (length, *)"),
            ([[1, 2], [3]], TypeError, "sequences[0] should be an ndarray, got list"),
        ],
    )
    def test_sequences(self, items: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=re.escape(message)):
            pad_sequence(items)

    @pytest.mark.parametrize("lengths", [[1, 1, 1], [1], [5, 1], [-1, 0], [2**62, 1]])
    def test_unpad_lengths(self, lengths: list[int]) -> None:
        with pytest.raises(ValueError, match=r"Expected 2 lengths, each in 0\.\.3, but got"):
            unpad_sequence(np.zeros((3, 2)), lengths)

    @pytest.mark.parametrize(
        ("call", "error", "message"),
        [
            (lambda: pack_padded_sequence(X[0, 0], [4]), IndexError, "input to have at least 2"),
            (lambda: unpad_sequence(X[0, 0], [1]), IndexError, "sequences to have at least 2"),
            (lambda: unpad_sequence(X, [1.5, 1, 1]), RuntimeError, KIND.format("1D float64")),
            (lambda: pad_packed_sequence(X), TypeError, "should be a PackedSequence, got: ndarray"),
            (lambda: pad_sequence([X], padding_value=X), TypeError, "should be a real number, got"),
            (lambda: pad_sequence([X], padding_side="up"), RuntimeError, SIDE),
        ],
    )
    def test_other_arguments(self, call: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=re.escape(message)):
            call()


class TestInvertPermutation:
    @pytest.mark.parametrize(
        ("permutation", "error", "message"),
        [
            ([0, 3, 1], RuntimeError, "index 3 is out of bounds for dimension 0 with size 3"),
            ([0, -1, 1], RuntimeError, "index -1 is out of bounds for dimension 0 with size 3"),
            ([2, 0, 2], ValueError, "index 2 appears more than once in permutation"),
            ([[0, 1]], IndexError, "Expected permutation to be 1-D, but got 2-D"),
            ([0.0, 1.0], RuntimeError, "should be a 1D int64 ndarray, but got 1D float64"),
        ],
    )
    def test_messages(self, permutation: Any, error: type[Exception], message: str) -> None:
        with pytest.raises(error, match=re.escape(message)):
            invert_permutation(permutation)

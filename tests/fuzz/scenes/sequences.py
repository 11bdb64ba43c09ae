"""Ragged batches: ``PackedSequence`` and the functions around it.

Owns right calls of ``lstm_native.packing``. Must not know how arguments are altered.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

import lstm_native
from fuzz.arrays import normal
from fuzz.calls import Call, documented
from fuzz.choices import Choices
from fuzz.scenes import Scene
from lstm_native import PackedSequence


class SequenceScene(Scene):
    """A few sequences of some lengths, and the same packed."""

    calls: ClassVar[tuple[str, ...]] = (
        "packed", "pack_padded", "pad_packed", "pad", "unpad", "pack", "unpack", "invert",
    )  # fmt: skip

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices)
        self.T, self.N = 1 + choices.below(4), 1 + choices.below(4)
        self.batch_first = choices.chance(2)
        self.lengths = [1 + choices.below(self.T) for _ in range(self.N)]
        self.padded = normal(choices, (self.T, self.N, 2), choices.pick(("f4", "f8", "i4")))
        self.sequence = lstm_native.pack_padded_sequence(
            self.padded, self.lengths, enforce_sorted=False
        )

    def state(self) -> Any:
        return [field.tobytes() for field in self.sequence], self.padded.tobytes(), self.lengths[:]

    def call(self, name: str, **arguments: Any) -> Call:
        function = getattr(lstm_native, name)
        return Call(function, arguments, documented(function), repeatable=True)

    def packed(self) -> Call:
        fields = dict(zip(PackedSequence._fields, self.sequence, strict=True))
        return Call(PackedSequence, fields, documented(PackedSequence), repeatable=True)

    def pack_padded(self) -> Call:
        padded = self.padded.swapaxes(0, 1) if self.batch_first else self.padded
        lengths = self.lengths if self.choices.chance(2) else np.array(self.lengths)
        return self.call(
            "pack_padded_sequence", input=padded, lengths=lengths, batch_first=self.batch_first,
            enforce_sorted=False,
        )  # fmt: skip

    def pad_packed(self) -> Call:
        return self.call(
            "pad_packed_sequence", sequence=self.sequence, batch_first=self.batch_first,
            padding_value=1.0, total_length=self.T + 1,
        )  # fmt: skip

    def pad(self) -> Call:
        return self.call(
            "pad_sequence", sequences=self.rows(), batch_first=self.batch_first, padding_value=1.0,
            padding_side="left",
        )  # fmt: skip

    def unpad(self) -> Call:
        padded = self.padded.swapaxes(0, 1) if self.batch_first else self.padded
        lengths = np.array(self.lengths)
        return self.call(
            "unpad_sequence", padded_sequences=padded, lengths=lengths, batch_first=self.batch_first
        )

    def pack(self) -> Call:
        return self.call("pack_sequence", sequences=self.rows(), enforce_sorted=False)

    def unpack(self) -> Call:
        return self.call("unpack_sequence", packed_sequences=self.sequence)

    def invert(self) -> Call:
        return self.call("invert_permutation", permutation=self.sequence.sorted_indices)

    def rows(self) -> list[Any]:
        return [self.padded[:n, i] for i, n in enumerate(self.lengths)]

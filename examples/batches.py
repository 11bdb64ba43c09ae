"""Ragged sequences on disk, a network to read them, and what is measured of it.

Sequences are made here, by a seed: normal numbers, 40 features, and lengths from a log-normal
distribution with a median of 100 frames. All frames lie in one file, one sequence after the other,
and are mapped: a worker reads those it is asked for. Owns that, and the figures of a run. Must not
know any engine.
"""

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

import lstm_native
from lstm_native import LSTM, save

Floats: TypeAlias = NDArray[np.float32]
Ints: TypeAlias = NDArray[np.int64]

FEATURES = 40
UNITS = 256
LAYERS = 2
MEDIAN, SPREAD, LONGEST = 100, 0.5, 400  # frames
BATCH = 64  # sequences


class OnDisk:
    """An array in an ``.npy`` file, read by slices. Its pickle is the file's name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._array = np.load(path, mmap_mode="r")
        self.shape, self.dtype, self.ndim = self._array.shape, self._array.dtype, self._array.ndim

    def __getitem__(self, index: Any) -> NDArray[Any]:
        return np.asarray(self._array[index])

    def __reduce__(self) -> tuple[Any, ...]:
        return OnDisk, (self._path,)


class Corpus:
    """The sequences of a folder, and the network beside them. Its pickle is the folder's name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lengths: Ints = np.load(folder / "lengths.npy")
        self.ends: Ints = np.cumsum(self.lengths)
        self.frames = OnDisk(folder / "frames.npy")

    def __len__(self) -> int:
        return len(self.lengths)

    def __reduce__(self) -> tuple[Any, ...]:
        return Corpus, (self.folder,)

    def network(self) -> LSTM:
        """Map the network: processes of one machine that do so hold its weights once."""
        return LSTM.from_file(self.folder / "model.safetensors", mmap=True)

    def sequences(self, rows: Ints) -> Floats:
        """Read some sequences, one after the other: (F, I)."""
        spans = zip(self.ends[rows] - self.lengths[rows], self.ends[rows], strict=True)
        return np.concatenate([self.frames[start:end] for start, end in spans])

    def figures(self, seconds: float, workers: int, threads: int) -> dict[str, Any]:
        """What a run over all sequences gave, by so many workers of so many threads."""
        return {
            "workers": workers,
            "threads of each": threads,
            "seconds": round(seconds, 3),
            "frames per second": round(int(self.lengths.sum()) / seconds),
        }


def make(folder: Path, sequences: int, units: int = UNITS, seed: int = 0) -> Corpus:
    """Write so many sequences, and a network in its packed form, to a folder."""
    generator = np.random.default_rng(seed)
    drawn = np.rint(MEDIAN * generator.lognormal(0, SPREAD, sequences))
    lengths = np.clip(drawn, 1, LONGEST).astype(np.int64)
    np.save(folder / "lengths.npy", lengths)
    frames = generator.standard_normal((int(lengths.sum()), FEATURES), np.float32)
    np.save(folder / "frames.npy", frames)
    lstm_native.manual_seed(seed)
    save(folder / "model.safetensors", LSTM(FEATURES, units, LAYERS).eval(), packed=True)
    return Corpus(folder)


def read(lstm: LSTM, frames: Floats, lengths: Ints) -> Floats:
    """Run the network over sequences that lie one after the other, in any order of lengths.

    Returns
    -------
    ndarray of float32, shape (N, H)
        The last layer's h after the last frame of each. What a sequence gives does not depend on
        those beside it, not by a bit.
    """
    x = np.zeros((int(lengths.max()), len(lengths), FEATURES), np.float32)
    for row, part in enumerate(np.split(frames, np.cumsum(lengths)[:-1])):
        x[: len(part), row] = part
    _, (h_n, _) = lstm(x, lengths=lengths)
    states: Floats = h_n[-1]
    return states

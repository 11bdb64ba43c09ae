"""Read lines of handwritten digits as strings: convolution, LSTMs, CTC.

A convolution looks at seven columns of a line at a time; a bidirectional LSTM and a linear layer
follow, and both once more (a CRNN: Shi, Bai and Yao 2015); connectionist temporal classification
(ctc.py) needs no word on where a digit stands. The LSTMs are `lstm_native.bridges.autograd.lstm`,
the rest is plain autograd.numpy. From the root of the sources::

    pip install '.[examples]' && python examples/ocr.py

trains for two minutes, prints error rates on held-out lines, and writes ``ocr.png``
(learning curves, some lines and what was read) and ``ocr.json``. ``--quick`` takes less than one.

Data: the digits of ``lstm_native.demo``, put side by side at random, up to three columns over each
other, higher and lower, under noise.

What is honest about it:

- Held-out lines are written with held-out digits: no image is seen in training.
- Training takes a number of steps fixed beforehand; nothing is chosen on the held-out lines.
- The baseline is the same convolution, trained in the same way for as many steps, whose columns
  are classified each for itself, without LSTMs.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from shipped import missing

try:
    import autograd.numpy as anp
    import numpy as np
    from autograd import value_and_grad
    from numpy.typing import NDArray
    from tqdm import tqdm

    import ctc
    import lines
    import lstm_native
    import pictures
    from lines import Line
    from lstm_native import LSTM, optim
    from lstm_native.bridges.autograd import lstm
    from lstm_native.demo import digits
except ModuleNotFoundError as lost:
    raise missing(lost.name) from None

Parameters: TypeAlias = dict[str, NDArray[np.float32]]

CLASSES = digits.CLASSES + 1  # the last is CTC's blank
COLUMNS = 7  # that the convolution sees at once
BATCH = 32
HIDDEN = 48  # units each way
LEARNING_RATE = 1e-2
LARGEST_NORM = 5.0
BEAM = 10
HELD_OUT = 500  # lines


def side_by_side(given: list[Line]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What the convolution sees at each column, (T, N, COLUMNS * HEIGHT), and each line's T."""
    lengths = np.array([line.image.shape[1] for line in given])
    seen = np.zeros((lengths.max(), len(given), COLUMNS * lines.HEIGHT), np.float32)
    for row, line in enumerate(given):
        padded = np.pad(line.image, ((0, 0), (COLUMNS // 2, COLUMNS // 2)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, COLUMNS, axis=1)
        seen[: lengths[row], row] = windows.transpose(1, 0, 2).reshape(lengths[row], -1)
    return seen, lengths


# --- the model ---


def initial(hidden: int, recurrent: bool, seed: int) -> Parameters:
    """Draw all parameters; without LSTMs those of the baseline."""
    lstm_native.manual_seed(seed)
    generator = np.random.default_rng(seed)

    def linear(name: str, inputs: int, outputs: int) -> Parameters:
        weight = generator.normal(size=(inputs, outputs)) * np.sqrt(2 / inputs)
        return {
            f"{name}.weight": weight.astype(np.float32),
            f"{name}.bias": np.zeros(outputs, np.float32),
        }

    parameters = linear("convolution", COLUMNS * lines.HEIGHT, hidden)
    if not recurrent:
        return parameters | linear("second", hidden, CLASSES)
    for name, outputs in (("first", hidden), ("second", CLASSES)):
        network = LSTM(hidden, hidden, bidirectional=True)
        parameters |= network.state_dict(prefix=f"{name}.")
        parameters |= linear(name, 2 * hidden, outputs)
    return parameters


def linear(parameters: Any, name: str, x: Any) -> Any:
    """Apply one of the linear layers."""
    # einsum does not call BLAS, whose bits may depend on its threads: figures are to repeat.
    product = anp.einsum("tni,io->tno", x, parameters[f"{name}.weight"])
    return product + parameters[f"{name}.bias"]


def scores(parameters: Any, seen: NDArray[np.float32], lengths: NDArray[np.int64]) -> Any:
    """Score every class at every column, (T, N, 11)."""
    x = anp.maximum(linear(parameters, "convolution", seen), 0)
    for name in ("first", "second"):
        prefix = f"{name}."
        if f"{prefix}weight_hh_l0" in parameters:
            own = {
                key.removeprefix(prefix): value
                for key, value in parameters.items()
                if key.startswith(prefix)
            }
            x, _ = lstm(own, x, lengths=lengths)
        if f"{prefix}weight" in parameters:
            x = linear(parameters, name, x)
    return x


def loss(parameters: Any, given: list[Line]) -> Any:
    """Compute the mean negative log-likelihood of the right digits."""
    seen, lengths = side_by_side(given)
    found = ctc.log_likelihood(
        scores(parameters, seen, lengths), lengths, [line.digits for line in given]
    )
    return -anp.mean(found)


def train(
    data: digits.Digits,
    parameters: Parameters,
    steps: int,
    seed: int,
    report: Callable[[], object],
) -> list[float]:
    """Train all parameters together, in place, on ever new lines; gives the losses."""
    generator = np.random.default_rng(seed)
    optimizer = optim.Adam(list(parameters.values()), lr=LEARNING_RATE)
    step = value_and_grad(loss)
    losses = []
    for done in range(steps):
        optimizer.lr = LEARNING_RATE * (1 - done / steps)
        # From single digits to whole lines, over the first half: an untrained network has to find
        # out by itself which columns belong to which digit.
        most = min(1 + 2 * lines.MOST * done // steps, lines.MOST)
        value, gradient = step(parameters, lines.draw(data, BATCH, generator, most))
        gradients = [gradient[name] for name in parameters]
        optim.clip_grad_norm_(gradients, LARGEST_NORM)
        optimizer.step(gradients)
        losses.append(float(value))
        report()
    return losses


def read(
    parameters: Parameters, given: list[Line], decode: Callable[[NDArray[Any]], list[int]]
) -> list[list[int]]:
    """Read lines, of which only the images are looked at."""
    seen, lengths = side_by_side(given)
    found = scores(parameters, seen, lengths)
    return [decode(found[:length, row]) for row, length in enumerate(lengths)]


# --- what is shown ---


def run(quick: bool, seed: int, output: Path) -> dict[str, Any]:
    """Train, score, print and write.

    Parameters
    ----------
    quick : bool
        Few steps and few held-out lines.
    seed : int
        Decides weights and training lines.
    output : Path
        Where ``ocr.png`` and ``ocr.json`` go.

    Returns
    -------
    dict
        The figures, as in ``ocr.json``.
    """
    steps, count = (300, 100) if quick else (2000, HELD_OUT)
    training, unseen = digits.split(digits.load())
    held_out = lines.draw(unseen, count, np.random.default_rng(1000))
    total = sum(len(line.digits) for line in held_out)
    print(f"data      {len(training.labels)} digits to write with, {count} lines held out")

    trained, curves = {}, {}
    start = time.perf_counter()
    for name, recurrent in (("each column for itself", False), ("LSTM", True)):
        parameters = initial(HIDDEN, recurrent, seed)
        with tqdm(total=steps, desc=name, unit="step", disable=None) as bar:
            curves[name] = train(training, parameters, steps, seed, bar.update)
        trained[name] = parameters
    seconds = time.perf_counter() - start
    print(f"trained   {steps} steps of {BATCH} lines, twice, in {seconds:.0f} s")

    def beam(row: NDArray[Any]) -> list[int]:
        return ctc.beam(row, BEAM)

    answers = {
        f"{name}, {way}": read(parameters, held_out, decode)
        for name, parameters in trained.items()
        for way, decode in (("greedy", ctc.greedy), ("beam", beam))
    }
    errors, whole = {}, {}
    print(f"held out  {total} digits on {count} lines      errors   whole lines right")
    for name, given in answers.items():
        errors[name] = round(lines.error_rate(given, held_out), 4)
        right = [tuple(each) == line.digits for each, line in zip(given, held_out, strict=True)]
        whole[name] = round(float(np.mean(right)), 4)
        print(f"          {name:<31} {errors[name]:>7.2%}   {whole[name]:>7.2%}")

    figures = {
        "quick": quick,
        "seed": seed,
        "lines": count,
        "digits": total,
        "error rate": errors,
        "whole lines right": whole,
    }
    output.mkdir(parents=True, exist_ok=True)
    shown = [
        (line.image, line.digits, tuple(given))
        for line, given in zip(held_out[:6], answers["LSTM, beam"], strict=False)
    ]
    pictures.ocr(output / "ocr.png", curves, shown)
    (output / "ocr.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"written   {output / 'ocr.png'}, {output / 'ocr.json'}")
    return figures


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if the LSTMs made fewer errors than the baseline, else 1."""
    parser = argparse.ArgumentParser(description="Read lines of handwritten digits.")
    parser.add_argument("--quick", action="store_true", help="few steps, in less than a minute")
    parser.add_argument("--seed", type=int, default=0, help="weights and lines (default: 0)")
    parser.add_argument(
        "--output", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)"
    )
    given = parser.parse_args(arguments)
    errors = run(given.quick, given.seed, given.output)["error rate"]
    return 0 if errors["LSTM, beam"] < errors["each column for itself, beam"] else 1


if __name__ == "__main__":
    sys.exit(main())

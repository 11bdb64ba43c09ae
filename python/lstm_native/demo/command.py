"""The demo from beginning to end: data, training, file, service, picture, accuracy.

Owns the command's options and what it prints; every step itself lies in a module of its own.
"""

import argparse
import os
import time
from pathlib import Path

from lstm_native.commands.options import not_negative, positive


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``demo`` and its options to the command line."""
    parser = commands.add_parser(
        "demo",
        help="learn to read handwritten digits, save, reload, serve",
        description="A bidirectional LSTM learns to read 8x8 images of handwritten digits row by "
        "row; the weights are saved, reloaded and served. Writes digits.safetensors and, with "
        "matplotlib, digits.png. Exits with 1 if one image at a time and the whole batch do not "
        "give the same bits.",
    )
    parser.add_argument(
        "--seed", type=not_negative, default=0, help="weights and order of images (default: 0)"
    )
    parser.add_argument(
        "--epochs", type=positive, default=30, help="passes over the images (default: 30)"
    )
    parser.add_argument(
        "--output", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)"
    )
    parser.add_argument("--no-progress", action="store_true", help="show no progress")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo.

    Parameters
    ----------
    arguments : argparse.Namespace
        ``seed``, ``epochs``, ``output`` and ``no_progress``.

    Returns
    -------
    int
        The exit code: 0, or 1 if serving one at a time and as a batch gave different bits.
    """
    import numpy as np

    from lstm_native._progress import progress
    from lstm_native.demo import digits, picture, serving
    from lstm_native.demo.reader import DigitReader
    from lstm_native.demo.training import train

    seed, epochs, folder = arguments.seed, arguments.epochs, arguments.output
    folder.mkdir(parents=True, exist_ok=True)

    training, held_out = digits.split(digits.load())
    print(f"data     {len(training.labels)} digits to learn from, {len(held_out.labels)} held out")

    reader = DigitReader.random(seed)
    print(f"model    {reader.lstm}, then {reader.head}")

    start = time.perf_counter()
    with progress(epochs, shown=not arguments.no_progress) as report:
        loss = train(reader, training, epochs=epochs, seed=seed, report=report)
    print(f"trained  {epochs} epochs in {time.perf_counter() - start:.1f} s, loss {loss:.6f}")

    weights = folder / "digits.safetensors"
    reader.save(weights)
    reader = DigitReader.load(weights)
    print(f"saved    {weights} ({weights.stat().st_size / 1000:.0f} kB), and loaded it again")

    single = serving.one_at_a_time(reader, held_out.images)
    batch = serving.as_a_batch(reader, held_out.images)
    print(f"served   {single.images_per_second:,.0f} images/s one at a time")
    print(f"         {batch.images_per_second:,.0f} images/s as a batch")
    same = serving.same_bits(single, batch)
    print(f"bits     {'the same' if same else 'DIFFERENT'} one at a time and as a batch")

    try:
        _write(folder / "digits.png", picture.png(held_out, single.digits))
        print(f"picture  {folder / 'digits.png'}")
    except ImportError:
        print(picture.text(held_out, single.digits))

    right = np.count_nonzero(single.digits == held_out.labels)
    print(f"accuracy {right / len(held_out.labels):.2%} of the held-out digits ({right} right)")
    return 0 if same else 1


def _write(path: Path, contents: bytes) -> None:
    """Write all or nothing: an interrupted run leaves no half a picture behind."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(contents)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)

"""Progress of the training on standard error: a bar, or plain lines.

Owns the choice between them; knows nothing of what is being counted.
"""

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SECONDS_BETWEEN_LINES = 0.5


@contextmanager
def progress(total: int, *, shown: bool) -> Iterator[Callable[[float], None]]:
    """Show how far the training is.

    Parameters
    ----------
    total : int
        Number of epochs.
    shown : bool
        False: show nothing.

    Yields
    ------
    callable
        To be called with the loss after every epoch. It moves a bar if tqdm is installed and
        standard error is a terminal, and prints a line twice a second otherwise.
    """
    if not shown:
        yield lambda loss: None
    elif (tqdm := _tqdm()) is not None:
        with tqdm(total=total, desc="training", unit="epoch") as bar:

            def move(loss: float) -> None:
                bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
                bar.update()

            yield move
    else:
        done, last = 0, time.monotonic()

        def line(loss: float) -> None:
            nonlocal done, last
            done += 1
            now = time.monotonic()
            if done == total or now - last >= SECONDS_BETWEEN_LINES:
                last = now
                print(f"epoch {done:>3} of {total}: loss {loss:.4f}", file=sys.stderr, flush=True)

        yield line


def _tqdm() -> Any:
    if not sys.stderr.isatty():
        return None
    try:
        return importlib.import_module("tqdm").tqdm
    except ImportError:
        return None

"""Progress of the training on standard error: a bar, or plain lines.

Owns the choice between them; must not know what is being trained.
"""

import importlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SECONDS_BETWEEN_LINES = 0.5


@contextmanager
def progress(total: int, *, shown: bool) -> Iterator[Callable[..., None]]:
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
        To be called after every epoch, with figures by name, as ``loss=0.5``. It moves a bar if
        tqdm is installed and standard error is a terminal, and prints a line twice a second,
        and one of the last epoch, otherwise.
    """
    if not shown:
        yield lambda **figures: None
    elif (tqdm := _tqdm()) is not None:
        with tqdm(total=total, desc="training", unit="epoch") as bar:

            def move(**figures: float) -> None:
                shown = {name: f"{figure:.4f}" for name, figure in figures.items()}
                bar.set_postfix(shown, refresh=False)
                bar.update()

            yield move
    else:
        done, last, unsaid = 0, time.monotonic(), ""

        def line(**figures: float) -> None:
            nonlocal done, last, unsaid
            done += 1
            text = ", ".join(f"{name} {figure:.4f}" for name, figure in figures.items())
            unsaid = f"epoch {done:>3} of {total}: {text}"
            now = time.monotonic()
            if done == total or now - last >= SECONDS_BETWEEN_LINES:
                print(unsaid, file=sys.stderr, flush=True)
                last, unsaid = now, ""

        try:
            yield line
        finally:  # it may end before all epochs are done
            if unsaid:
                print(unsaid, file=sys.stderr, flush=True)


def _tqdm() -> Any:
    if not sys.stderr.isatty():
        return None
    try:
        return importlib.import_module("tqdm").tqdm
    except ImportError:
        return None

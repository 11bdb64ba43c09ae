"""``run``: an LSTM of a file over sequences of another.

Owns the way of arrays in and out. Must not know formats of weights.
"""

import argparse
import zipfile
from pathlib import Path

from lstm_native.commands.options import add_file, add_prefix, lengths


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``run``."""
    parser = commands.add_parser(
        "run",
        help="run an LSTM over sequences in a .npy file",
        description="Run an LSTM of a weight file over the sequences in a .npy file: (T, N, I), or "
        "(N, T, I) if the network is batch-first, or (T, I); write its output likewise.",
    )
    add_file(parser, "model")
    parser.add_argument("input", type=Path, metavar="INPUT.npy", help="sequences")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="OUTPUT.npy", help="where to write"
    )
    add_prefix(parser, "which LSTM of the file")
    parser.add_argument(
        "--lengths", type=lengths, metavar="T,T,...", help="the length of each sequence"
    )
    parser.add_argument(
        "--batch-first",
        action=argparse.BooleanOptionalAction,
        help="whether input and output are (N, T, features), whatever the file says",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the network; 0."""
    import numpy as np

    from lstm_native.checkpoints import replacing
    from lstm_native.lstm import LSTM

    told = {} if arguments.batch_first is None else {"batch_first": arguments.batch_first}
    lstm = LSTM.from_file(arguments.model, arguments.prefix, **told)
    try:
        with open(arguments.input, "rb") as file:
            x = np.load(file, allow_pickle=False)
    except (EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{arguments.input} cannot be read: {error}") from error
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        raise ValueError(f"{arguments.input} should hold one array of floats")
    output, _ = lstm(x.astype(lstm.dtype, copy=False), lengths=arguments.lengths)
    with replacing(str(arguments.output)) as temporary, open(temporary, "wb") as file:
        np.save(file, output)
    print(f"{arguments.output}: {output.shape} of {output.dtype}, by {lstm}")
    return 0

"""``verify``: our output against another's, for the LSTMs of a file.

Owns what is compared and when it is good enough. Who the other is, is the matter of ``peers``.
"""

import argparse

from lstm_native.commands.options import add_file, add_json, add_prefix, not_negative, print_json

# Of outputs, which lie in -1..1: what the sums of float32 of another order may differ by.
TOLERANCE = 1e-5


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``verify``."""
    parser = commands.add_parser(
        "verify",
        help="compare outputs with torch's or ONNX Runtime's",
        description="Run every LSTM of a weight file on random sequences here and in ONNX Runtime "
        "(ONNX files) or torch (others), which must be installed, and print the largest "
        f"difference. Exits with 1 if one is over {TOLERANCE}.",
    )
    add_file(parser)
    add_prefix(parser, "only the LSTM under this prefix")
    parser.add_argument(
        "--seed", type=not_negative, default=0, help="of the sequences (default: 0)"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Compare the LSTMs of a file; 0 if all agree, else 1."""
    from lstm_native.commands import peers

    comparisons = peers.compare(str(arguments.file), arguments.prefix, arguments.seed)
    if not comparisons:
        raise ValueError(f"{arguments.file} holds no LSTM to verify")
    good = all(one.difference <= TOLERANCE for one in comparisons)
    if arguments.json:
        print_json(
            {
                "file": str(arguments.file),
                "tolerance": TOLERANCE,
                "agrees": good,
                "lstms": [one._asdict() for one in comparisons],
            }
        )
    else:
        for one in comparisons:
            verdict = "agrees with" if one.difference <= TOLERANCE else "DIFFERS from"
            print(f"{one.prefix!r}  {verdict} {one.peer}: {one.difference:.2e}")
    return 0 if good else 1

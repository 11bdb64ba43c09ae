"""``inspect``: which LSTMs a file holds.

Owns how they are printed. Must not know formats.
"""

import argparse
from dataclasses import asdict
from typing import Any

from lstm_native.commands.options import add_file, add_json, print_json


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``inspect``."""
    parser = commands.add_parser(
        "inspect",
        help="list the LSTMs in a weight file",
        description="List every LSTM and LSTMCell in a weight file: prefix, input and hidden size, "
        "layers, directions, projection, number of parameters; and what else is in it.",
    )
    add_file(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what is in a file; 0, also if there is no LSTM."""
    from lstm_native.checkpoints import read
    from lstm_native.inventory import FoundLSTM, find_lstms, parameter_names
    from lstm_native.parameters import NOTES

    contents = read(arguments.file)
    found = find_lstms(contents.arrays)
    taken = {name for one in found for name in parameter_names(one)}
    others = {name: array for name, array in contents.arrays.items() if name not in taken}

    def described(one: FoundLSTM) -> dict[str, Any]:
        names = parameter_names(one)
        told = {
            name.removeprefix("lstm_native."): contents.option(f"{one.prefix}{name}")
            for name in NOTES
            if f"{one.prefix}{name}" in contents.notes
        }
        shapes = {name: list(contents.arrays[name].shape) for name in names}
        return (
            asdict(one) | {"dtype": str(contents.arrays[names[0]].dtype), "arrays": shapes} | told
        )

    if arguments.json:
        print_json(
            {
                "file": str(arguments.file),
                "lstms": [described(one) for one in found],
                "others": {
                    name: {"shape": list(array.shape), "dtype": str(array.dtype)}
                    for name, array in others.items()
                },
            }
        )
        return 0
    for one in found:
        details = described(one)
        options = (name.removeprefix("lstm_native.") for name in NOTES)
        extra = "".join(f", {name}={details[name]}" for name in options if name in details)
        print(f"{one.prefix!r}  {one}, {details['dtype']}{extra}")
        for name, shape in details["arrays"].items():
            print(f"    {name[len(one.prefix) :]:24} {tuple(shape)}")
    if not found:
        print("no LSTM")
    if others:
        scalars = sum(array.size for array in others.values())
        print(f"and {len(others)} other arrays of {scalars:,} numbers")
    return 0

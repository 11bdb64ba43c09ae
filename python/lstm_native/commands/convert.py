"""``convert``: from any file that can be read to one that can be written.

Owns what of a file is kept. Must not know formats.
"""

import argparse
from pathlib import Path

from lstm_native.commands.options import add_file, add_prefix


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``convert``."""
    parser = commands.add_parser(
        "convert",
        help="write the arrays of a weight file as safetensors or npz",
        description="Write the arrays of a weight file, LSTMs under torch's names, to a file of "
        "safetensors or npz, as its suffix says; with what is known of batch_first, dropout, "
        "quantized and precision.",
    )
    add_file(parser, "input")
    parser.add_argument("output", type=Path, metavar="OUTPUT", help=".safetensors or .npz")
    add_prefix(parser, "keep only the LSTM under this prefix, and call it by no prefix")
    parser.add_argument("--float32", action="store_true", help="widen float16 to float32")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Convert a file; 0."""
    from lstm_native import _panels
    from lstm_native.checkpoints import most_copied, read, save
    from lstm_native.parameters import NOTES

    contents = read(arguments.input, float32=arguments.float32)
    arrays, notes = contents.arrays, contents.notes
    arrays.pop(_panels.ARRAY, None)  # what is written here is not to be mapped
    notes.pop(_panels.NOTE, None)
    if arguments.prefix is not None:
        from lstm_native.inventory import find_lstms, parameter_names

        prefix = arguments.prefix
        chosen = [one for one in find_lstms(arrays) if one.prefix == prefix]
        if not chosen:
            known = ", ".join(repr(one.prefix) for one in find_lstms(arrays)) or "none"
            raise ValueError(f"{arguments.input} has no LSTM under {prefix!r}; it has: {known}")
        names = [name for one in chosen for name in parameter_names(one)]
        arrays = {name[len(prefix) :]: arrays[name] for name in names}
        told = {name: notes.get(prefix + name) for name in NOTES}
        notes = {name: note for name, note in told.items() if note is not None}
    # Arrays may be views of one memory in the input; in the output each has its own.
    if sum(array.nbytes for array in arrays.values()) > most_copied(arrays):
        raise ValueError(f"{arguments.input} has too many arrays of one memory to write them all")
    save(arguments.output, arrays, notes or None)
    scalars = sum(array.size for array in arrays.values())
    print(f"{arguments.output}: {len(arrays)} arrays of {scalars:,} numbers")
    return 0

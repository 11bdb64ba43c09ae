"""The command line: ``lstm-native COMMAND``, or ``python -m lstm_native COMMAND``.

Owns the list of commands and what happens on Ctrl-C; each command lies in a module of its own.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from lstm_native.commands import bench, convert, info, inspect, run, verify
from lstm_native.demo import command as demo

# What a shell reports for a program ended by a signal: 128 and the signal's number.
INTERRUPTED = 130  # SIGINT
UNREAD = 141  # SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        The exit code: 0 on success, 1 if the command failed, 130 if it was interrupted, 141 if
        nobody reads what it prints any more.

    Raises
    ------
    SystemExit
        With code 2 if the arguments make no sense, with 0 after ``--help``.
    """
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # head or less has seen enough
        # Python flushes again at its end, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except (OSError, ValueError, TypeError, ImportError, RuntimeError, MemoryError) as error:
        print(f"error: {_printable(str(error))}", file=sys.stderr)
        return 1
    return code


def _printable(text: str) -> str:
    """A message as a terminal may see it: names in it may come from a file of anyone."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lstm-native", description="PyTorch's LSTM on NumPy arrays, without PyTorch."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (info, inspect, convert, run, verify, bench, demo):
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())

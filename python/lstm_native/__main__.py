"""The command line: ``python -m lstm_native COMMAND``.

Owns the list of commands and what happens on Ctrl-C; each command lies in a module of its own.
"""

import argparse
import sys
from collections.abc import Sequence

import lstm_native
from lstm_native.demo import command as demo

INTERRUPTED = 130  # 128 + SIGINT, what a shell reports for a program ended by Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments; by default those of the process.

    Returns
    -------
    int
        The exit code: 0 on success, 1 if the command failed, 130 if it was interrupted.

    Raises
    ------
    SystemExit
        With code 2 if the arguments make no sense, with 0 after ``--help``.
    """
    arguments = _parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lstm_native", description="PyTorch's LSTM on NumPy arrays, without PyTorch."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    demo.add_parser(commands)
    info = commands.add_parser(
        "info", help="show version, instruction set, threads", description="Show the configuration."
    )
    info.set_defaults(run=_info)
    return parser


def _info(_: argparse.Namespace) -> int:
    lstm_native.show_config()
    return 0


if __name__ == "__main__":
    sys.exit(main())

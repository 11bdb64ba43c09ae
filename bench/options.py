"""The options of ``python -m bench``.

Owns their names, meanings and defaults; does nothing with them.
"""

import argparse
import re
from pathlib import Path

from bench import isa, sides


def parser() -> argparse.ArgumentParser:
    """Describe the command line; ``python -m bench compare`` has one of its own, in `compare`."""
    peers = [name for name in sides.MODULES if name != sides.OURS]
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Time lstm_native and its peers side by side, after comparing their answers.",
        epilog="python -m bench compare OLD NEW compares two results; see its --help.",
    )
    parser.set_defaults(modes=[])
    what = parser.add_argument_group("what is measured")
    what.add_argument(
        "--forward", dest="modes", action="append_const", const="forward", help="inference only"
    )
    what.add_argument(
        "--train", dest="modes", action="append_const", const="train", help="training only"
    )
    what.add_argument(
        "--rows", type=_pattern, default=".", metavar="REGEX", help="rows whose name matches"
    )
    what.add_argument(
        "--quick",
        action="store_true",
        help="fewer repetitions, rougher figures, and the largest rows left out; under 2 minutes",
    )
    what.add_argument(
        "--peers", nargs="*", choices=peers, default=peers, help="against whom (default: all)"
    )
    what.add_argument(
        "--threads", nargs="+", type=_count, default=[1, 2], metavar="N", help="default: 1 2"
    )
    what.add_argument(
        "--isa",
        choices=list(isa.SETTINGS),
        help="hold everybody to this instruction set; peers that cannot be held are left out",
    )

    result = parser.add_argument_group("the result")
    result.add_argument(
        "--output",
        type=Path,
        default=Path("bench-result.json"),
        metavar="FILE",
        help="where it goes, row by row (default: bench-result.json)",
    )
    result.add_argument(
        "--resume",
        action="store_true",
        help="keep the rows that FILE already has, and add those it lacks",
    )
    result.add_argument("--show", type=Path, metavar="FILE", help="show an old result instead")
    result.add_argument("--markdown", action="store_true", help="print Markdown tables")
    result.add_argument(
        "--picture", type=_picture, metavar="FILE", help="draw it, too, as .png or .svg"
    )
    return parser


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"not a regular expression: {error}") from None


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"not a count of threads: {text}")
    return int(text)


def _picture(text: str) -> Path:
    path = Path(text)
    if path.suffix not in (".png", ".svg"):
        raise argparse.ArgumentTypeError(f"neither .png nor .svg: {text}")
    return path

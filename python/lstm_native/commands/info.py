"""``info``: what is installed, and what is in use here.

Owns how the configuration is printed, and the name of the CPU. Must not know weight files.
"""

import argparse
import platform

from lstm_native.commands.options import add_json, print_json


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add ``info``."""
    parser = commands.add_parser(
        "info",
        help="show version, CPU, instruction set, threads",
        description="Show the version, the CPU, the instruction sets compiled in, found here and "
        "chosen, the threads, and what the package was built from.",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the configuration; 0."""
    from lstm_native.runtime import show_config

    config = {"cpu": _cpu(), **show_config("dicts")}
    if arguments.json:
        print_json(config)
        return 0
    width = max(map(len, config))
    for name, value in config.items():
        print(f"{name:{width}}  {', '.join(value) if isinstance(value, list) else value}")
    return 0


def _cpu() -> str:
    """What the CPU calls itself."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()

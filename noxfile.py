"""Longer checks, each in an environment of its own: ``nox -s NAME``."""

import sys

import nox

nox.options.sessions = ["lint", "tests"]


@nox.session
def lint(session: nox.Session) -> None:
    """Style and types."""
    session.install(".[test]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    files = session.run("git", "ls-files", "*.cpp", "*.hpp", external=True, silent=True)
    session.run("clang-format", "--dry-run", "--Werror", *str(files).split())


@nox.session
def tests(session: nox.Session) -> None:
    """The suite, with torch to compare with."""
    session.install(".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def without_torch(session: nox.Session) -> None:
    """The suite as it runs where there is no torch: reference and golden values only."""
    session.install(".", "pytest", "hypothesis")
    session.run("pytest", *session.posargs)


@nox.session
@nox.parametrize("isa", ["baseline", "avx2", "avx512"])
def isas(session: nox.Session, isa: str) -> None:
    """The suite with an ISA forced; fails where the machine does not have it."""
    session.install(".[test]")
    session.run("pytest", *session.posargs, env={"LSTM_NATIVE_ISA": isa})


@nox.session
def ulp(session: nox.Session) -> None:
    """The largest errors of sigmoid and tanh, over all float32 values; five minutes."""
    session.install(".", "tqdm")
    session.run("python", "tests/exhaustive/ulp.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """A million made-up calls, then atheris; half an hour, or ``-- --cases N`` for less."""
    session.install(".", "tqdm", "autograd>=1.9", "atheris==3.0.0; python_version < '3.12'")
    session.chdir("tests")
    session.run("python", "-m", "fuzz", *(session.posargs or ["--cases", "1000000"]))
    if sys.version_info >= (3, 12):
        session.warn("atheris is for Python 3.11: its targets were left out")
        return
    for target in ("interface", "cases"):
        options = ["-max_total_time=120", "-timeout=60", "-len_control=0", "-max_len=600"]
        session.run("python", "-m", "fuzz.with_atheris", target, *options)


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmark against every peer; leave the machine alone meanwhile."""
    session.install(".[bench]")
    session.run("python", "-m", "bench", *session.posargs)

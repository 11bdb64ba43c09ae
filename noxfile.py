"""Longer checks, each in an environment of its own: ``nox -s NAME``."""

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
def bench(session: nox.Session) -> None:
    """The benchmark against every peer; leave the machine alone meanwhile."""
    session.install(".[bench]")
    session.run("python", "-m", "bench", *session.posargs)


@nox.session
def fork(session: nox.Session) -> None:
    """A thousand forked children of a busy process; two minutes."""
    session.install(".")
    session.run("python", "tests/exhaustive/forks.py", *session.posargs)


@nox.session
def threads(session: nox.Session) -> None:
    """Eight threads that share what may be shared, for a minute."""
    session.install(".")
    session.run("python", "tests/exhaustive/threads.py", *session.posargs)


@nox.session(python=["3.13t", "3.14t"])
def free_threaded(session: nox.Session) -> None:
    """The same without a GIL, on every free-threaded Python of the machine."""
    session.install(".")
    session.run("python", "tests/exhaustive/threads.py", *session.posargs)


@nox.session
def company(session: nox.Session) -> None:
    """What torch, ONNX Runtime and scikit-learn in the process cost; leave the machine alone."""
    session.install(".", "torch==2.13.0", "onnxruntime", "scikit-learn")
    session.run("python", "-m", "bench.company", *session.posargs)

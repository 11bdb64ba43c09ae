"""Gates on the compiled kernels: one extension module may hold code of several ISAs only as long
as no function compiled for one of them can be called for another, and nothing runs at load time.

The objects are those of the build in the tree, or built from it with the same flags where that is
older than its sources; the installed module is looked at as it is.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lstm_native import _core
from machine import X86

ROOT = Path(__file__).parents[1]
ISAS = ["baseline", "avx2", "avx512", "avx512_vnni", "avx512_bf16"]
if sys.platform == "linux":
    ISAS.append("amx")

pytestmark = [
    pytest.mark.skipif(
        not all(map(shutil.which, ("cmake", "nm", "readelf", "objdump", "c++"))),
        reason="needs cmake, a compiler and binutils",
    ),
    pytest.mark.skipif(not X86, reason="the gates name x86-64 registers and ISAs"),
]


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def objects_in(build: Path) -> dict[str, Path]:
    """The kernels' object file of every ISA, unless one is missing or older than its sources."""
    found = {i: [*(build / "CMakeFiles" / f"kernels_{i}.dir").rglob("*.o")] for i in ISAS}
    names = ("CMakeLists.txt", "cmake/compiler.cmake", "cpp/kernel_api.hpp")
    sources = [ROOT / name for name in names]
    newest = max(p.stat().st_mtime for p in [*sources, *(ROOT / "cpp" / "kernels").iterdir()])
    fresh = all(len(o) == 1 and o[0].stat().st_mtime > newest for o in found.values())
    return {isa: one for isa, (one,) in found.items()} if fresh else {}


@pytest.fixture(scope="module")
def object_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The object file of an ISA, compiled with the flags of the build."""
    tag = "cp{}{}".format(*sys.version_info)
    for build in ROOT.glob(f"build/{tag}-{tag}-*"):  # where `pip install .` leaves it
        if found := objects_in(build):
            return found.__getitem__
    build = tmp_path_factory.mktemp("kernels")
    pybind11 = pytest.importorskip("pybind11", reason="needs the build requirements")
    pytest.importorskip("eigency", reason="needs the build requirements")
    run("cmake", "-S", ROOT, "-B", build, f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
        f"-DPython_EXECUTABLE={sys.executable}")  # fmt: skip
    run("cmake", "--build", build, "--parallel", "2", "--target", *[f"kernels_{i}" for i in ISAS])
    return objects_in(build).__getitem__


@pytest.mark.parametrize("isa", ISAS)
def test_no_weak_symbol_outside_the_renamed_namespaces(
    object_of: Callable[[str], Path], isa: str
) -> None:
    symbols = run("nm", "-C", object_of(isa)).splitlines()
    assert any(
        re.search(rf"lstm_native::{isa}::(table|int8|bfloat16_pairs|parts)$", line)
        for line in symbols
    )
    weak = [
        line.split(maxsplit=2)[-1] for line in symbols if re.match(r"[0-9a-f ]{16} [WVuvw] ", line)
    ]
    ours = rf"(.*\b)?(Eigen_{isa}|lstm_native::{isa})::"
    assert [name for name in weak if not re.match(ours, name)] == []


@pytest.mark.parametrize("isa", ISAS)
def test_nothing_runs_at_load_time(object_of: Callable[[str], Path], isa: str) -> None:
    assert "init_array" not in run("readelf", "-SW", object_of(isa))


@pytest.mark.parametrize("isa", ISAS)
def test_an_object_needs_nothing_but_memory_functions(
    object_of: Callable[[str], Path], isa: str
) -> None:
    undefined = {line.split()[-1] for line in run("nm", "-u", object_of(isa)).splitlines()}
    assert undefined <= {"memcpy", "memset", "memmove", "_GLOBAL_OFFSET_TABLE_"}


def test_baseline_objects_use_no_wide_registers(object_of: Callable[[str], Path]) -> None:
    assert not re.search(r"%[yz]mm", run("objdump", "-d", object_of("baseline")))


def test_each_isa_uses_its_own_registers(object_of: Callable[[str], Path]) -> None:
    avx2, avx512, vnni, bf16, *amx = (run("objdump", "-d", object_of(isa)) for isa in ISAS[1:])
    assert "%ymm" in avx2
    assert "vfmadd" in avx2
    assert "%zmm" not in avx2
    assert "%zmm" in avx512
    assert "vpdpbusd" not in avx512
    assert "vpdpbusd" in vnni
    assert "vdpbf16ps" not in avx512 + vnni
    assert "vdpbf16ps" in bf16
    assert "tilerelease" not in avx512 + vnni + bf16
    assert all("tdpbf16ps" in code for code in amx)


def loops_with(instruction: str, code: str) -> list[tuple[str, list[str]]]:
    """Find the innermost loops that have an instruction: their functions' names and their lines."""
    found = []
    for function in code.split("\n\n"):
        lines = re.findall(r"^ *([0-9a-f]+):\s+(\S.*)$", function, re.MULTILINE)
        index, last = {address: i for i, (address, _) in enumerate(lines)}, -1
        for i, (_, text) in enumerate(lines):
            jump = re.match(r"j\w+ +([0-9a-f]+) ", text)
            if jump and last < (begin := index.get(jump[1], i + 1)) <= i:
                loop, last = [line for _, line in lines[begin : i + 1]], i
                if any(line.startswith(instruction) for line in loop):
                    found.append((function.split("\n")[0], loop))
    return found


@pytest.mark.parametrize(
    ("isa", "instruction"), [("avx512_vnni", "vpdpbusd"), ("avx512_bf16", "vdpbf16ps")]
)
def test_sums_of_rounded_products_stay_in_registers(
    isa: str, instruction: str, object_of: Callable[[str], Path]
) -> None:
    """No loop over k stores a register, and with one row none copies its sums.

    That is of calls whose weights come from far; copies of a few weights are let pass.
    """
    code = run("objdump", "-d", "-C", "--no-show-raw-insn", object_of(isa))
    loops = loops_with(instruction, code)
    widest = 0
    for name, loop in loops:
        text = "\n".join(loop)
        stores = re.findall(r"^v?mov\S+ +%[xyz]mm\d+,.*\(.*$", text, re.MULTILINE)
        copies = re.findall(r"^vmov\S+ +%zmm\d+,%zmm\d+$", text, re.MULTILINE)
        assert stores == [], name
        if "gate_tile<1," in name:
            sums = len(re.findall(f"^{instruction}", text, re.MULTILINE))
            widest = max(widest, sums)
            assert len(copies) < sums, name
    assert widest >= 8  # of two panels and more; the compiler says which loops there are


def test_the_module_exports_its_entry_alone() -> None:
    symbols = run("nm", "-D", "--defined-only", _core.__file__).split("\n")
    assert [line.split()[-1] for line in symbols if line] == ["PyInit__core"]


def test_the_module_is_hardened() -> None:
    dynamic = run("readelf", "-dW", _core.__file__)
    headers = run("readelf", "-lW", _core.__file__)
    assert "BIND_NOW" in dynamic or ("FLAGS_1" in dynamic and "NOW" in dynamic)
    assert "GNU_RELRO" in headers
    stack = next(line for line in headers.splitlines() if "GNU_STACK" in line)
    assert " RW " in stack
    assert "RWE" not in stack
    # No code is patched when it is loaded, none is both written and run, and no library is looked
    # for in places of the machine it was built on: only where auditwheel puts what it copies.
    assert "TEXTREL" not in dynamic
    paths = re.findall(r"(?:RPATH|RUNPATH).*\[(.*)\]", dynamic)
    assert set(paths) <= {"$ORIGIN/../lstm_native.libs"}
    assert not re.search(r"LOAD.* RWE ", headers)
    assert "__stack_chk_fail" in run("nm", "-D", "--undefined-only", _core.__file__)

"""The ISA ``amx`` on CPUs without tiles, whose instructions are emulated one by one
(``tests/native/tiles.cpp``): what rounds products, and the digests.

Where the CPU has tiles, these tests run on them anyway.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lstm_native
from lstm_native import _core
from machine import SANITIZED

TESTS = Path(__file__).parent
ROUNDING = ("precision", "reproducible", "quantized", "releases")

pytestmark = [
    pytest.mark.skipif(
        lstm_native.isa() == "amx" or "avx512_bf16" not in _core.isas(),
        reason="needs a CPU with AVX-512 BF16 and without tiles",
    ),
    pytest.mark.skipif(
        "amx" not in lstm_native.show_config("dicts")["isas compiled"] or SANITIZED,
        reason="needs a build with amx, and signals of its own",
    ),
    pytest.mark.skipif(not shutil.which("g++"), reason="needs g++"),
    pytest.mark.forced_isa,
]


@pytest.fixture(scope="module")
def emulating(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which tiles are emulated."""
    library = tmp_path_factory.mktemp("tiles") / "tiles.so"
    flags = ("-std=c++17", "-O2", "-shared", "-fPIC", "-mavx512f", "-mfma")
    subprocess.run(["g++", *flags, TESTS / "native" / "tiles.cpp", "-o", library], check=True)
    path = os.pathsep.join(sys.path)
    return os.environ | {
        "LD_PRELOAD": str(library), "LSTM_NATIVE_ISA": "amx", "PYTHONPATH": path
    }  # fmt: skip


@pytest.mark.parametrize("name", ROUNDING)
def test_what_rounds_products(name: str, emulating: dict[str, str]) -> None:
    chosen = ("-m", "not forced_isa", f"test_{name}.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen],
        env=emulating, capture_output=True, text=True, timeout=280, check=False, cwd=TESTS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def packings(environment: dict[str, str]) -> str:
    """What "highest", "high" and "medium" come to in a process of its own."""
    code = "print(_core.isa(), *map(_core.packing, ('highest', 'high', 'medium')), sep=', ')"
    return subprocess.run(
        [sys.executable, "-c", f"from lstm_native import _core; {code}"],
        env=environment, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip


def test_tiles_are_used(emulating: dict[str, str]) -> None:
    assert packings(emulating) == "amx, None, two parts, one part"
    free = emulating | {"LSTM_NATIVE_REPRODUCIBLE": "0"}
    assert packings(free) == "amx, three parts, two parts, one part"


def test_no_tiles_where_the_operating_system_refuses_them(emulating: dict[str, str]) -> None:
    refused = emulating | {"LSTM_NATIVE_REPRODUCIBLE": "0", "TILES_REFUSED": "1"}
    assert packings(refused) == "amx, None, None, bfloat16 pairs"

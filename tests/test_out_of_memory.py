"""Running out of memory is MemoryError, at any allocation, and changes nothing.

What is tried stands in ``memory/``. Each part is a process of its own, with an allocator preloaded
that fails when it is told to.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "memory"

pytestmark = [
    pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler"),
    pytest.mark.skipif("LD_PRELOAD" in os.environ, reason="another allocator is preloaded"),
]


@pytest.fixture(scope="module")
def allocator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("memory") / "failing_allocator.so"
    command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([*command, FOLDER / "failing_allocator.c", "-o", library], check=True)
    return library


# The core asks for many small objects, which count when Python gets each from the C library.
# Elsewhere NumPy and CPython do not live through the loss of any, so Python keeps its own allocator
# and what fails is arrays, tables, files, and whatever is large.
@pytest.mark.parametrize(
    ("part", "python_allocator"), [("public", "pymalloc"), ("team", "pymalloc"), ("core", "malloc")]
)
def test_every_allocation(allocator: Path, part: str, python_allocator: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "memory.out_of_memory", part],
        cwd=FOLDER.parent,
        env=os.environ | {"LD_PRELOAD": str(allocator), "PYTHONMALLOC": python_allocator},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    print(done.stdout)
    assert "MemoryError" in done.stdout

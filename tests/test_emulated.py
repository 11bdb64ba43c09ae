"""Old CPUs, emulated: the kernels are those the CPU can run, with the bits they have on any CPU.

The quick form of ``nox -s emulate``, which runs the numerical suite there. An instruction the
emulated CPU lacks ends the process with SIGILL.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import releases
from machine import X86

TESTS = Path(__file__).parent

# CPU as qemu names it: the kernels for it. Nehalem is from before AVX, Haswell from before AVX-512;
# why it has no BMI2 stands in noxfile.py.
CPUS = {"Nehalem": "baseline", "Haswell,-bmi2": "avx2"}

REPORT = """
import json, lstm_native, releases
available = lstm_native.show_config("dicts")["isas available"]
print(json.dumps([lstm_native.isa(), available, releases.digests()]))
"""

pytestmark = [
    pytest.mark.forced_isa,
    pytest.mark.unsanitized,
    pytest.mark.skipif(not shutil.which("qemu-x86_64"), reason="needs qemu-user"),
    pytest.mark.skipif(not X86, reason="starts the python of this machine"),
]


def emulate(cpu: str, *command: str, isa: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["qemu-x86_64", "-cpu", cpu, sys.executable, *command],
        env=os.environ | {"LSTM_NATIVE_ISA": isa, "OPENBLAS_NUM_THREADS": "1"},
        cwd=TESTS,
        capture_output=True,
        text=True,
        timeout=250,
    )


@pytest.mark.parametrize("cpu", CPUS)
def test_kernels_of_the_cpu_and_their_bits(cpu: str) -> None:
    done = emulate(cpu, "-c", REPORT)
    assert done.returncode == 0, done.stderr
    chosen, available, digests = json.loads(done.stdout)
    assert chosen == CPUS[cpu]
    assert available == ["baseline", "avx2"][: available.index(chosen) + 1]
    assert digests == json.loads((releases.FOLDER / "digests.json").read_text())[chosen]


def test_kernels_the_cpu_lacks_are_refused() -> None:
    done = emulate("Nehalem", "-c", "import lstm_native", isa="avx2")
    assert done.returncode == 1
    assert "LSTM_NATIVE_ISA should be one of baseline on this machine, got: avx2" in done.stderr

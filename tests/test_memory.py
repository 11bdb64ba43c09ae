"""What the core does with memory between calls."""

import gc
import resource
import subprocess
import sys
import textwrap
import weakref
from pathlib import Path

import numpy as np
import pytest

import lstm_native


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


@pytest.mark.unsanitized
def test_a_training_step_finds_its_memory_in_place() -> None:
    """Weights, tape and scratch of this network are 25 MB, which are 6000 pages."""
    lstm = lstm_native.LSTM(512, 512)
    x = np.ones((100, 1, 512), np.float32)
    gradients = np.zeros_like(lstm.flat_parameters)

    def step() -> None:
        output, _, tape = lstm.record(x)
        lstm.backward(tape, output, into=gradients)

    for _ in range(3):
        step()
    before = faults()
    for _ in range(10):
        step()
    assert faults() - before < 10 * 100


@pytest.mark.unsanitized
def test_a_used_tape_holds_nothing() -> None:
    """However long it is kept: 40 tapes of 20 MB each stay far below 800 MB."""
    code = """
        import numpy as np
        from lstm_native import LSTM
        def peak():
            lines = open("/proc/self/status").read().splitlines()
            return next(int(x.split()[1]) for x in lines if x.startswith("VmHWM"))
        lstm = LSTM(4, 32)
        x = np.ones((125, 256, 4), np.float32)
        kept, before = [], peak()
        for _ in range(40):
            tape = lstm.record(x)[2]
            lstm.backward(tape)
            kept.append(tape)
        print(peak() - before)
    """
    assert peak_kilobytes(code) < 100 << 10


@pytest.mark.parametrize("packed", [False, True])
def test_a_used_tape_lets_go_of_its_input(packed) -> None:
    lstm, x = lstm_native.LSTM(4, 8), np.ones((9, 2, 4), np.float32)
    given = lstm_native.pack_padded_sequence(x, [9, 5]) if packed else x
    tape = lstm.record(given)[2]
    alive = weakref.ref(given.data if packed else given)
    del given, x
    gc.collect()
    assert alive() is not None
    lstm.backward(tape)
    gc.collect()
    assert alive() is None
    assert tape.consumed


def test_pointers_of_a_long_segment() -> None:
    """On 4 threads a table of a whole segment for each would be 60 MB; its gates are 20."""
    code = """
        import numpy as np, sys
        from lstm_native import LSTM, _core, set_num_threads
        def peak():
            lines = open("/proc/self/status").read().splitlines()
            return next(int(x.split()[1]) for x in lines if x.startswith("VmHWM"))
        set_num_threads(4)
        _core.force_dealing("rows")
        lstm, x = LSTM(1, 4), np.ones((20_000, 16, 1), np.float32)
        tape = lstm.record(x, checkpoint=sys.maxsize)[2]
        before = peak()
        lstm.backward(tape)
        print(peak() - before)
    """
    assert peak_kilobytes(code) < 40 << 10


@pytest.mark.unsanitized
def test_what_is_kept_is_bounded() -> None:
    """Tapes of many sizes, 8 to 160 MB, 2.5 GB in all: 128 MB and the largest tape at most."""
    code = """
        import numpy as np
        from lstm_native import LSTM
        def peak():
            lines = open("/proc/self/status").read().splitlines()
            return next(int(x.split()[1]) for x in lines if x.startswith("VmHWM"))
        lstm = LSTM(4, 32)
        before = peak()
        for steps in range(50, 1000, 30):
            lstm.backward(lstm.record(np.ones((steps, 256, 4), np.float32))[2])
        print(peak() - before)
    """
    assert peak_kilobytes(code) < (128 + 200) << 10


@pytest.mark.unsanitized
def test_blocks_just_too_small_to_be_kept_go_back() -> None:
    """Each state is 32,720 bytes: rounded up to a cache line it would be one of those kept."""
    code = """
        import numpy as np
        from lstm_native import LSTM
        def peak():
            lines = open("/proc/self/status").read().splitlines()
            return next(int(x.split()[1]) for x in lines if x.startswith("VmHWM"))
        lstm, x = LSTM(1, 10), np.ones((1, 818, 1), np.float32)
        for round in range(12):
            tapes = [lstm.record(x)[2] for _ in range(200)]
            del tapes
            if round == 2:
                before = peak()
        print(peak() - before)
    """
    assert peak_kilobytes(code) < 40 << 10


def peak_kilobytes(code: str) -> int:
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.unsanitized
def test_nothing_grows() -> None:
    """The quick form of ``nox -s memory``: random shapes, networks made and dropped, errors."""
    script = Path(__file__).parent / "memory" / "growth.py"
    counts = ["--calls=3000", "--networks=1000", "--errors=500"]
    done = subprocess.run([sys.executable, script, *counts], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr

"""A step takes no memory: counted, and tried where there is none.

Owns the count of what C, C++ and Python alike ask for, made by an allocator that is preloaded.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent / "memory" / "counting_allocator.c"

# A count is itself an object.
STEPS = """
import ctypes, itertools, sys
import numpy as np
from lstm_native import LSTM, set_num_threads

threads, rows, hidden = map(int, sys.argv[1:])
set_num_threads(threads)
counter = ctypes.CDLL(None)
counter.times_asked.restype = ctypes.c_long
lstm = LSTM(8, hidden, num_layers=2, proj_size=16).eval()
x, out = np.ones((rows, 8), np.float32), np.empty((rows, 16), np.float32)
stream = lstm.stream(rows)

def count(call):
    call()
    before = counter.times_asked()
    for _ in itertools.repeat(None, 1000):
        call()
    return counter.times_asked() - before

nothing = count(lambda: None)
calls = lambda: stream.step(x, out), lambda: stream.step(x), lambda: lstm(x)
print(*[count(call) - nothing for call in calls])
"""


@pytest.fixture(scope="module")
def allocator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("memory") / "counting_allocator.so"
    command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run([*command, SOURCE, "-o", library], check=True)
    return library


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
@pytest.mark.unwatched
@pytest.mark.parametrize(
    ("threads", "rows", "hidden"), [(1, 1, 24), (1, 3, 24), (2, 2, 400)], ids=str
)
def test_how_often_a_step_asks_for_memory(allocator: Path, threads, rows, hidden) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STEPS, str(threads), str(rows), str(hidden)],
        env=os.environ | {"LD_PRELOAD": str(allocator), "PYTHONMALLOC": "malloc"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    given, made, called = map(int, done.stdout.split())
    assert given == 0
    assert made <= 2 * 1000  # the result: an object and its numbers
    assert called >= 5 * 1000  # the counter counts


# Once every free block has been taken and the system gives no more, only what takes none can go on.
WITHOUT_MEMORY = """
import ctypes, resource
import numpy as np
from lstm_native import LSTM, set_num_threads

set_num_threads(1)
lstm = LSTM(8, 24, num_layers=3, proj_size=16).eval()
x, out = np.ones((2, 8), np.float32), np.empty((2, 16), np.float32)
stream = lstm.stream(2)
stream.step(x, out)
lstm(x)
malloc = ctypes.CDLL(None).malloc
malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used, used))
sizes = [1 << bits for bits in range(30, 10, -1)] + list(range(1024, 0, -8))
for _ in range(2):
    for size in sizes:  # which stays: whoever is freed now leaves a block behind
        while malloc(size):
            pass
for _ in range(1000):
    stream.step(x, out)
try:
    lstm(x)
except MemoryError:
    print("no step took memory, and a call would have")
"""


@pytest.mark.unsanitized
def test_a_step_takes_no_memory() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MEMORY], capture_output=True, text=True, check=False
    )
    assert done.stdout == "no step took memory, and a call would have\n", done.stderr

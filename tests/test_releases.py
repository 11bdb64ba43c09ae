"""The bits of the last release, and the files and pickles of every release.

``golden/<version>/`` is written once, by ``releases.py``, when a version is prepared. The rule, and
how to change bits on purpose, are in CONTRIBUTING.
"""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lstm_native
import releases
from builders import Case, Results, bits, differing, problem, run
from lstm_native.checkpoints import load
from machine import X86

RELEASES = sorted(path for path in releases.GOLDEN.iterdir() if path.is_dir())

NETWORKS = {
    "lstm": releases.lstm(),
    "quantized": releases.quantized(),
    "cell": releases.cell(),
}

every_release = pytest.mark.parametrize("folder", RELEASES, ids=lambda folder: folder.name)
every_format = pytest.mark.parametrize("suffix", [*releases.SUFFIXES, "pickle"])


def stored_digests() -> dict[str, dict[str, str]]:
    return json.loads((releases.FOLDER / "digests.json").read_text())


def read(path: Path) -> object:
    """Load a golden file: a dict of arrays, or the object that was pickled."""
    return pickle.loads(path.read_bytes()) if path.suffix == ".pickle" else load(path)


def assert_same_arrays(got, expected) -> None:
    assert got.keys() == expected.keys()
    for name, array in expected.items():
        assert (got[name].dtype, got[name].shape) == (array.dtype, array.shape), name
        assert bits(got[name]) == bits(array), name


def test_this_version_has_its_folder() -> None:
    assert releases.FOLDER in RELEASES, "run python tests/releases.py"


@pytest.mark.skipif(not X86, reason="the digests are those of x86-64")
def test_bits_are_those_of_the_release() -> None:
    stored = stored_digests()[lstm_native.isa()]
    got = releases.digests()
    assert got.keys() == stored.keys()
    changed = [name for name in stored if got[name] != stored[name]]
    assert not changed, f"the bits changed, see CONTRIBUTING: {', '.join(changed)}"


@pytest.mark.forced_isa
@pytest.mark.skipif(not X86, reason="the digests are those of x86-64")
@pytest.mark.skipif("LSTM_NATIVE_ISA" in os.environ, reason="one instruction set was asked for")
def test_bits_of_the_other_instruction_sets() -> None:
    for isa in lstm_native.show_config("dicts")["isas available"]:
        done = subprocess.run(
            [sys.executable, releases.__file__, "--digests"],
            env=os.environ | {"LSTM_NATIVE_ISA": isa},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == stored_digests()[isa], isa


@every_release
@every_format
def test_networks(folder: Path, suffix: str) -> None:
    for name, fresh in NETWORKS.items():
        path = folder / f"{name}.{suffix}"
        loaded = read(path) if suffix == "pickle" else type(fresh).from_file(path)
        assert type(loaded) is type(fresh)
        assert repr(loaded) == repr(fresh)
        assert loaded.training == (fresh.training if suffix == "pickle" else False)
        assert_same_arrays(loaded.state_dict(), fresh.state_dict())
        x = releases.Numbers("x").uniform(-1, 1, (2, 3)).astype(fresh.dtype)
        for a, b in zip(flat(loaded(x)), flat(fresh(x)), strict=True):
            assert bits(a) == bits(b)


@every_release
def test_a_network_from_a_pickle_trains(folder: Path) -> None:
    case = Case(I=3, H=4, L=2, D=2, proj=2, batch_first=True, dropout=0.25, dtype="float64")
    data = problem(case, releases.Numbers("training"))
    given: list[Results] = []
    for lstm in (read(folder / "lstm.pickle"), releases.lstm()):
        lstm_native.manual_seed(3)
        given.append(run(lstm.train(), *data))
    assert not differing(*given)


def flat(results) -> list[np.ndarray]:
    if isinstance(results, tuple):
        return [array for part in results for array in flat(part)]
    return [results]


@every_release
@every_format
@pytest.mark.parametrize("name", releases.OPTIMIZERS)
def test_optimizers_go_on(folder: Path, suffix: str, name: str) -> None:
    state = read(folder / f"{name}.{suffix}")
    fresh, parameters = releases.optimizer(name, 3)
    assert_same_arrays(state, fresh.state_dict())
    _, others = releases.optimizer(name, 3)
    loaded = type(fresh)(others)
    loaded.load_state_dict(state)
    gradient = np.linspace(-1, 1, parameters.size, dtype=parameters.dtype)
    fresh.step(gradient)
    loaded.step(gradient)
    assert bits(others) == bits(parameters)


@every_release
def test_packed_sequences(folder: Path) -> None:
    loaded, fresh = read(folder / "packed_sequence.pickle"), releases.packed_sequence()
    assert type(loaded) is type(fresh)
    assert not differing(loaded, fresh)


@every_release
def test_generators(folder: Path) -> None:
    loaded, fresh = read(folder / "generator.pickle"), releases.generator()
    assert type(loaded) is type(fresh)
    assert bits(loaded.get_state()) == bits(fresh.get_state())


def test_golden_files_are_small() -> None:
    for folder in RELEASES:
        assert sum(path.stat().st_size for path in folder.iterdir()) < 100_000

"""Threads, instruction sets, configuration, and what ``import lstm_native`` brings."""

import importlib.metadata
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import lstm_native
from lstm_native import _core


def in_a_new_process(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("count", [1, 2, 3, np.int64(2)])
def test_threads(count: int) -> None:
    lstm_native.set_num_threads(count)
    assert lstm_native.get_num_threads() == count


def test_all_threads() -> None:
    lstm_native.set_num_threads(-1)
    assert 1 <= lstm_native.get_num_threads() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("count", "kind", "text"),
    [
        (0, ValueError, r"num_threads should be -1 \(all\) or in 1..256, got 0"),
        (-2, ValueError, "got -2"),
        (257, ValueError, "got 257"),
        (2**70, ValueError, "got 1180591620717411303424"),
        (1.0, TypeError, "num_threads should be of type int, got: float"),
        ("2", TypeError, "num_threads should be of type int, got: str"),
        (None, TypeError, "num_threads should be of type int, got: NoneType"),
    ],
)
def test_thread_counts_refused(count: Any, kind: type, text: str) -> None:
    before = lstm_native.get_num_threads()
    with pytest.raises(kind, match=text):
        lstm_native.set_num_threads(count)
    assert lstm_native.get_num_threads() == before


def test_config() -> None:
    config = lstm_native.show_config("dicts")
    assert config["lstm_native"] == lstm_native.__version__
    assert config["isa"] == lstm_native.isa()
    assert config["isa"] in config["isas available"]
    assert config["isas available"][0] == "baseline"
    assert set(config["isas available"]) <= set(config["isas compiled"])
    assert config["threads"] == lstm_native.get_num_threads()
    assert config["numpy"] == np.__version__
    for name in ("compiler", "eigen", "threading", "pybind11"):
        assert config[name]


def test_config_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert lstm_native.show_config() is None
    rows = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    config = lstm_native.show_config(mode="dicts")
    assert list(rows) == list(config) or len(rows) == len(config)
    assert rows["isa"].strip() == lstm_native.isa()
    with pytest.raises(ValueError, match="mode should be 'stdout' or 'dicts', got 'json'"):
        lstm_native.show_config("json")


def test_version() -> None:
    assert lstm_native.__version__ == importlib.metadata.version("lstm-native")


def test_everything_named_is_there() -> None:
    assert lstm_native.__all__ == sorted(set(lstm_native.__all__), key=lstm_native.__all__.index)
    for name in lstm_native.__all__:
        assert getattr(lstm_native, name) is not None
        if callable(getattr(lstm_native, name)):
            assert getattr(lstm_native, name).__doc__, name


def test_bad_isa_is_a_clear_error() -> None:
    result = in_a_new_process("import lstm_native", LSTM_NATIVE_ISA="sse9")
    assert result.returncode != 0
    last = result.stderr.strip().splitlines()[-1]
    assert "sse9" in last
    assert "baseline" in last


def test_import_is_light() -> None:
    """No framework, and nothing that only some functions need."""
    code = (
        "import sys, numpy; before = set(sys.modules); import lstm_native; "
        "print(*{m.split('.')[0] for m in set(sys.modules) - before})"
    )
    result = in_a_new_process(code)
    assert result.returncode == 0, result.stderr
    brought = set(result.stdout.split())
    assert "lstm_native" in brought
    assert not brought & {"torch", "safetensors", "onnx", "h5py", "tqdm", "matplotlib", "zipfile"}


def test_environment_sets_the_threads() -> None:
    code = "import lstm_native; print(lstm_native.get_num_threads())"
    assert in_a_new_process(code, LSTM_NATIVE_NUM_THREADS="1").stdout.split() == ["1"]
    ours = in_a_new_process(code, LSTM_NATIVE_NUM_THREADS="").stdout
    assert ours == in_a_new_process(code).stdout


@pytest.mark.parametrize("count", ["0", "-1", "two", "1.5", f"{2**31}"])
def test_environment_with_no_count_of_threads(count: str) -> None:
    result = in_a_new_process("import lstm_native", LSTM_NATIVE_NUM_THREADS=count)
    assert f"LSTM_NATIVE_NUM_THREADS should be a positive number, got: {count}" in result.stderr


@pytest.mark.parametrize(
    ("openmp_says", "obeyed"),
    [("1", True), (" 1 ", True), ("1,7", True), ("0", False), ("-1", False), ("1x", False)],
)
def test_threads_follow_openmp_s_variable(
    openmp_says: str, obeyed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without OpenMP, too: engines say by it what their workers may have."""
    config = lstm_native.show_config("dicts")
    if not obeyed and config["threading"] != "std::thread" and "GNU" not in config["compiler"]:
        pytest.skip("LLVM's OpenMP runtime takes no number for one, or aborts")
    for name in ("OMP_NUM_THREADS", "LSTM_NATIVE_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    code = "import lstm_native; print(lstm_native.get_num_threads())"
    otherwise = in_a_new_process(code).stdout.split()
    found = in_a_new_process(code, OMP_NUM_THREADS=openmp_says).stdout.split()
    assert found == (["1"] if obeyed else otherwise)


def test_limits_of_the_machine_count_what_they_did() -> None:
    flops = _core.multiply_add(False, 1000)
    assert flops > 0
    assert _core.multiply_add(False, 3000) == 3 * flops
    assert _core.multiply_add(True, 1000) == flops / 2
    threads = lstm_native.get_num_threads()
    buffer = np.ones(1 << 14, np.float32)
    assert _core.read(buffer, 5) == 5 * (buffer.size // threads // 128 * 128 * threads) * 4
    with pytest.raises(TypeError, match="buffer should have dtype float32"):
        _core.read(np.ones(4), 1)

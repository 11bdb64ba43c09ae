"""The command line as its user meets it: what is printed, written and returned."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lstm_native
from lstm_native import LSTM, LSTMCell, load, save
from lstm_native.__main__ import main
from lstm_native.checkpoints import read


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two LSTMs, a cell and something else."""
    path = tmp_path / "model.safetensors"
    encoder = LSTM(3, 4, 2, batch_first=True, dropout=0.5)
    state = encoder.state_dict(prefix="enc.") | LSTM(4, 5, bidirectional=True).state_dict()
    state |= LSTMCell(2, 3).state_dict(prefix="cell.") | {"fc.weight": np.ones((2, 5))}
    save(path, state, encoder.metadata("enc."))
    return path


def printed(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    assert main([str(a) for a in arguments]) == code
    return capsys.readouterr().out


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(a) for a in arguments]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    return err


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    shown = json.loads(printed(capsys, "info", "--json"))
    assert shown.pop("cpu")
    assert shown == lstm_native.show_config("dicts")
    assert lstm_native.isa() in printed(capsys, "info")


def test_inspect(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "inspect", model)
    assert "'enc.'  LSTM 3 -> 4 x 2, 304 parameters, float32, batch_first=True, dropout=0.5" in text
    assert "''  LSTM 4 -> 5, bidirectional, 440 parameters, float32\n" in text
    assert "'cell.'  LSTMCell 2 -> 3, 84 parameters" in text
    assert "and 1 other arrays of 10 numbers" in text
    shown = json.loads(printed(capsys, "inspect", model, "--json"))
    assert shown["others"] == {"fc.weight": {"shape": [2, 5], "dtype": "float64"}}
    (encoder,) = [one for one in shown["lstms"] if one["prefix"] == "enc."]
    assert (encoder["batch_first"], encoder["num_layers"]) == (True, 2)
    assert encoder["arrays"]["enc.weight_ih_l1"] == [16, 4]


def test_inspect_without_lstms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "x.npz", {})
    assert printed(capsys, "inspect", tmp_path / "x.npz") == "no LSTM\n"


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_convert(
    suffix: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, part = tmp_path / f"whole.{suffix}", tmp_path / f"part.{suffix}"
    assert printed(capsys, "convert", model, whole).endswith(": 21 arrays of 838 numbers\n")
    assert read(whole).notes == read(model).notes
    for name, array in load(model).items():
        np.testing.assert_array_equal(load(whole)[name], array, strict=True)
    printed(capsys, "convert", model, part, "--prefix", "enc.")
    assert repr(LSTM.from_file(part)) == repr(LSTM.from_file(model, "enc."))
    assert "it has: " in failure(capsys, "convert", model, part, "--prefix", "dec.")
    assert "the suffix should be" in failure(capsys, "convert", model, tmp_path / "x.pt")


def test_convert_widens_on_request(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "a.npz", {"x": np.ones(3, "f2")})
    printed(capsys, "convert", tmp_path / "a.npz", tmp_path / "b.npz", "--float32")
    assert load(tmp_path / "b.npz")["x"].dtype == np.float32


def test_convert_leaves_a_packed_copy_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lstm = LSTM(3, 4)
    save(tmp_path / "packed.safetensors", lstm, packed=True)
    text = printed(capsys, "convert", tmp_path / "packed.safetensors", tmp_path / "plain.npz")
    assert text.endswith(": 4 arrays of 144 numbers\n")
    assert read(tmp_path / "plain.npz").notes == lstm.metadata()


def test_run(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "x.npy", tmp_path / "y.npy"
    x = np.random.default_rng(0).standard_normal((2, 6, 3))
    np.save(source, x)
    lstm = LSTM.from_file(model, "enc.")
    text = printed(capsys, "run", model, source, "-o", target, "--prefix", "enc.")
    assert "(2, 6, 4) of float32" in text
    np.testing.assert_array_equal(np.load(target), lstm(x.astype("f4"))[0])
    options = ["run", model, source, "-o", target, "--prefix", "enc.", "--lengths", "6,2"]
    printed(capsys, *options)
    np.testing.assert_array_equal(np.load(target), lstm(x.astype("f4"), lengths=[6, 2])[0])
    lstm.batch_first = False
    printed(capsys, *options[:-2], "--no-batch-first")
    np.testing.assert_array_equal(np.load(target), lstm(x.astype("f4"))[0])


def test_run_refuses(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "x.npy", tmp_path / "y.npy"
    np.save(source, np.zeros((2, 6, 7)))
    assert "2 LSTMs" in failure(capsys, "run", model, source, "-o", target)
    options = ["run", model, source, "-o", target, "--prefix", "enc."]
    assert "input.size(-1) must be equal to input_size" in failure(capsys, *options)
    np.save(source, np.array([{}], object), allow_pickle=True)
    assert "allow_pickle" in failure(capsys, *options)
    np.save(source, np.zeros((2, 6, 3), int))
    assert "one array of floats" in failure(capsys, *options)
    assert not target.exists()


def test_run_of_damaged_input(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "x.npy", tmp_path / "y.npy"
    for content in (b"", b"PK\3\4", b"PK\5\6" + bytes(30), b"\x93NUMPY\1\0\xff\xff{"):
        source.write_bytes(content)
        failure(capsys, "run", model, source, "-o", target, "--prefix", "enc.")
    assert not target.exists()


def test_what_is_no_file_is_not_replaced(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As root, a file in the place of a device would stay."""
    pipe = tmp_path / "pipe.npz"
    os.mkfifo(pipe)
    assert "no file that can be replaced" in failure(capsys, "convert", model, pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == [model.name, pipe.name]


def test_convert_in_place(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {name: array.copy() for name, array in load(model).items()}
    printed(capsys, "convert", model, model)
    for name, array in load(model).items():
        np.testing.assert_array_equal(array, before[name], strict=True)


def test_convert_refuses_many_arrays_of_one_memory(
    torch: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = torch.zeros(1_000_000)
    torch.save([shared[i:] for i in range(20)], tmp_path / "m.pt")
    text = failure(capsys, "convert", tmp_path / "m.pt", tmp_path / "m.npz")
    assert "too many arrays of one memory" in text
    torch.save([shared[i:] for i in range(5)], tmp_path / "m.pt")
    printed(capsys, "convert", tmp_path / "m.pt", tmp_path / "m.npz")


def test_errors_of_types_are_errors(
    torch: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a file holds cannot make a command fall."""
    torch.save({"x": torch.ones(2, dtype=torch.complex128)}, tmp_path / "m.pt")
    text = failure(capsys, "convert", tmp_path / "m.pt", tmp_path / "m.safetensors")
    assert "cannot hold complex128" in text
    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    integers = {name: a.astype(int) for name, a in LSTM(3, 4).state_dict().items()}
    save(tmp_path / "m.npz", integers)
    failure(capsys, "run", tmp_path / "m.npz", tmp_path / "x.npy", "-o", tmp_path / "y.npy")


def test_names_in_a_file_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import hostile_files

    evil = hostile_files.state(hostile_files.name("evil.\x1b[2Jname"))
    (tmp_path / "m.pt").write_bytes(hostile_files.archive(evil))
    text = failure(capsys, "inspect", tmp_path / "m.pt")
    assert "\x1b" not in text
    assert "\\x1b[2Jname" in text


def test_json_has_no_nan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for note in ("NaN", "Infinity"):
        save(tmp_path / "m.npz", LSTM(3, 4).state_dict(), {"dropout": note})
        assert "its note on dropout" in failure(capsys, "inspect", tmp_path / "m.npz", "--json")
    save(tmp_path / "m.npz", LSTM(3, 4).state_dict(), {"dropout": "1e999"})
    text = printed(capsys, "inspect", tmp_path / "m.npz", "--json")
    shown = json.loads(text, parse_constant=lambda constant: pytest.fail(constant))
    assert shown["lstms"][0]["dropout"] is None


def test_verify(torch: Any, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "verify", model)
    assert text.count("agrees with torch") == 3
    shown = json.loads(printed(capsys, "verify", model, "--json", "--prefix", "enc."))
    (one,) = shown["lstms"]
    assert shown["agrees"] is True
    assert 0 <= one["difference"] <= shown["tolerance"]
    assert "holds no LSTM to verify" in failure(capsys, "verify", model, "--prefix", "dec.")


@pytest.mark.parametrize("directions", [1, 2])
def test_verify_onnx(directions: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx = pytest.importorskip("onnx")
    from test_onnx_files import model_of

    lstm = LSTM(3, 4, 2, bidirectional=directions == 2)
    onnx.save(model_of(lstm, lengths=directions == 1), tmp_path / "m.onnx")
    assert "'node0.'  agrees with onnxruntime" in printed(capsys, "verify", tmp_path / "m.onnx")


def test_verify_sees_a_difference(
    torch: Any, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    call = LSTM.__call__

    def wrong(self: LSTM, x: Any) -> Any:
        output, state = call(self, x)
        return output + np.float32(2e-5), state

    monkeypatch.setattr(LSTM, "__call__", wrong)
    assert "DIFFERS from torch" in printed(capsys, "verify", model, code=1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_verify_of_what_is_not_finite(
    value: float,
    torch: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """NaN here and there agrees; NaN only in the last of our results does not."""
    lstm = LSTM(3, 4)
    save(tmp_path / "good.npz", lstm)
    lstm.weight_ih_l0[0, 0] = value
    save(tmp_path / "odd.npz", lstm)
    assert "agrees with torch" in printed(capsys, "verify", tmp_path / "odd.npz")
    call = LSTM.__call__

    def wrong(self: LSTM, x: Any) -> Any:
        output, (h, c) = call(self, x)
        return output, (h, np.full_like(c, value))

    monkeypatch.setattr(LSTM, "__call__", wrong)
    assert "DIFFERS from torch" in printed(capsys, "verify", tmp_path / "good.npz", code=1)
    shown = json.loads(printed(capsys, "verify", tmp_path / "good.npz", "--json", code=1))
    assert shown["lstms"][0]["difference"] is None


def test_verify_onnx_with_data_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data is looked for beside the model, not where the command is given."""
    onnx = pytest.importorskip("onnx")
    from test_onnx_files import model_of

    path = tmp_path / "models" / "m.onnx"
    path.parent.mkdir()
    beside = {"save_as_external_data": True, "location": "m.data", "size_threshold": 100}
    onnx.save(model_of(LSTM(3, 4)), path, **beside)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.data").write_bytes(bytes(10_000))
    assert "agrees with onnxruntime" in printed(capsys, "verify", "models/m.onnx")


def test_verify_without_a_peer(
    model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "torch, which is not installed" in failure(capsys, "verify", model)


def test_bench(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lstm_native.commands.bench.SECONDS", 0.01)
    options = ["bench", "--steps", 3, "--hidden-size", 8, "--layers", 2, "--bidirectional"]
    assert "inference" in printed(capsys, *options)
    shown = json.loads(printed(capsys, *options, "--threads", 1, "--json"))
    assert shown["network"] == "LSTM(64, 8, num_layers=2, bidirectional=True)"
    assert shown["threads"] == 1
    assert shown["inference"]["seconds"] > 0
    assert shown["training"]["gflops"] > 0


def test_files_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "No such file" in failure(capsys, "inspect", tmp_path / "none.pt")
    (tmp_path / "text").write_text("hello")
    assert "no weight file that can be read" in failure(capsys, "inspect", tmp_path / "text")


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["nonsense"],
        ["inspect"],
        ["run", "a", "b"],
        ["run", "a", "b", "-o", "c", "--lengths", "3,-1"],
        ["run", "a", "b", "-o", "c", "--lengths", "x"],
        ["bench", "--steps", "0"],
        ["verify", "a", "--seed", "-1"],
    ],
)
def test_senseless_arguments(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(options)
    assert refused.value.code == 2
    assert "usage: lstm-native" in capsys.readouterr().err


def test_help_imports_only_what_it_needs() -> None:
    """No command's own imports: ``--help`` takes what importing the package takes."""
    code = (
        "import sys, lstm_native; before = set(sys.modules)\n"
        "from lstm_native.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "new = {m for m in set(sys.modules) - before}\n"
        "print('NEW', *{m for m in new if m.split('.')[0] not in sys.stdlib_module_names})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    new = set(done.stdout.split("NEW")[1].split())
    allowed = {"lstm_native.__main__", "lstm_native.demo", "lstm_native.demo.command"}
    assert {m for m in new if not m.startswith("lstm_native.commands")} <= allowed
    assert "lstm_native.commands.peers" not in new


def test_a_reader_that_has_seen_enough() -> None:
    """As in ``lstm-native info | head -n 0``: an exit code, and not a word."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "lstm_native", "info"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_both_ways_to_start_it() -> None:
    for start in (
        [sys.executable, "-m", "lstm_native"],
        [Path(sys.executable).parent / "lstm-native"],
    ):
        if not Path(start[0]).exists():
            pytest.skip("the script of this installation is older than the command")
        done = subprocess.run([*start, "info"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "numpy" in done.stdout

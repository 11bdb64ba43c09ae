"""Files written by torch: every way of saving, read without torch, gives torch's outputs."""

import itertools
import pickle
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lstm_native import LSTM, LSTMCell, find_lstms, load
from lstm_native.checkpoints import pickle_machine, read

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


def save_state(torch: Any, model: Any, path: Path) -> None:
    torch.save(model.state_dict(), path)


def save_legacy(torch: Any, model: Any, path: Path) -> None:
    torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)


def save_checkpoint(torch: Any, model: Any, path: Path) -> None:
    adam = torch.optim.Adam(model.parameters())
    sum(p.sum() for p in model.parameters()).backward()
    adam.step()
    state = {"epoch": 3, "loss": 0.5, "model": model.state_dict(), "adam": adam.state_dict()}
    torch.save(state, path)


def save_parameters(torch: Any, model: Any, path: Path) -> None:
    torch.save(dict(model.named_parameters()), path)


def save_module(torch: Any, model: Any, path: Path) -> None:
    torch.save(model, path)


def save_legacy_module(torch: Any, model: Any, path: Path) -> None:
    torch.save(model, path, _use_new_zipfile_serialization=False)


def save_newer_module(torch: Any, model: Any, path: Path) -> None:
    torch.save(model, path, pickle_protocol=5)


def save_script(torch: Any, model: Any, path: Path) -> None:
    torch.jit.save(torch.jit.script(model), path)


def save_safetensors(torch: Any, model: Any, path: Path) -> None:
    from safetensors.torch import save_file

    save_file(model.state_dict(), path)


def save_npz(torch: Any, model: Any, path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, **{name: value.numpy() for name, value in model.state_dict().items()})


WRITERS: list[Callable[[Any, Any, Path], None]] = [
    save_state,
    save_legacy,
    save_checkpoint,
    save_parameters,
    save_module,
    save_legacy_module,
    save_newer_module,
    save_script,
    save_safetensors,
    save_npz,
]


def model_of(torch: Any, *sizes: Any) -> Any:
    """An LSTM between other layers, as in life."""
    layers, directions, proj, bias, batch_first, dtype = sizes
    lstm = torch.nn.LSTM(
        3, 5, layers, bias, batch_first, 0.0, directions == 2, proj, dtype=getattr(torch, dtype)
    )
    return torch.nn.ModuleDict({"front": torch.nn.Linear(2, 3), "lstm": lstm})


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("directions", [1, 2])
def test_outputs(
    directions: int,
    layers: int,
    dtype: str,
    writer: Callable[[Any, Any, Path], None],
    torch: Any,
    rng: np.random.Generator,
    file_count: Counter[str],
    tmp_path: Path,
) -> None:
    path = tmp_path / "model.bin"
    x = rng.standard_normal((4, 6, 3)).astype(dtype)
    for proj, bias, batch_first in itertools.product((0, 2), (True, False), (True, False)):
        model = model_of(torch, layers, directions, proj, bias, batch_first, dtype)
        writer(torch, model if writer is not save_script else model["lstm"], path)
        told = {} if "module" in writer.__name__ else {"batch_first": batch_first}
        ours = LSTM.from_file(path, **told)
        expected, (h_n, c_n) = model["lstm"](torch.from_numpy(x))
        output, state = ours(x)
        assert repr(ours) == repr(model["lstm"])
        assert ours.dtype == dtype
        for ours_one, theirs in zip((output, *state), (expected, h_n, c_n), strict=True):
            np.testing.assert_allclose(
                ours_one, theirs.detach().numpy(), rtol=0, atol=TOLERANCE[dtype]
            )
        file_count["torch"] += 1


def test_cells(torch: Any, rng: np.random.Generator, tmp_path: Path) -> None:
    cell = torch.nn.LSTMCell(3, 4)
    torch.save({"cell": cell}, tmp_path / "cell.pt")
    x = rng.standard_normal((2, 3)).astype("f4")
    h, c = LSTMCell.from_file(tmp_path / "cell.pt")(x)
    theirs = [t.detach().numpy() for t in cell(torch.from_numpy(x))]
    np.testing.assert_allclose(np.stack([h, c]), np.stack(theirs), rtol=0, atol=1e-6)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_kind_of_tensor(protocol: int, legacy: bool, torch: Any, tmp_path: Path) -> None:
    base = torch.arange(24, dtype=torch.float32)
    tensors = {
        "transposed": base.reshape(4, 6).T,
        "slice": base[3:20:4],
        "one": torch.tensor(2.5),
        "empty": torch.zeros(0, 3),
        "flags": torch.tensor([[True], [False]]),
        "brain": torch.tensor([1.0, -0.5, 3e38, -0.0]).bfloat16()[1:],
        "half": torch.tensor([1.5]).half(),
        "wave": torch.tensor([1 + 2j]),
        "bytes": torch.arange(5, dtype=torch.uint8),
        "gradient": torch.ones(2, requires_grad=True),
    }
    for kind in (torch.int8, torch.int16, torch.int32, torch.int64, torch.float64):
        tensors[str(kind)] = torch.tensor([1, 2, 3], dtype=kind)
    tensors["tied"] = tensors["slice"]
    torch.save(
        {"a": tensors, "list": [tensors["one"], (tensors["half"], {"x": None, 3: "text"})]},
        tmp_path / "all.pt",
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=not legacy,
    )
    loaded = load(tmp_path / "all.pt")
    assert len(loaded) == len(tensors) + 2
    assert loaded["list.1.0"] == 1.5
    for name, tensor in tensors.items():
        widened = tensor.float() if tensor.dtype is torch.bfloat16 else tensor
        array = loaded[f"a.{name}"]
        np.testing.assert_array_equal(array, widened.detach().numpy(), strict=True)
        assert array.flags.aligned
    assert np.shares_memory(loaded["a.tied"], loaded["a.transposed"])
    assert load(tmp_path / "all.pt", float32=True)["a.half"].dtype == np.float32


def test_archives_are_mapped(torch: Any, tmp_path: Path) -> None:
    path = tmp_path / "large.pt"
    torch.save({"x": torch.zeros(2_000_000)}, path)
    before = path.read_bytes()
    loaded = load(path)["x"]
    loaded[...] = 1
    assert path.read_bytes() == before
    base = loaded
    while isinstance(base.base, np.ndarray):
        base = base.base
    assert base.size == len(before)


def test_big_endian(torch: Any, tmp_path: Path) -> None:
    path = tmp_path / "big.pt"
    torch.save({"x": torch.tensor([1.0, 2.0])}, path)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "swapped.pt", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("byteorder"):
                content = b"big"
            if name.endswith("data/0"):
                content = np.frombuffer(content, "<f4").astype(">f4").tobytes()
            new.writestr(name, content)
    np.testing.assert_array_equal(load(tmp_path / "swapped.pt")["x"], [1, 2])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("whole", [True, False])
def test_quantised_modules_are_refused(torch: Any, whole: bool, tmp_path: Path) -> None:
    model = torch.nn.ModuleDict({"lstm": torch.nn.LSTM(3, 4)})
    model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.LSTM})
    torch.save(model if whole else model.state_dict(), tmp_path / "q.pt")
    with pytest.raises(ValueError, match="quantised weights"):
        load(tmp_path / "q.pt")


@pytest.mark.filterwarnings("ignore")
def test_frozen_script_is_refused(torch: Any, tmp_path: Path) -> None:
    model = torch.jit.freeze(torch.jit.script(torch.nn.Sequential(torch.nn.LSTM(3, 4)).eval()))
    torch.jit.save(model, tmp_path / "frozen.pt")
    with pytest.raises(ValueError, match="freeze leaves constants without names"):
        load(tmp_path / "frozen.pt")


def test_objects_that_are_no_modules_are_refused(torch: Any, tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 2)
    module.config = Counter()
    torch.save(module, tmp_path / "m.pt")
    with pytest.raises(ValueError, match=r"call collections\.Counter, which is not allowed"):
        load(tmp_path / "m.pt")


def test_plain_values_of_torch(torch: Any, tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 3)
    model.device, model.kind = torch.device("cpu"), torch.float32
    torch.save({"model": model, "shape": model.weight.shape}, tmp_path / "m.pt")
    assert list(load(tmp_path / "m.pt")) == ["model.weight", "model.bias"]


def test_many_tensors_of_one_storage(torch: Any, tmp_path: Path) -> None:
    """Views cost nothing; widened on request, each would be an array of its own."""
    shared = torch.zeros(1_000_000).half()
    torch.save([shared[i:] for i in range(50)], tmp_path / "m.pt")
    assert len(load(tmp_path / "m.pt")) == 50
    with pytest.raises(ValueError, match="too many arrays of one memory"):
        load(tmp_path / "m.pt", float32=True)


@pytest.mark.parametrize("legacy", [False, True])
def test_negated_views_are_refused(torch: Any, legacy: bool, tmp_path: Path) -> None:
    """Such a view says that its memory holds the negative, or conjugate, of its values."""
    numbers = torch.tensor([1 + 2j, 3 - 1j])
    for view in (numbers.conj(), numbers.conj().imag):
        torch.save({"x": view}, tmp_path / "m.pt", _use_new_zipfile_serialization=not legacy)
        with pytest.raises(ValueError, match="is the negative or conjugate"):
            load(tmp_path / "m.pt")
    torch.save({"x": numbers.conj().imag.resolve_neg()}, tmp_path / "m.pt")
    np.testing.assert_array_equal(load(tmp_path / "m.pt")["x"], [-2, 1])


def test_notes_of_modules(torch: Any, tmp_path: Path) -> None:
    model = torch.nn.ModuleList([torch.nn.LSTM(2, 3, 2, batch_first=True, dropout=0.5)])
    torch.save({"net": model}, tmp_path / "m.pt")
    assert read(tmp_path / "m.pt").notes == {
        "net.0.batch_first": "true",
        "net.0.dropout": "0.5",
    }
    assert [found.prefix for found in find_lstms(load(tmp_path / "m.pt"))] == ["net.0."]
    assert LSTM.from_file(tmp_path / "m.pt").dropout == 0.5


class TestMachine:
    """Its answers on plain values are pickle's own; no name means anything to it."""

    class Nothing:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"asked for {name}")

    @pytest.mark.parametrize("protocol", [2, 3, 4, 5])
    def test_plain_values(self, protocol: int) -> None:
        value = {
            "a": [1, -1, 255, 256, 65536, 2**31, -(2**62), 2.5, None, True, False],
            3: ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], {}, ["x" * 300, "ü"]),
        }
        value["shared"] = value["a"]  # type: ignore[assignment]
        data = b"xx" + pickle.dumps(value, protocol) + b"more"
        got, end = pickle_machine.run(memoryview(data), 2, self.Nothing())
        assert got == value
        assert got["shared"] is got["a"]
        assert end == len(data) - 4


def test_torch_is_not_imported(torch: ModuleType, tmp_path: Path) -> None:
    torch.save(torch.nn.LSTM(2, 3), tmp_path / "m.pt")
    code = (
        "import sys, lstm_native; lstm_native.LSTM.from_file(sys.argv[1]); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "m.pt"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"

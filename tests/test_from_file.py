"""From a file to a network: which LSTM is meant, what the file tells of it, and what torch makes of
the files saved here."""

import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np
import pytest

import lstm_native
from builders import Case, network
from lstm_native import LSTM, LSTMCell, find_lstms, load, save
from lstm_native.checkpoints import read

SUFFIXES = pytest.mark.parametrize("suffix", ["npz", "safetensors"])
OTHERS = {
    "fc.weight": np.zeros((2, 3)),
    "gru.weight_ih_l0": np.zeros((12, 3)),
    "gru.weight_hh_l0": np.zeros((12, 4)),
    "weight_ih_l0_of_nothing": np.zeros(3),
    "half.weight_ih_l0": np.zeros((16, 3)),
}


def test_many_lstms_are_found_in_time() -> None:
    """Each name is looked at once, not once for every LSTM: a minute for this state."""
    one = LSTM(1, 1).state_dict()
    state = {f"{i}.{name}": array for i in range(5000) for name, array in one.items()}
    start = time.process_time()
    assert len(find_lstms(state)) == 5000
    assert time.process_time() - start < 3


@SUFFIXES
def test_metadata(suffix: str, tmp_path: Path) -> None:
    path, notes = tmp_path / f"state.{suffix}", {"batch_first": "true", "ü": "a note"}
    save(path, {"a": np.ones(3)}, notes)
    assert read(path).notes == notes
    assert list(load(path)) == ["a"]


@SUFFIXES
def test_a_network_is_saved_with_its_options(suffix: str, tmp_path: Path) -> None:
    lstm = LSTM(3, 4, 2, batch_first=True, dropout=0.25)
    save(tmp_path / f"lstm.{suffix}", lstm, {"author": "a test"})
    assert read(tmp_path / f"lstm.{suffix}").notes["author"] == "a test"
    loaded = LSTM.from_file(tmp_path / f"lstm.{suffix}")
    assert repr(loaded) == repr(lstm)
    assert not loaded.training
    np.testing.assert_array_equal(loaded.flat_parameters, lstm.flat_parameters)
    assert not LSTM.from_file(tmp_path / f"lstm.{suffix}", batch_first=False).batch_first


def test_a_subclass_is_handed_what_load_gives(tmp_path: Path) -> None:
    handed: list[set[str]] = []

    class Own(LSTM):
        @classmethod
        def from_state_dict(cls, state_dict: Mapping[str, Any], *args: Any, **kwargs: Any) -> Self:
            handed.append(set(state_dict))
            return super().from_state_dict(state_dict, *args, **kwargs)

    path = tmp_path / "packed.safetensors"
    save(path, LSTM(3, 4), packed=True)
    Own.from_file(path)
    assert handed == [set(load(path))] == [set(LSTM(3, 4).state_dict())]


@SUFFIXES
def test_parts_of_a_model(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model.{suffix}"
    encoder, decoder, cell = LSTM(3, 4, batch_first=True), LSTM(4, 5, 2), LSTMCell(3, 2)
    state = encoder.state_dict(prefix="enc.") | decoder.state_dict(prefix="dec.")
    state |= cell.state_dict(prefix="cell.")
    save(path, state | OTHERS, encoder.metadata("enc."))
    assert repr(LSTM.from_file(path, "enc.")) == repr(encoder)
    assert repr(LSTM.from_file(path, "dec.")) == repr(decoder)
    assert repr(LSTMCell.from_file(path)) == repr(cell)
    with pytest.raises(ValueError, match="holds 2 LSTMs") as raised:
        LSTM.from_file(path)
    text = str(raised.value)
    assert text.startswith(f"{path}: it holds 2 LSTMs, choose one by prefix=: ")
    assert "'enc.': LSTM 3 -> 4, 144 parameters" in text
    assert "'dec.': LSTM 4 -> 5 x 2, 460 parameters" in text
    with pytest.raises(ValueError, match=r"no LSTM under prefix 'fc\.'"):
        LSTM.from_file(path, "fc.")


def test_half_is_widened_on_request(tmp_path: Path) -> None:
    save(tmp_path / "x.npz", {"half": np.array([1, 65504], "f2"), "wide": np.ones(2)})
    loaded = load(tmp_path / "x.npz", float32=True)
    np.testing.assert_array_equal(loaded["half"], np.array([1, 65504], "f4"), strict=True)
    assert loaded["wide"].dtype == np.float64
    assert load(tmp_path / "x.npz")["half"].dtype == np.float16


def test_find_lstms() -> None:
    lstm = LSTM(3, 5, 2, bias=False, bidirectional=True, proj_size=2)
    state = OTHERS | lstm.state_dict(prefix="a.b.") | LSTMCell(7, 1).state_dict()
    first, second = find_lstms(state)
    assert (first.prefix, first.cell, first.input_size, first.hidden_size) == ("a.b.", False, 3, 5)
    assert (first.num_layers, first.bidirectional, first.proj_size, first.bias) == (2, True, 2, 0)
    assert first.parameter_count == lstm.flat_parameters.size
    assert str(first) == "LSTM 3 -> 5 x 2, bidirectional, projected to 2, no bias, 480 parameters"
    assert str(second) == "LSTMCell 7 -> 1, 40 parameters"
    assert (second.prefix, second.cell) == ("", True)
    assert find_lstms({}) == []
    with pytest.raises(TypeError, match="dict-like, got <class 'str'>"):
        find_lstms("model.pt")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "cls", "text"),
    [
        ({"a": np.ones(3)}, LSTM, "it holds no LSTM"),
        (
            LSTMCell(1, 1).state_dict(prefix="c."),
            LSTM,
            "it holds no LSTM; for LSTMCell.from_file there is: 'c.'",
        ),
        (
            LSTM(1, 1).state_dict(prefix="c."),
            LSTMCell,
            "it holds no LSTMCell; for LSTM.from_file there is: 'c.'",
        ),
        ({"half.weight_ih_l0": np.zeros((16, 3))}, LSTM, "missing 'half.weight_hh_l0'"),
    ],
)
def test_without_one(
    state: lstm_native.checkpoints.State, cls: type[LSTM], text: str, tmp_path: Path
) -> None:
    save(tmp_path / "x.npz", state)
    with pytest.raises(ValueError, match=r"it holds no|not one LSTM") as raised:
        cls.from_file(tmp_path / "x.npz")
    assert str(raised.value).startswith(f"{tmp_path / 'x.npz'}: ")
    assert str(raised.value).endswith(text)


@pytest.mark.parametrize("note", ["maybe", "3", "[" * 100_000])
def test_notes_that_make_no_sense(note: str, tmp_path: Path) -> None:
    save(tmp_path / "x.safetensors", LSTM(1, 1).state_dict(), {"batch_first": note})
    with pytest.raises((ValueError, TypeError), match="batch_first"):
        LSTM.from_file(tmp_path / "x.safetensors")


def test_options_that_make_no_sense(tmp_path: Path) -> None:
    save(tmp_path / "x.npz", LSTM(1, 1))
    with pytest.raises(TypeError, match="no option 'hidden_size'"):
        LSTM.from_file(tmp_path / "x.npz", hidden_size=3)
    with pytest.raises(TypeError, match="batch_first should be of type bool"):
        LSTM.from_file(tmp_path / "x.npz", batch_first=1)


@SUFFIXES
@pytest.mark.filterwarnings("ignore:LSTM with projections:UserWarning")
@pytest.mark.parametrize("case", [Case(), Case(L=2, D=2, proj=3, batch_first=True, bias=False)])
def test_torch_takes_what_we_save(
    suffix: str, case: Case, torch: ModuleType, rng: np.random.Generator, tmp_path: Path
) -> None:
    ours = network(case, rng).eval()
    path = tmp_path / f"ours.{suffix}"
    save(path, ours)
    if suffix == "npz":
        with np.load(path) as file:
            state = {name: torch.from_numpy(file[name]) for name in file}
    else:
        from safetensors.torch import load_file

        state = load_file(path)
    theirs = torch.nn.LSTM(
        case.I,
        case.H,
        case.L,
        bias=case.bias,
        batch_first=case.batch_first,
        bidirectional=case.D == 2,
        proj_size=case.proj,
    )
    theirs.load_state_dict(state)
    x = rng.standard_normal((case.T, case.N, case.I)).astype("f4")
    expected = theirs(torch.from_numpy(x))[0].detach().numpy()
    np.testing.assert_allclose(ours(x)[0], expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(LSTM.from_file(path)(x)[0], ours(x)[0])

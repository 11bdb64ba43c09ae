"""Keras files: written by Keras, on whatever backend it has, and read with its outputs."""

import importlib.util
import io
import itertools
import os
import struct
import sys
import zipfile
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lstm_native import LSTM, find_lstms, load
from lstm_native.checkpoints import hdf5_attributes, read

pytest.importorskip("h5py")
pytestmark = pytest.mark.filterwarnings("ignore")
SUFFIXES = pytest.mark.parametrize("suffix", ["keras", "h5"])


@pytest.fixture(scope="module")
def keras() -> ModuleType:
    if importlib.util.find_spec("keras") is None or importlib.util.find_spec("torch") is None:
        pytest.skip("Keras with torch as its backend is not installed")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return importlib.import_module("keras")


def answer(model: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(model(x).detach())


def layer_of(keras: Any, directions: int, **options: Any) -> Any:
    lstm = keras.layers.LSTM(4, return_sequences=True, bias_initializer="normal", **options)
    return keras.layers.Bidirectional(lstm) if directions == 2 else lstm


@SUFFIXES
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("directions", [1, 2])
def test_outputs(
    directions: int,
    layers: int,
    suffix: str,
    keras: Any,
    rng: np.random.Generator,
    file_count: Counter[str],
    tmp_path: Path,
) -> None:
    path = tmp_path / f"m.{suffix}"
    x = rng.standard_normal((2, 5, 3)).astype("f4")
    for bias, graph in itertools.product((True, False), (True, False)):
        keras.utils.set_random_seed(len(str(bias)))
        parts = [layer_of(keras, directions, use_bias=bias) for _ in range(layers)]
        parts.insert(1, keras.layers.Dropout(0.2))
        if graph:
            start = end = keras.Input((5, 3))
            for part in parts:
                end = part(end)
            model = keras.Model(start, end)
        else:
            model = keras.Sequential([keras.Input((5, 3)), *parts])
        model.save(path)
        ours = LSTM.from_file(path)
        assert (ours.num_layers, ours.bidirectional) == (layers, directions == 2)
        assert (ours.bias, ours.batch_first) == (bias, True)
        np.testing.assert_allclose(ours(x)[0], answer(model, x), rtol=0, atol=1e-5)
        file_count["keras"] += 1


@SUFFIXES
def test_a_model_of_many_parts(suffix: str, keras: Any, tmp_path: Path) -> None:
    """Layers of one kind in nested models, other sizes, and other layers between."""
    K = keras.layers
    encoder = keras.Sequential(
        [keras.Input((5, 3)), K.LSTM(4, return_sequences=True), K.LSTM(6, return_sequences=True)],
        name="encoder",
    )
    start = keras.Input((5, 3))
    middle = K.Dense(3, name="between")(encoder(start))
    one = K.LSTM(4, name="left")(middle)
    two = K.Bidirectional(K.LSTM(4), name="right")(middle)
    model = keras.Model(start, K.Dense(2)(K.Concatenate()([one, two])))
    model.save(tmp_path / f"m.{suffix}")
    state = load(tmp_path / f"m.{suffix}")
    layers = [*encoder.layers, model.get_layer("left")]
    for layer, found in zip(layers, find_lstms(state), strict=False):
        assert found.prefix.rstrip(".").split(".")[-1] == layer.name
        expected = [np.asarray(w.value.detach()).T for w in layer.weights]
        for name, array in zip(("weight_ih", "weight_hh", "bias_ih"), expected, strict=True):
            np.testing.assert_array_equal(state[f"{found.prefix}{name}_l0"], array)
        assert not state[f"{found.prefix}bias_hh_l0"].any()
    assert len(find_lstms(state)) == 4
    assert find_lstms(state)[3].bidirectional


@SUFFIXES
def test_layers_that_are_not_one_lstm(suffix: str, keras: Any, tmp_path: Path) -> None:
    start = keras.Input((5, 3))
    first = layer_of(keras, 1)(start)
    second = layer_of(keras, 1)(first)
    keras.Model(start, [second, first]).save(tmp_path / f"m.{suffix}")
    assert len(find_lstms(load(tmp_path / f"m.{suffix}"))) == 2


def test_without_the_names_of_layers(keras: Any, rng: np.random.Generator, tmp_path: Path) -> None:
    """As Keras wrote its archives at first: groups are counted by class."""
    import h5py

    x = rng.standard_normal((2, 5, 3)).astype("f4")
    parts = [layer_of(keras, 1), keras.layers.Activation("relu"), layer_of(keras, 1)]
    model = keras.Sequential([keras.Input((5, 3)), *parts])
    model.save(tmp_path / "new.keras")
    with zipfile.ZipFile(tmp_path / "new.keras") as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
        config = archive.read("config.json")
    with h5py.File(content, "r+") as file:
        file.visititems(lambda _, item: item.attrs.pop("name", None) and None)
    with zipfile.ZipFile(tmp_path / "old.keras", "w") as archive:
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", content.getvalue())
    state = load(tmp_path / "old.keras")
    first, second = (LSTM.from_file(tmp_path / "old.keras", f.prefix) for f in find_lstms(state))
    got = second(np.maximum(first(x)[0], 0))[0]
    np.testing.assert_allclose(got, answer(model, x), rtol=0, atol=1e-5)


@SUFFIXES
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"recurrent_activation": "hard_sigmoid"}, "recurrent_activation 'hard_sigmoid'"),
        ({"activation": "relu"}, "the activation 'relu'"),
        ({"go_backwards": True}, "from the wrong end"),
        ({"merge_mode": "sum"}, "merges its directions by 'sum'"),
    ],
)
def test_layers_unlike_torch_are_refused(
    options: dict[str, Any], reason: str, suffix: str, keras: Any, tmp_path: Path
) -> None:
    if "merge_mode" in options:
        layer = keras.layers.Bidirectional(keras.layers.LSTM(4), name="odd", **options)
    else:
        layer = keras.layers.LSTM(4, name="odd", **options)
    keras.Sequential([keras.Input((5, 3)), layer]).save(tmp_path / f"m.{suffix}")
    with pytest.raises(ValueError, match=f"the layer 'odd' .*{reason}"):
        load(tmp_path / f"m.{suffix}")


def test_weights_alone_are_refused(keras: Any, tmp_path: Path) -> None:
    keras.Sequential([keras.Input((5, 3)), layer_of(keras, 1)]).save_weights(
        tmp_path / "m.weights.h5"
    )
    with pytest.raises(ValueError, match="no model of Keras with its configuration"):
        load(tmp_path / "m.weights.h5")


@pytest.mark.parametrize("version", ["earliest", "latest"])
@pytest.mark.parametrize("crowd", [0, 7])
def test_texts_said_to_be_too_long_are_found(version: str, crowd: int) -> None:
    """In either form of HDF5, and behind other attributes; the library itself is not asked."""
    import h5py

    content, text = io.BytesIO(), "x" * 100
    with h5py.File(content, "w", libver=version) as file:
        for index in range(crowd):
            file.attrs[f"other{index}"] = "y" * index
        file.attrs["text"] = text
        address = h5py.h5o.get_info(file.id).addr
    sound = content.getvalue()
    hdf5_attributes.check_text(sound, address, "text")
    told = struct.pack("<IQ", len(text), sound.index(b"GCOL"))
    forged = sound.replace(told, struct.pack("<IQ", len(sound) + 1, sound.index(b"GCOL")))
    with pytest.raises(ValueError, match="'text' is said to have"):
        hdf5_attributes.check_text(forged, address, "text")
    with pytest.raises(ValueError, match="'none' lies where it is not looked for"):
        hdf5_attributes.check_text(sound, address, "none")


def test_without_the_package(keras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = keras.Sequential([keras.Input((5, 3)), layer_of(keras, 1)])
    model.save(tmp_path / "m.keras")
    assert read(tmp_path / "m.keras").notes
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r"pip install 'lstm-native\[keras\]'"):
        load(tmp_path / "m.keras")

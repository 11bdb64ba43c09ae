"""Sound weight files, small, by the real writers; what is not installed is left out.

Owns the list. A file's name begins with its kind, and says how it was written.
"""

import contextlib
import importlib.util
import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import lstm_native

KINDS = ("torch", "legacy", "safetensors", "npz", "onnx", "hdf5", "keras")


def write(folder: Path, quick: bool = False) -> list[Path]:
    """Write the files to a folder; if it has to be quick, without Keras and torch's exporter."""
    folder.mkdir(parents=True, exist_ok=True)
    lstm_native.manual_seed(0)
    with warnings.catch_warnings(action="ignore"):
        _ours(folder)
        if _installed("torch"):
            _torch(folder)
        if _installed("onnx"):
            _onnx(folder)
        if not quick and _installed("onnx", "torch"):
            _exported(folder)
        if _installed("h5py"):
            _hdf5(folder)
        if not quick and _installed("keras", "torch"):
            _keras(folder)
    return sorted(folder.iterdir())


def _installed(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) for package in packages)


def _ours(folder: Path) -> None:
    """safetensors and npz, of networks and of arrays of every dtype."""
    lstm = lstm_native.LSTM(3, 2, 2, bidirectional=True, batch_first=True)
    kinds = ("?", "u1", "i1", "<u2", "<i4", "<i8", "<f2", "<f4", "<f8", "<c8")
    arrays = {f"x.{kind[-2:]}": np.ones((2, 3), kind) for kind in kinds}
    for suffix in ("safetensors", "npz"):
        lstm_native.save(folder / f"{suffix}-ours.{suffix}", lstm)
        lstm_native.save(folder / f"{suffix}-arrays.{suffix}", arrays)
    arrays |= {"big": np.ones(4, ">f4"), "turned": np.ones((4, 3), order="F")}
    np.savez(folder / "npz-numpy.npz", **arrays)
    np.savez_compressed(folder / "npz-compressed.npz", **lstm.state_dict())


def _torch(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    lstm = torch.nn.LSTM(3, 2, 2, proj_size=1)
    state = lstm.state_dict()
    base = torch.arange(12.0)
    odd = {
        "turned": base.reshape(3, 4).T,
        "slice": base[1:9:3],
        "brain": torch.ones(3).bfloat16(),
        "half": torch.ones(3).half(),
        "flags": torch.tensor([True, False]),
        "wave": torch.tensor([1 + 2j]),
        "empty": torch.zeros(0, 3),
        "none": None,
        "list": [1, 2.5, "text", (3, {4: True})],
    }
    net = torch.nn.ModuleDict({"front": torch.nn.BatchNorm1d(2), "lstm": torch.nn.LSTM(2, 2)})
    adam = torch.optim.Adam(lstm.parameters())
    sum(p.sum() for p in lstm.parameters()).backward()
    adam.step()
    everything = {"epoch": 3, "model": state, "adam": adam.state_dict()}
    values = {"state": state, "odd": odd, "module": net, "checkpoint": everything}
    for name, value in values.items():
        torch.save(value, folder / f"torch-{name}.pt")
        torch.save(value, folder / f"torch-{name}-5.pt", pickle_protocol=5)
        torch.save(value, folder / f"legacy-{name}.pt", _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.script(net["lstm"]), folder / "torch-script.pt")
    save_file(state | {"brain": odd["brain"]}, folder / "safetensors-torch.safetensors")


def _onnx(folder: Path) -> None:
    import onnx

    from test_onnx_files import model_of

    for layers, directions in ((1, 1), (2, 2)):
        lstm = lstm_native.LSTM(3, 4, layers, bidirectional=directions == 2)
        model = model_of(lstm, lengths=True)
        onnx.save(model, folder / f"onnx-{layers}-{directions}.onnx")
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        if array.dtype == np.float32:
            numbers = array.reshape(-1).tolist()
            tensor.CopyFrom(onnx.helper.make_tensor(tensor.name, 1, array.shape, numbers))
    branch = onnx.helper.make_node(
        "If", ["x"], ["z"], then_branch=model.graph, else_branch=onnx.GraphProto()
    )
    joined = onnx.helper.make_node("Concat", ["W0", "W0"], ["joined"], axis=0)
    cast = onnx.helper.make_node("Cast", ["joined"], ["wide"], to=11)
    model.graph.node.extend([branch, joined, cast])
    onnx.save(model, folder / "onnx-branch.onnx")


def _exported(folder: Path) -> None:
    import torch

    lstm, x = torch.nn.LSTM(3, 2, 2, bidirectional=True), torch.zeros(2, 1, 3)
    with contextlib.redirect_stdout(io.StringIO()):
        torch.onnx.export(lstm, x, folder / "onnx-torch.onnx", dynamo=False)


def _hdf5(folder: Path) -> None:
    """As Keras lays its files out, by h5py alone, in the old form of HDF5 and the new."""
    import h5py

    config = (
        '{"class_name": "Sequential", "config": {"layers": [{"class_name": "LSTM", "config": '
        '{"name": "a", "units": 2, "activation": "tanh", "recurrent_activation": "sigmoid", '
        '"use_bias": true, "return_sequences": true}}]}}'
    )
    for version in ("earliest", "latest"):
        with h5py.File(folder / f"hdf5-{version}.h5", "w", libver=version) as file:
            file.attrs["model_config"] = config
            group = file.create_group("model_weights/a/a")
            group["kernel:0"] = np.ones((3, 8), "f4")
            group["bias:0"] = np.ones(8, "f4")
            group.create_dataset("recurrent_kernel:0", data=np.ones((2, 8), "f4"), chunks=(1, 8),
                                 compression="gzip", shuffle=True)  # fmt: skip


def _keras(folder: Path) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    keras.utils.set_random_seed(0)
    layers: Any = keras.layers
    inner = layers.LSTM(2, return_sequences=True)
    model = keras.Sequential(
        [keras.Input((5, 3)), inner, layers.Bidirectional(layers.LSTM(2)), layers.Dense(1)]
    )
    model.save(folder / "keras-model.keras")
    model.save(folder / "hdf5-model.h5")

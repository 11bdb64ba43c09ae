"""ONNX files of torch's exporter of ``dynamo=True``: shapes that stand in the file as numbers or
are computed in the graph, the paths of modules in notes, and projections that it drops."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from lstm_native import LSTM, find_lstms, load
from test_onnx_files import H, I, model_of, run

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

SCOPES = "pkg.torch.onnx.name_scopes"


def two_layers(**inserted: Any) -> Any:
    """Two layers both ways, between them a Reshape whose shape is what the nodes inserted make."""
    model = model_of(LSTM(I, H, 2, bidirectional=True))
    nodes = list(model.graph.node)
    constant = next(node for node in nodes if node.output[0] == "shape0")
    new = inserted.get("nodes", [])
    at = nodes.index(constant)
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:at], *new, *nodes[at + 1 :]])
    for name, values in inserted.get("constants", {}).items():
        model.graph.initializer.append(numpy_helper.from_array(np.array(values), name))
    if "declared" in inserted:
        value = helper.make_tensor_value_info("t0", TensorProto.FLOAT, inserted["declared"])
        model.graph.value_info.append(value)
    return model


def layers_of(model: Any, path: Path) -> list[int]:
    onnx.save(model, path)
    return [found.num_layers for found in find_lstms(load(path))]


@pytest.mark.parametrize(
    ("declared", "shape", "one"),
    [
        ([5, 2, 2, H], [5, 2, 2 * H], True),
        ([5, None, 2, H], [5, -1, 2 * H], True),
        ([None, 2, 2, H], [-1, 2, 2 * H], True),
        ([5, 2, 2, H], [5, 2, -1], True),
        ([5, 2, 2, H], [2, 5, 2 * H], False),  # time and batch are not what they were
        ([None, None, 2, H], [5, 2, 2 * H], False),  # nobody knows
        ([5, None, 2, H], [5, 2, -1], False),
    ],
)
def test_shapes_in_numbers(declared: Any, shape: list[int], one: bool, tmp_path: Path) -> None:
    model = two_layers(constants={"shape0": shape}, declared=declared)
    assert layers_of(model, tmp_path / "m.onnx") == ([2] if one else [1, 1])


@pytest.mark.parametrize(
    ("first", "second", "of", "one"),
    [
        (0, 1, "t0", True),
        (1, 0, "t0", False),
        (0, 1, "x", False),  # lengths of another value, which need not be the same
    ],
)
@pytest.mark.parametrize("way", ["slices", "shapes"])
def test_shapes_computed(
    first: int, second: int, of: str, one: bool, way: str, tmp_path: Path
) -> None:
    constants = {"last": [2 * H]} | {f"at{i}": [i] for i in range(3)}
    nodes = []
    if way == "slices":
        nodes.append(helper.make_node("Shape", [of], ["lengths"], start=0))
        for name, axis in (("a", first), ("b", second)):
            bounds = [f"at{axis}", f"at{axis + 1}"]
            nodes.append(helper.make_node("Slice", ["lengths", *bounds], [name]))
    else:
        for name, axis in (("a", first), ("b", second)):
            nodes.append(helper.make_node("Shape", [of], [name], start=axis, end=axis + 1))
    nodes.append(helper.make_node("Concat", ["a", "b", "last"], ["shape0"], axis=0))
    model = two_layers(nodes=nodes, constants=constants)
    assert layers_of(model, tmp_path / "m.onnx") == ([2] if one else [1, 1])
    if one:
        x = np.random.default_rng(0).standard_normal((5, 2, I)).astype(np.float32)
        ours = LSTM.from_file(tmp_path / "m.onnx")(x)[0]
        np.testing.assert_allclose(ours, run(model, x=x), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("scopes", "prefix"),
    [
        ("['', 'encoder', 'encoder.rnn', 'lstm']", "encoder.rnn."),
        ("['', 'lstm']", "lstm."),
        ("nothing", "lstm."),
    ],
)
def test_path_of_the_module(scopes: str, prefix: str, tmp_path: Path) -> None:
    model = model_of(LSTM(I, H))
    note = model.graph.node[0].metadata_props.add()
    note.key, note.value = SCOPES, scopes
    onnx.save(model, tmp_path / "m.onnx")
    assert [found.prefix for found in find_lstms(load(tmp_path / "m.onnx"))] == [prefix]


@pytest.mark.parametrize("where", ["constant", "declared"])
def test_states_of_other_sizes_are_refused(where: str, tmp_path: Path) -> None:
    model = model_of(LSTM(I, H))
    node = model.graph.node[0]
    node.input.extend([""] * (5 - len(node.input)) + ["h_0", "c_0"])
    for name, size in (("h_0", H), ("c_0", H + 3)):
        if where == "constant":
            zeros = numpy_helper.from_array(np.zeros((1, 2, size), np.float32), name)
            model.graph.initializer.append(zeros)
        else:
            value = helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, size])
            model.graph.input.append(value)
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=r"4 units and starts from a state of 7.*torch\.save"):
        load(tmp_path / "m.onnx")


@pytest.mark.filterwarnings("ignore")  # of the exporter, on itself and what it lacks
def test_files_of_the_exporter(torch: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    path = tmp_path / "m.onnx"
    model, encoder = torch.nn.Module(), torch.nn.Module()
    dims = {0: torch.export.Dim("a"), 1: torch.export.Dim("b")}
    x = torch.randn(6, 4, I)

    def export(lstm: Any, dynamic: bool) -> None:
        model.encoder, encoder.lstm = encoder, lstm
        model.forward, encoder.forward = lambda x: encoder(x), lambda x: lstm(x)[0]
        shapes = (dims,) if dynamic else None
        model.eval()
        torch.onnx.export(
            model, (x,), path, dynamo=True, external_data=False, verbose=False,
            dynamic_shapes=shapes,
        )  # fmt: skip

    lstm = torch.nn.LSTM(I, H, 2, bidirectional=True)
    export(lstm, True)
    ours = LSTM.from_file(path, "encoder.lstm.")
    expected = lstm(x)[0].detach().numpy()
    np.testing.assert_allclose(ours(x.numpy())[0], expected, rtol=0, atol=1e-5)
    export(torch.nn.LSTM(I, H, proj_size=2), False)
    with pytest.raises(ValueError, match="drops the projection"):
        load(path)

"""ONNX files: nodes made by hand run in ONNX Runtime, models exported by torch; both give the
outputs of the LSTM read from the file."""

import itertools
import ntpath
import posixpath
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hostile_files
from lstm_native import LSTM, find_lstms, load
from lstm_native.checkpoints import read

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

I, H = 3, 4  # noqa: E741 - the letters of the project
FROM_TORCH = [0, 3, 1, 2]  # gates i f g o as i o f g


def gates(array: np.ndarray) -> np.ndarray:
    return array.reshape(4, H, -1)[FROM_TORCH].reshape(array.shape)


def tensors(lstm: LSTM, layer: int, name: str) -> list[np.ndarray]:
    """W, R, B of one layer, as ONNX has them."""
    ends = [f"_l{layer}", f"_l{layer}_reverse"][: 2 if lstm.bidirectional else 1]
    stems = [["weight_ih"], ["weight_hh"]] + [["bias_ih", "bias_hh"]] * lstm.bias
    return [
        np.stack([np.concatenate([gates(getattr(lstm, s + end)) for s in stem]) for end in ends])
        for stem in stems
    ]


def model_of(lstm: LSTM, layout: int = 0, lengths: bool = False, **attributes: Any) -> Any:
    """A chain of LSTM nodes with what exporters put between them."""
    nodes, initialisers, x = [], [], "x"
    directions = 2 if lstm.bidirectional else 1
    for layer in range(lstm.num_layers):
        names = []
        for part, array in zip("WRB", tensors(lstm, layer, ""), strict=False):
            initialisers.append(numpy_helper.from_array(array, f"{part}{layer}"))
            names.append(f"{part}{layer}")
        names += [""] * (3 - len(names)) + ["lengths"] * lengths
        options = {"hidden_size": H, "direction": ["forward", "bidirectional"][directions - 1]}
        options |= {"layout": 1} if layout else {}
        out = [f"Y{layer}", f"h{layer}", f"c{layer}"]
        node = helper.make_node("LSTM", [x, *names], out, f"node{layer}", **options | attributes)
        nodes.append(node)
        x = f"x{layer + 1}"
        if directions == 1:
            axes = numpy_helper.from_array(np.array([2 if layout else 1]), f"axes{layer}")
            initialisers.append(axes)
            nodes.append(helper.make_node("Squeeze", [out[0], axes.name], [x]))
        else:
            order = [0, 1, 2, 3] if layout else [0, 2, 1, 3]
            nodes.append(helper.make_node("Transpose", [out[0]], [f"t{layer}"], perm=order))
            shape = numpy_helper.from_array(np.array([0, 0, -1]), f"shape{layer}")
            nodes.append(helper.make_node("Constant", [], [shape.name], value=shape))
            nodes.append(helper.make_node("Reshape", [f"t{layer}", shape.name], [x]))
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None, I])]
    if lengths:
        inputs.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, [None]))
    outputs = [helper.make_tensor_value_info(x, TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initialisers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def run(model: Any, **inputs: np.ndarray) -> np.ndarray:
    content = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("directions", [1, 2])
def test_outputs_of_nodes(
    directions: int, layers: int, rng: np.random.Generator, file_count: Counter[str], tmp_path: Path
) -> None:
    for bias, lengths in itertools.product((True, False), (None, [5, 2, 3])):
        lstm = LSTM(I, H, layers, bias, bidirectional=directions == 2).eval()
        model = model_of(lstm, lengths=lengths is not None)
        onnx.save(model, tmp_path / "m.onnx")
        ours = LSTM.from_file(tmp_path / "m.onnx")
        assert repr(ours) == repr(lstm)
        np.testing.assert_array_equal(ours.flat_parameters, lstm.flat_parameters)
        x = rng.standard_normal((5, 3, I)).astype("f4")
        given = {} if lengths is None else {"lengths": np.array(lengths, "i4")}
        expected = run(model, x=x, **given)
        np.testing.assert_allclose(ours(x, lengths=lengths)[0], expected, rtol=0, atol=1e-5)
        file_count["onnx"] += 1


@pytest.mark.parametrize("layers", [1, 2])
def test_batch_first(
    layers: int, rng: np.random.Generator, file_count: Counter[str], tmp_path: Path
) -> None:
    """ONNX Runtime has no layout 1; onnx's own evaluator, of one direction, has."""
    from onnx.reference import ReferenceEvaluator

    lstm = LSTM(I, H, layers)
    model = model_of(lstm, layout=1)
    onnx.save(model, tmp_path / "m.onnx")
    ours = LSTM.from_file(tmp_path / "m.onnx")
    assert ours.batch_first
    assert ours.num_layers == layers
    x = rng.standard_normal((3, 5, I)).astype("f4")
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x})
    np.testing.assert_allclose(ours(x)[0], expected.reshape(3, 5, H), rtol=0, atol=1e-5)
    file_count["onnx"] += 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("directions", [1, 2])
def test_exports_of_torch(
    directions: int,
    layers: int,
    batch_first: bool,
    torch: Any,
    rng: np.random.Generator,
    file_count: Counter[str],
    tmp_path: Path,
) -> None:
    lstm = torch.nn.LSTM(I, H, layers, True, batch_first, 0.3, directions == 2).eval()
    x = rng.standard_normal((3, 5, I)).astype("f4")
    path = tmp_path / "m.onnx"
    model, encoder = torch.nn.Module(), torch.nn.Module()
    model.encoder, encoder.lstm = encoder, lstm
    model.forward, encoder.forward = lambda x: encoder(x), lambda x: lstm(x)[0]
    axes = {"x": {0: "a", 1: "b"}}
    torch.onnx.export(
        model, torch.from_numpy(x), path, dynamo=False, input_names=["x"], dynamic_axes=axes
    )
    ours = LSTM.from_file(path, batch_first=batch_first)
    (found,) = find_lstms(load(path))
    assert found.prefix == "encoder.lstm."
    assert found.num_layers == layers
    np.testing.assert_allclose(ours(x)[0], run(path.read_bytes(), x=x), rtol=0, atol=1e-5)
    for name, value in lstm.named_parameters():
        np.testing.assert_array_equal(getattr(ours, name), value.detach().numpy())
    file_count["onnx"] += 1


def test_layers_with_something_between_are_several(tmp_path: Path) -> None:
    model = model_of(LSTM(I, H, 2))
    squeeze = next(node for node in model.graph.node if node.op_type == "Squeeze")
    squeeze.output[0] = "between"
    model.graph.node.insert(2, helper.make_node("Relu", ["between"], ["x1"]))
    onnx.save(model, tmp_path / "m.onnx")
    found = find_lstms(load(tmp_path / "m.onnx"))
    assert [(one.prefix, one.num_layers) for one in found] == [("node0.", 1), ("node1.", 1)]


@pytest.mark.parametrize("what", ["output", "reader", "transposed", "lengths"])
def test_layers_that_are_not_one_lstm(what: str, tmp_path: Path) -> None:
    model = model_of(LSTM(I, H, 2))
    nodes = model.graph.node
    if what == "output":
        model.graph.output.append(helper.make_tensor_value_info("x1", TensorProto.FLOAT, None))
    elif what == "reader":
        nodes.append(helper.make_node("Relu", ["x1"], ["more"]))
    elif what == "transposed":
        nodes[2].input[0] = "turned"
        nodes.insert(2, helper.make_node("Transpose", ["x1"], ["turned"], perm=[1, 0, 2]))
    else:
        nodes[2].input.extend([""] * (4 - len(nodes[2].input)) + ["lengths"])
    onnx.save(model, tmp_path / "m.onnx")
    assert len(find_lstms(load(tmp_path / "m.onnx"))) == 2


def test_names(tmp_path: Path) -> None:
    model = model_of(LSTM(I, H))
    model.graph.node[0].name = ""
    more = onnx.NodeProto()
    more.CopyFrom(model.graph.node[0])
    more.output[:] = ["a", "b", "c"]
    model.graph.node.append(more)
    model.graph.initializer.append(numpy_helper.from_array(np.ones(3), "other"))
    onnx.save(model, tmp_path / "m.onnx")
    contents = read(tmp_path / "m.onnx")
    assert [one.prefix for one in find_lstms(contents.arrays)] == ["lstm.", "lstm_1."]
    assert contents.notes == {"lstm.batch_first": "false", "lstm_1.batch_first": "false"}
    assert "W0" not in contents.arrays
    assert contents.arrays["other"].dtype == np.float64


def test_in_branches(tmp_path: Path) -> None:
    inner, outer = model_of(LSTM(I, H)), model_of(LSTM(I, H))
    inner.graph.node[0].input[1] = "W0"  # of the graph around it
    del inner.graph.initializer[0]
    branch = helper.make_node("If", ["x"], ["z"], then_branch=inner.graph, else_branch=inner.graph)
    outer.graph.node.append(branch)
    onnx.save(outer, tmp_path / "m.onnx")
    prefixes = [one.prefix for one in find_lstms(load(tmp_path / "m.onnx"))]
    assert prefixes == ["node0.", "node0_1.", "node0_2."]


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16", "typed"])
def test_types(dtype: str, tmp_path: Path) -> None:
    lstm = LSTM(I, H)
    model = model_of(lstm)
    for index, tensor in enumerate(model.graph.initializer[:3]):
        array = numpy_helper.to_array(tensor)
        if dtype == "typed":
            tensor.ClearField("raw_data")
            tensor.float_data.extend(array.reshape(-1).tolist())
            continue
        if dtype == "bfloat16":
            bits = (array.view("u4") >> 16).astype("u2")
            array = (bits.astype("u4") << 16).view("f4")
            new = helper.make_tensor(tensor.name, 16, array.shape, bits.tobytes(), raw=True)
        else:
            new = numpy_helper.from_array(array.astype(dtype), tensor.name)
        model.graph.initializer[index].CopyFrom(new)
    onnx.save(model, tmp_path / "m.onnx")
    ours = LSTM.from_file(tmp_path / "m.onnx")
    assert ours.dtype == ("float64" if dtype == "float64" else "float32")
    np.testing.assert_allclose(ours.flat_parameters, lstm.flat_parameters, rtol=0, atol=3e-3)
    half = load(tmp_path / "m.onnx", float32=True)["node0.weight_ih_l0"]
    assert half.dtype == ours.dtype


def test_external_data(tmp_path: Path) -> None:
    lstm = LSTM(I, H)
    path = tmp_path / "m.onnx"
    onnx.save(model_of(lstm), path, save_as_external_data=True, location="m.data", size_threshold=0)
    assert (tmp_path / "m.data").exists()
    np.testing.assert_array_equal(LSTM.from_file(path).flat_parameters, lstm.flat_parameters)
    (tmp_path / "elsewhere").write_bytes((tmp_path / "m.data").read_bytes())
    (tmp_path / "m.data").unlink()
    with pytest.raises(ValueError, match="should lie in"):
        load(path)
    (tmp_path / "m.data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match="behind a link"):
        load(path)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"clip": 3.0}, "clips its gates"),
        ({"input_forget": 1}, "couples its input and forget gates"),
        ({"activations": ["HardSigmoid", "Tanh", "Tanh"]}, "other activations: HardSigmoid"),
        ({"activation_alpha": [0.2]}, "scaled activations"),
        ({"direction": "reverse"}, "reads in the direction 'reverse' only"),
        ({"hidden_size": 5}, "types or shapes that do not fit"),
        ({"domain": "com.example"}, "is of the domain 'com.example'"),
    ],
)
def test_nodes_unlike_torch_are_refused(
    attributes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    onnx.save(model_of(LSTM(I, H), **attributes), tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=f"the LSTM node 'node0' .*{reason}"):
        load(tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("position", "array", "reason"),
    [
        (7, np.ones((1, 3 * H), "f4"), "has peepholes"),
        (5, np.ones((1, 1, H), "f4"), "constant state that is not zero"),
        (5, np.zeros((1, 1, H), "f4"), None),
        (1, np.ones((1, 4 * H, I), "i4"), "do not fit"),
        (1, np.ones((1, 4 * H, I, 1), "f4"), "do not fit"),
    ],
)
def test_inputs_unlike_torch_are_refused(
    position: int, array: np.ndarray, reason: str | None, tmp_path: Path
) -> None:
    model = model_of(LSTM(I, H))
    node = model.graph.node[0]
    node.input.extend([""] * (8 - len(node.input)))
    node.input[position] = "given"
    model.graph.initializer.append(numpy_helper.from_array(array, "given"))
    onnx.save(model, tmp_path / "m.onnx")
    if reason is None:
        assert load(tmp_path / "m.onnx")
        return
    with pytest.raises(ValueError, match=reason):
        load(tmp_path / "m.onnx")


def test_weights_cut_and_joined_in_the_graph(tmp_path: Path) -> None:
    """As exporters do who put torch's gates into ONNX's order only there."""
    lstm = LSTM(I, H)
    model = model_of(lstm)
    nodes, initialisers = [], [numpy_helper.from_array(lstm.weight_ih_l0, "torch")]
    for index, start in enumerate((0, 3 * H, H, 2 * H)):
        for end, value in (("a", start), ("b", start + H)):
            initialisers.append(numpy_helper.from_array(np.array([value]), f"{end}{index}"))
        nodes.append(helper.make_node("Slice", ["torch", f"a{index}", f"b{index}"], [f"s{index}"]))
    initialisers.append(numpy_helper.from_array(np.array([0]), "zero"))
    nodes.append(helper.make_node("Concat", ["s0", "s1", "s2", "s3"], ["joined"], axis=0))
    nodes.append(helper.make_node("Unsqueeze", ["joined", "zero"], ["W"]))
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    model.graph.initializer.extend(initialisers)
    model.graph.node[len(nodes)].input[1] = "W"
    onnx.save(model, tmp_path / "m.onnx")
    ours = LSTM.from_file(tmp_path / "m.onnx")
    np.testing.assert_array_equal(ours.flat_parameters, lstm.flat_parameters)


@pytest.mark.parametrize("what", ["reference", "type", "twice", "name"])
def test_what_a_valid_model_cannot_say(what: str, tmp_path: Path) -> None:
    """Read as it stands, each would be passed over, or half of it."""
    model = model_of(LSTM(I, H), clip=0.0)
    clip = next(a for a in model.graph.node[0].attribute if a.name == "clip")
    if what == "reference":
        clip.ref_attr_name = "clip_of_the_caller"
        reason = "takes its 'clip' from the caller"
    elif what == "type":
        clip.CopyFrom(helper.make_attribute("clip", 3))
        reason = "has an attribute 'clip' of the wrong type"
    elif what == "twice":
        model.graph.node[0].attribute.append(helper.make_attribute("clip", 3.0))
        reason = "has an attribute twice"
    else:
        model.graph.initializer.append(numpy_helper.from_array(np.ones(3, "f4"), "W0"))
        reason = "the name 'W0' stands twice"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ValueError, match=reason):
        load(tmp_path / "m.onnx")


def test_external_data_in_a_folder_below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where paths are joined by backslashes: ONNX writes slashes on every system."""
    lstm = LSTM(I, H)
    path, location = tmp_path / "m.onnx", "a/b/m.data"
    (tmp_path / "a" / "b").mkdir(parents=True)
    onnx.save(model_of(lstm), path, save_as_external_data=True, location=location, size_threshold=0)
    windows = SimpleNamespace(**vars(posixpath) | {"normpath": ntpath.normpath})
    monkeypatch.setattr("os.path", windows)
    np.testing.assert_array_equal(LSTM.from_file(path).flat_parameters, lstm.flat_parameters)


@pytest.mark.parametrize(
    "location",
    [
        ".", "..", "/a", "//server/share/a", "../a", "a/../../b", "a//b", "./a", "a/",
        "C:a", "C:/a", "C:\\a", "\\a", "\\\\server\\share\\a", "..\\a", "a\\b",
        "a:stream", "a/b:c", "a\0b",
    ],
)  # fmt: skip
def test_external_data_elsewhere_is_refused(location: str, tmp_path: Path) -> None:
    """On every system what is elsewhere on any, before anybody looks whether it is there."""
    (tmp_path / "m.onnx").write_bytes(hostile_files.onnx_model(location, length="16"))
    with pytest.raises(ValueError, match="which is not read"):
        load(tmp_path / "m.onnx")


def test_external_data_may_exceed_the_model(tmp_path: Path) -> None:
    """What may be made of a file is counted by all its files."""
    path = tmp_path / "m.onnx"
    arrays = [numpy_helper.from_array(np.ones(5_000_000, "f2"), f"x{i}") for i in range(2)]
    graph = helper.make_graph([], "g", [], [], arrays)
    model = helper.make_model(graph, ir_version=9)
    onnx.save(model, path, save_as_external_data=True, location="m.data", size_threshold=0)
    assert path.stat().st_size < 1000
    assert load(path, float32=True)["x1"].dtype == np.float32


def test_computed_weights_are_refused(tmp_path: Path) -> None:
    model = model_of(LSTM(I, H))
    model.graph.node.insert(0, helper.make_node("Neg", ["W0"], ["computed"]))
    model.graph.node[1].input[1] = "computed"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="are computed in the graph"):
        load(tmp_path / "m.onnx")


def test_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(model_of(LSTM(I, H)), tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'lstm-native\[onnx\]'"):
        load(tmp_path / "m.onnx")

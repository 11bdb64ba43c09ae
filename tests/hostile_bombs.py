"""More files made to do harm: those that are small and ask for much time or memory.

Owns the tricks whose harm is a product: many views of one memory, many names of one array, many
readers of one layer. They join those of ``hostile_files``, whose letters they are written in.
"""

import io
import json
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from hostile_files import (
    archive,
    hdf5,
    length_of,
    name,
    of,
    state,
    tensor,
    tensors,
    text,
    trick,
)

# --- PyTorch ---


def remembered(value: bytes, index: int) -> bytes:
    return value + b"q" + bytes([index])


def recalled(index: int) -> bytes:
    return b"h" + bytes([index])


def names_multiplied() -> bytes:
    """One tensor under 490,000 names of a thousand letters."""
    inner = b"](" + remembered(tensor(), 0) + recalled(0) * 699 + b"e"
    outer = b"](" + remembered(inner, 1) + recalled(1) * 699 + b"e"
    return b"\x80\x02}" + text("x" * 990) + outer + b"s."


def tensors_multiplied() -> bytes:
    """One strided tensor 490,000 times."""
    one = tensor((2, 2), (1, 2))
    inner = b"](" + remembered(one, 0) + recalled(0) * 699 + b"e"
    outer = b"](" + remembered(inner, 1) + recalled(1) * 699 + b"e"
    return b"\x80\x02" + outer + b"."


def module(attributes: bytes) -> bytes:
    return b"\x80\x02" + name("torch.nn.M") + b")\x81}(" + attributes + b"ub."


def buffers_and_their_exceptions() -> bytes:
    """A module of many buffers, each to be looked for in a long set."""
    count = 40_000
    buffers = b"}(" + b"".join(text(f"b{i}") + b"N" for i in range(count)) + b"u"
    others = (
        name("builtins.set") + b"](" + b"".join(text(f"s{i}") for i in range(count)) + b"e\x85R"
    )
    return module(
        text("_buffers") + buffers + text("_non_persistent_buffers_set") + others
        + text("_modules") + b"}" + text("x" * 1001) + b"Ns"
    )  # fmt: skip


of("torch-names-multiplied", lambda: archive(names_multiplied()))
of("torch-tensors-multiplied", lambda: archive(tensors_multiplied()))
of("torch-buffers-and-exceptions", lambda: archive(buffers_and_their_exceptions()))
of("torch-exceptions-that-are-a-number", lambda: archive(module(
    text("_non_persistent_buffers_set") + b"K\x07" + text("_modules") + b"}"
    + text("_buffers") + b"}" + text("b") + tensor() + b"s"
)))  # fmt: skip


def negated() -> bytes:
    """A view that torch says is the negative of its memory."""
    marks = b"}" + text("neg") + b"\x88s"
    return state(tensor().removesuffix(b"tR") + marks + b"tR")


of("torch-negated", lambda: archive(negated()))

# --- archives ---


def method(number: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", number) as zipped:
        zipped.writestr("m/data.pkl", state(tensor()))
        zipped.writestr("m/data/0", bytes(16), zipfile.ZIP_STORED)
    return file.getvalue()


def lzma_dictionary() -> bytes:
    content = method(zipfile.ZIP_LZMA)
    at = content.index(b"\x09\x04\x05\x00") + 5  # after version, size of properties, their first
    return content[:at] + b"\xff\xff\xff\xff" + content[at + 4 :]


of("torch-lzma-dictionary", lzma_dictionary)
of("torch-lzma-damaged", lambda: method(zipfile.ZIP_LZMA).replace(b"\x09\x04\x05\x00", b"\x09\x04\x05\x00\xff"))  # fmt: skip  # noqa: E501
of("torch-bzip2-damaged", lambda: method(zipfile.ZIP_BZIP2).replace(b"BZh9", b"BZh0"))


@trick
def npz_one_byte_for_many(folder: Path) -> bytes:
    """A member that ends after a byte of data, of which its header promises eight."""
    header = b"\x93NUMPY\1\0\x36\0{'descr': '|u1', 'fortran_order': False, 'shape': (8,)}\n"
    header = header[:8] + struct.pack("<H", len(header) - 10) + header[10:]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr("a.npy", header + b"\7")
    content, size = file.getvalue(), len(header) + 1
    entry = content.index(b"PK\1\2")
    return content[: entry + 24] + struct.pack("<I", size + 7) + content[entry + 28 :]


def members_far_away() -> bytes:
    content = archive(state(tensor()))
    entry = content.index(b"PK\1\2")
    # A zip64 field gives the place, where four bytes cannot.
    extra = struct.pack("<HHQ", 1, 8, 2**63 - 100)
    size = int.from_bytes(content[entry + 28 : entry + 30], "little")
    first = content[entry : entry + 46 + size]
    first = first[:30] + struct.pack("<H", len(extra)) + first[32:42] + b"\xff" * 4 + first[46:]
    rest = content[entry + 46 + size :]
    end = rest.rindex(b"PK\5\6")
    grown = int.from_bytes(rest[end + 12 : end + 16], "little") + len(extra)
    rest = rest[: end + 12] + struct.pack("<I", grown) + rest[end + 16 :]
    return content[:entry] + first + extra + rest


of("torch-member-far-away", members_far_away)

# --- safetensors ---


def notes_twice() -> bytes:
    notes = [f'"{i}":""' for i in range(80_000)]
    return tensors('{"__metadata__":{' + ",".join([*notes, notes[-1]]) + "}}", b"")


of("safetensors-note-twice-at-the-end", notes_twice)

# --- HDF5 and Keras ---


@trick
def hdf5_weights_behind_a_link(folder: Path) -> bytes:
    """All the weights lie in another file."""
    import h5py

    other = folder / "other"
    other.write_bytes(hdf5(lambda group, h5: group.create_dataset("x", data=np.ones(3))))
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file.attrs["model_config"] = json.dumps({"config": {"layers": []}})
        file["model_weights"] = h5py.ExternalLink(str(other), "/model_weights")
    return content.getvalue()


def heaps_in_heaps() -> bytes:
    """Twenty thousand heaps, each an object of the one before, all said to reach to the end."""
    content, count = hdf5(lambda group, h5: None), 20_000
    following = struct.pack("<HHIQ", 1, 0, 0, 16)
    heaps = (struct.pack("<4sIQ", b"GCOL", 1, 32 * left + 16) for left in range(count, 0, -1))
    return content + b"".join(heap + following for heap in heaps) + bytes(16)


def driver_forged() -> bytes:
    """The information of a driver lies in the head of the file itself: the library hangs."""
    content = hdf5(lambda group, h5: None)
    assert content[48:56] == b"\xff" * 8
    return content[:48] + struct.pack("<Q", 28) + content[56:]


of("hdf5-driver-forged", driver_forged)


def text_forged(version: str) -> bytes:
    """A text that is said to have three gigabytes."""
    import h5py

    content, config = io.BytesIO(), json.dumps({"config": {"layers": []}})
    with h5py.File(content, "w", libver=version) as file:
        file.attrs["model_config"] = config
        file.create_group("model_weights")
    heap = content.getvalue().index(b"GCOL")
    told = struct.pack("<IQ", len(config), heap)
    assert content.getvalue().count(told) == 1
    return content.getvalue().replace(told, struct.pack("<IQ", 3_000_000_000, heap))


of("hdf5-heaps-in-heaps", heaps_in_heaps)
of("hdf5-text-forged", lambda: text_forged("earliest"))


def virtual(group: Any, h5py: Any) -> None:
    layout = h5py.VirtualLayout((4,), "f4", maxshape=(None,))
    source = h5py.VirtualSource("/etc/passwd", "x", (4,), "f4", maxshape=(None,))
    layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
    group.create_virtual_dataset("x", layout)


def chunk_huge(group: Any, h5py: Any) -> None:
    made = group.create_dataset(
        "x", (10,), "f4", chunks=(50_000_000,), maxshape=(None,), compression="gzip"
    )
    made.id.write_direct_chunk((0,), zlib.compress(bytes(200_000_000)))


of("hdf5-virtual", lambda: hdf5(virtual))
of("hdf5-chunk-huge", lambda: hdf5(chunk_huge))


def config_wide() -> bytes:
    """A configuration of four million lists, deflated to nearly nothing."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("config.json", "[" + "[]," * 3_900_000 + "[]]")
        zipped.writestr("model.weights.h5", hdf5(lambda group, h5: None))
    return file.getvalue()


of("keras-config-wide", config_wide)


def lstm_entry(name: str) -> dict[str, Any]:
    config = {
        "name": name,
        "units": 50,
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "use_bias": False,
    }
    return {"class_name": "LSTM", "config": config}


def layers_sharing() -> bytes:
    """Forty layers of one nested model, each with a name on the path of the same large array."""
    names = [f"a{i}" for i in range(40)]
    inner = [entry for name in names for entry in (lstm_entry(name), {"class_name": "Dense"})]
    outer = {"class_name": "Sequential", "config": {"name": "m", "layers": inner}}
    config = json.dumps({"config": {"layers": [outer]}})

    def fill(group: Any, h5py: Any) -> None:
        place = group.create_group(
            "/".join(["model_weights/m", *names]).removeprefix("model_weights/")
        )
        place.create_dataset("kernel:0", data=np.zeros((4_000, 200), "f4"), compression="gzip")
        place.create_dataset("recurrent_kernel:0", data=np.zeros((50, 200), "f4"))

    return hdf5(fill, config)


of("keras-layers-sharing", layers_sharing)

# --- ONNX ---


def field(number: int, content: bytes) -> bytes:
    return length_of_tag(number << 3 | 2) + length_of(content) + content


def length_of_tag(tag: int) -> bytes:
    return bytes([tag]) if tag < 128 else bytes([tag & 127 | 128, tag >> 7])


def model(graph: bytes) -> bytes:
    return b"\x08\x09" + field(7, graph)


def lstms(count: int, size: int, bias: bool = False) -> bytes:
    """Nodes without names, all of the same weights."""
    from onnx import numpy_helper

    w = numpy_helper.from_array(np.zeros((1, 4, size), "f4"), "w").SerializeToString()
    r = numpy_helper.from_array(np.zeros((1, 4, 1), "f4"), "r").SerializeToString()
    node = b"".join(field(1, part) for part in (b"x", b"w", b"r")) + field(4, b"LSTM")
    last = field(1, field(4, b"DynamicQuantizeLSTM"))
    return model(field(1, node) * count + last + field(5, w) + field(5, r))


of("onnx-nodes-without-names", lambda: lstms(8_000, 1))
of("onnx-nodes-sharing-weights", lambda: lstms(500, 50_000))


@trick
def onnx_external_shared(folder: Path) -> bytes:
    """Four hundred arrays of bfloat16 in the same place of a file, each to be widened."""
    from onnx import StringStringEntryProto, TensorProto, helper

    (folder / "beside").write_bytes(bytes(500_000))
    arrays = []
    for index in range(400):
        array = TensorProto(name=f"x{index}", data_type=16, dims=[250_000], data_location=1)
        array.external_data.append(StringStringEntryProto(key="location", value="beside"))
        arrays.append(array)
    graph = helper.make_graph([], "g", [], [], arrays)
    return helper.make_model(graph, ir_version=9).SerializeToString()


@trick
def onnx_branches_of_constants(folder: Path) -> bytes:
    """Many branches in a graph of many constants, which each of them sees."""
    constants = b"".join(
        field(5, field(8, b"%d" % i) + b"\x10\x02" + field(9, b"\1")) for i in range(15_000)
    )
    branch = field(5, field(6, b""))
    last = field(5, field(6, field(1, field(4, b"LSTM"))))
    return model(constants + field(1, branch * 15_000 + last))


@trick
def onnx_axes_many(folder: Path) -> bytes:
    from onnx import helper, numpy_helper

    axes = numpy_helper.from_array(np.arange(50_000), "axes")
    one = numpy_helper.from_array(np.zeros(1), "x")
    node = helper.make_node("Unsqueeze", ["x", "axes"], ["y"])
    graph = helper.make_graph([node], "g", [], [], [axes, one])
    return helper.make_model(graph, ir_version=9).SerializeToString()


@trick
def onnx_name_twice(folder: Path) -> bytes:
    from onnx import helper, numpy_helper

    arrays = [numpy_helper.from_array(np.full(3, i), "x") for i in range(2)]
    graph = helper.make_graph([], "g", [], [], arrays)
    return helper.make_model(graph, ir_version=9).SerializeToString()


@trick
def onnx_numbers_as_varints(folder: Path) -> bytes:
    """Numbers of two bytes each in the file, of eight in memory, and of more as objects."""
    array = b"\x10\x07" + field(7, b"\xff\x01" * 600_000) + field(8, b"x")
    return model(field(5, array))

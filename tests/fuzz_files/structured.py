"""Damage by hands that know the format: the file stays sound but for what is changed.

Owns, for each kind of file, the places where lies can be told: members and directory of an archive,
opcodes of a pickle, fields of a protobuf message, a JSON header, the integers of HDF5.
"""

import functools
import io
import json
import pickletools
import random
import struct
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

from fuzz_files.blind import Mutator, any_of, bits, extreme, integer, overwritten, packed

FLOOD = 400_000  # bytes


def _times(size: int, rng: random.Random) -> int:
    """How often to repeat what has some size: seldom, as often as makes time or memory felt."""
    return FLOOD // size if rng.random() < 0.05 else rng.choice((1, 1, 2, 50))


# --- JSON ---


def json_text(content: bytes, rng: random.Random) -> bytes:
    """Change one value or key, or the text itself."""
    if rng.random() < 0.3:
        return any_of(content, rng)
    try:
        value = json.loads(content)
    except ValueError:
        return any_of(content, rng)
    holder: Any = value
    while isinstance(holder, dict | list) and holder:
        key: Any = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        inner = holder[key]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.8:
            holder = inner
            continue
        how = rng.randrange(4)
        if how == 0:
            del holder[key]
        elif how == 1 and isinstance(holder, list):
            holder[key:key] = [inner] * _times(len(json.dumps(inner)), rng)
        elif how == 2 and isinstance(holder, dict):
            holder[rng.choice(["__metadata__", "", "x" * 2000, key + ".x", *holder])] = inner
        else:
            odd = [extreme(rng, 100), None, True, 0.5, 1e300, "", "x", "F64", [], {}, [inner] * 40]
            holder[key] = rng.choice(odd)
        break
    return json.dumps(value).encode()


def safetensors(content: bytes, rng: random.Random) -> bytes:
    """Change the header, or what is said of its length."""
    size = int.from_bytes(content[:8], "little")
    if rng.random() < 0.1:
        return packed(extreme(rng, len(content)), 8) + content[8:]
    header = json_text(content[8 : 8 + size], rng)
    return struct.pack("<Q", len(header)) + header + content[8 + size :]


# --- pickles ---

_GLOBALS = (b"os\nsystem", b"builtins\neval", b"torch\nFloatStorage", b"torch\nBFloat16Storage",
            b"torch._utils\n_rebuild_tensor_v2", b"collections\nOrderedDict", b"torch.nn\nM",
            b"torch\nLongStorage", b"torch\nQInt8Storage", b"__torch__\nM")  # fmt: skip
_OPCODES = [op.code.encode("latin-1") for op in pickletools.opcodes]


@functools.lru_cache(1000)
def _operations(content: bytes) -> list[tuple[str, int, int]]:
    """Name, start and end of every opcode of the pickles at the beginning of the content."""
    found: list[tuple[str, int, int]] = []
    file = io.BytesIO(content)
    while content[file.tell() : file.tell() + 1] == b"\x80":
        first = file.tell()
        try:
            steps = [(op.name, at) for op, _, at in pickletools.genops(file)]
        except ValueError:
            break
        file.seek(max(file.tell(), first + 1))
        ends = [at for _, at in steps[1:]] + [file.tell()]
        found += [(name, at, end) for (name, at), end in zip(steps, ends, strict=True)]
    return found


def pickled(content: bytes, rng: random.Random) -> bytes:
    """Change, lose, repeat or invent an opcode."""
    operations = _operations(content)
    if not operations:
        return any_of(content, rng)
    name, start, end = rng.choice(operations)
    how = rng.randrange(6)
    before, operation, after = content[:start], content[start:end], content[end:]
    if how == 0:
        return before + after
    if how == 1:
        return before + operation * (1 + _times(len(operation), rng)) + after
    if how == 2:
        _, other, stop = rng.choice(operations)
        return before + content[other:stop] + rng.choice((b"", operation)) + after
    if how == 3:
        return before + rng.choice(_OPCODES) + rng.choice((b"", operation)) + after
    if name == "GLOBAL":
        return before + b"c" + rng.choice(_GLOBALS) + b"\n" + after
    if how == 4 and len(operation) > 1:
        return before + operation[:1] + any_of(operation[1:], rng) + after
    value = extreme(rng, len(content))
    size = value.bit_length() // 8 + 1
    made = b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)
    return before + made + after


# --- zip archives ---

_MEMBERS: dict[str, Callable[[bytes, random.Random], bytes]] = {}
# Where the fields of a record lie after its signature, and their widths.
_RECORDS = {
    b"PK\1\2": [(4, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (42, 4)],
    b"PK\3\4": [(4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)],
    b"PK\5\6": [(4, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)],
    b"PK\6\6": [(4, 8), (24, 8), (32, 8), (40, 8), (48, 8)],
    b"PK\6\7": [(4, 4), (8, 8)],
}


def _places(content: bytes, signature: bytes) -> list[int]:
    places, at = [], content.find(signature)
    while at >= 0:
        places.append(at)
        at = content.find(signature, at + 1)
    return places


def directory(content: bytes, rng: random.Random) -> bytes:
    """Lie in a record of the archive."""
    signature = rng.choice(list(_RECORDS))
    if not (places := _places(content, signature)):
        return integer(content, rng)
    at, width = rng.choice(_RECORDS[signature])
    value = extreme(rng, len(content))
    return overwritten(content, rng.choice(places) + at, packed(value, width))


@functools.lru_cache(100)
def _read(content: bytes) -> list[tuple[str, bytes, int]]:
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        return [(info.filename, file.read(info), info.compress_type) for info in file.infolist()]


def members(content: bytes, rng: random.Random) -> bytes:
    """Damage a member, and write the archive anew around it."""
    parts = list(_read(content))
    chosen = rng.randrange(len(parts))
    if rng.random() < 0.6:
        telling = [i for i, part in enumerate(parts) if _mutator(part[0])]
        chosen = rng.choice(telling or [chosen])
    name, data, method = parts[chosen]
    how = rng.randrange(12)
    if how == 0:
        del parts[chosen]
    elif how == 1:
        parts.append((rng.choice(parts)[0], data, method))
    elif how == 2:
        parts[chosen] = (rng.choice([name + "x", "x/data.pkl", "config.json", ""]), data, method)
    elif how == 3:
        parts[chosen] = (name, data, rng.choice((0, 8, 12, 14)))
    else:
        parts[chosen] = (name, (_mutator(name) or any_of)(data, rng), method)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written, warnings.catch_warnings(action="ignore"):
        for name, data, method in parts:
            # A ZipInfo made by hand has a fixed date: the same file at any hour.
            written.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()


def _mutator(name: str) -> Mutator | None:
    return next((mutator for end, mutator in _MEMBERS.items() if name.endswith(end)), None)


def npy(content: bytes, rng: random.Random) -> bytes:
    """Change the text that says what an array is, or its length."""
    size = int.from_bytes(content[8:10], "little")
    header = content[10 : 10 + size]
    how = rng.randrange(4)
    if how == 0:
        return content[:8] + packed(extreme(rng, len(content)), 2) + content[10:]
    if how == 1:
        header = any_of(header, rng)
    elif how == 2:
        numbers = [i for i, byte in enumerate(header) if chr(byte).isdigit()]
        at = rng.choice(numbers or [0])
        header = header[:at] + str(extreme(rng, len(content))).encode() + header[at + 1 :]
    else:
        codes = (b"|O", b"<f8", b">i2", b"<M8", b"|V9", b"<U3", b"|b1", b"<c16")
        header = header.replace(b"<f4", rng.choice(codes))
    return content[:8] + packed(len(header), 2) + header + content[10 + size :]


# --- protobuf ---


def _varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _encoded(value: int) -> bytes:
    value %= 1 << 64
    result = b""
    while value > 127:
        result += bytes([value & 127 | 128])
        value >>= 7
    return result + bytes([value])


@functools.lru_cache(4000)
def _fields(content: bytes) -> list[tuple[int, bytes]] | None:
    """The tags and contents of a message; None if it is none."""
    fields, at = [], 0
    widths = {1: 8, 5: 4}
    try:
        while at < len(content):
            tag, at = _varint(content, at)
            if tag & 7 == 0:
                value, stop = _varint(content, at)
            elif tag & 7 == 2:
                value, at = _varint(content, at)
                stop = at + value
            else:
                stop = at + widths[tag & 7]
            if stop > len(content) or not tag >> 3:
                return None
            fields.append((tag, content[at:stop]))
            at = stop
    except (IndexError, KeyError):
        return None
    return fields


def _joined(fields: list[tuple[int, bytes]]) -> bytes:
    parts = []
    for tag, value in fields:
        parts += [_encoded(tag), _encoded(len(value)) if tag & 7 == 2 else b"", value]
    return b"".join(parts)


def message(content: bytes, rng: random.Random) -> bytes:
    """Change a field, of whatever message in messages, and mend the lengths around it."""
    fields = list(_fields(content) or [])
    if not fields:
        return any_of(content, rng)
    index = rng.randrange(len(fields))
    tag, value = fields[index]
    if tag & 7 == 2 and _fields(value) and rng.random() < 0.85:
        fields[index] = (tag, message(value, rng))
        return _joined(fields)
    how = rng.randrange(7)
    if how == 0:
        del fields[index]
    elif how == 1:
        fields[index:index] = [(tag, value)] * _times(len(value) + 2, rng)
    elif how == 2:
        fields[index] = (rng.randrange(1, 30) << 3 | tag & 7, value)
    elif how == 3:
        fields[index] = (tag, rng.choice(fields)[1])
    elif how == 4:
        broken = _encoded(tag) + _encoded(extreme(rng, len(content)))
        return _joined(fields[:index]) + broken + value + _joined(fields[index + 1 :])
    elif tag & 7 == 0:
        fields[index] = (tag, _encoded(extreme(rng, len(content))))
    else:
        fields[index] = (tag, any_of(value, rng))
    return _joined(fields)


# --- HDF5 ---

_SIGNATURES = (b"\x89HDF", b"TREE", b"SNOD", b"HEAP", b"GCOL", b"OHDR", b"OCHK", b"FRHP", b"BTHD")


def hdf5(content: bytes, rng: random.Random) -> bytes:
    """Write an integer at an edge, or another address, where HDF5 has its integers."""
    starts = [at for signature in _SIGNATURES for at in _places(content, signature)]
    width = rng.choice((1, 2, 4, 8))
    at = rng.choice(starts or [0]) + rng.randrange(0, 120)
    if rng.random() < 0.4:
        at = rng.randrange(len(content))
    at -= at % min(width, 4)
    value = rng.choice([extreme(rng, len(content)), rng.choice(starts or [0]), rng.randrange(40)])
    return overwritten(content, at, packed(value, width))[: len(content)]


_MEMBERS |= {"data.pkl": pickled, ".npy": npy, ".json": json_text, ".h5": hdf5}
MUTATORS: dict[str, list[Mutator]] = {
    "torch": [members, members, members, directory],
    "legacy": [pickled],
    "safetensors": [safetensors],
    "npz": [members, directory],
    "onnx": [message],
    "hdf5": [hdf5],
    "keras": [members, members, directory],
}


def damaged(kind: str, content: bytes, rng: random.Random) -> bytes:
    """The content of a file of some kind, damaged in one way or several."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        mutator = rng.choice(MUTATORS[kind]) if rng.random() < 0.7 else any_of
        try:
            content = mutator(content, rng)
        except Exception:  # what is damaged already may not be understood again
            content = bits(content, rng)
    return content

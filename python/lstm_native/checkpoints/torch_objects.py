"""What the names in torch's pickles mean here: the allow-list, and inert stand-ins.

Owns the list of what may be named, called and made, and the tensors and storages that come of it,
still without data. Nothing is imported by its name and no function of a file's choice is called.
Must not know where the bytes of a storage lie.

Eight kinds of name are allowed: ``OrderedDict``, ``set``, the rebuilding of a tensor, the
rebuilding of a parameter, a type of storage, torch's plain values (a device, a size, a dtype),
which become None, the typed lists of TorchScript, and the class of a module, which becomes a
:class:`Stub`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np

from lstm_native.checkpoints import bfloat16
from lstm_native.checkpoints.contents import Array

Order: TypeAlias = Literal["<", ">"]

MOST_AXES = 32

BFLOAT16 = "bfloat16"
BOOL = "bool"
# A type of storage -> the dtype of its bytes, or one of the two names above.
_STORAGES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": BFLOAT16,
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": BOOL,
    "ComplexFloatStorage": "c8",
    "ComplexDoubleStorage": "c16",
}
_DTYPES = {
    *("float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8"),
    *("bool", "complex64", "complex128", "strided"),
}
_QUANTISED = ("quantized", "qtensor", "ScriptObject", "QInt", "QUInt", "qint", "quint")


@dataclass(frozen=True)
class Storage:
    """One-dimensional memory that tensors view."""

    key: str
    kind: str  # a value of _STORAGES
    count: int

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return {BFLOAT16: 2, BOOL: 1}.get(self.kind) or np.dtype(self.kind).itemsize

    def array(self, data: Array, order: Order) -> Array:
        """The storage as an array of its bytes (uint8): a view, or a copy where it must change."""
        if self.kind == BOOL:
            return np.not_equal(data, 0)
        if self.kind == BFLOAT16:
            return bfloat16.widened(data.view(f"{order}u2"))
        array = data.view(np.dtype(self.kind).newbyteorder(order))
        # Here, once, and not for each of the tensors that share it.
        array = array.astype(self.kind, copy=False)
        return array if array.flags.aligned else array.copy()


@dataclass(frozen=True)
class Tensor:
    """A view of a storage, in elements; checked against the storage's count."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, memory: Array) -> Array:
        """The tensor as a view of its storage's array."""
        if 0 in self.shape:
            return memory[:0].reshape(self.shape)
        strides = [stride * memory.itemsize for stride in self.strides]
        # NumPy, too, checks here that the view lies within the memory.
        return np.ndarray(self.shape, memory.dtype, memory, self.offset * memory.itemsize, strides)


@dataclass(frozen=True)
class StorageKind:
    """The meaning of ``torch.FloatStorage`` and its like."""

    kind: str


@dataclass(frozen=True)
class Class:
    """The name of a class, which is never looked up."""

    name: str


@dataclass
class Stub:
    """What an object of a class not looked up leaves: its attributes."""

    kind: Class
    attributes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Function:
    run: Callable[..., Any]


class TorchDictionary:
    """The :class:`pickle_machine.Dictionary` of torch's files."""

    def __init__(self) -> None:
        self.storages: dict[str, Storage] = {}
        self._named: dict[str, Class] = {}
        self._made: list[Stub] = []

    def find(self, module: str, name: str) -> Any:
        """The meaning of a global name."""
        path = f"{module}.{name}"
        if path in _FUNCTIONS:
            return _FUNCTIONS[path]
        if module == "torch" and name in _STORAGES:
            return StorageKind(_STORAGES[name])
        if module == "torch" and name in _DTYPES:
            return None
        if any(part in path for part in _QUANTISED):
            raise ValueError(
                f"it holds quantised weights ({path}), which are not read. Save the state_dict() "
                "of the model as it was before quantisation"
            )
        return self._named.setdefault(path, Class(path))

    def call(self, function: Any, arguments: tuple[Any, ...]) -> Any:
        """The value of a call of one of our own stand-ins."""
        if isinstance(function, _Function):
            return function.run(*arguments)
        what = function.name if isinstance(function, Class) else type(function).__name__
        raise ValueError(f"it wants to call {what}, which is not allowed")

    def create(self, kind: Any, arguments: tuple[Any, ...]) -> Stub:
        """A stub of a class, made without arguments."""
        if not isinstance(kind, Class) or arguments:
            what = kind.name if isinstance(kind, Class) else type(kind).__name__
            raise ValueError(f"it wants to make a {what} of {len(arguments)} arguments")
        stub = Stub(kind)
        self._made.append(stub)
        return stub

    def build(self, value: Any, state: Any) -> None:
        """Give a stub its attributes; a state dict's own (``_metadata``) say nothing."""
        if type(state) is not dict or not all(type(name) is str for name in state):
            raise ValueError("it wants to give an object a state that is no dict of attributes")
        if isinstance(value, Stub):
            value.attributes.update(state)
        elif type(value) is not dict:
            raise ValueError(f"it wants to give a state to a {type(value).__name__}")

    def stored(self, identity: Any) -> Any:
        """A storage, or the class of a module with its source (which is not read)."""
        if type(identity) is not tuple or len(identity) < 2:
            raise ValueError("its pickle speaks of storage in an unknown way")
        if identity[0] == "module" and isinstance(identity[1], Class):
            return identity[1]
        if identity[0] != "storage" or len(identity) not in (5, 6):
            raise ValueError("its pickle speaks of storage in an unknown way")
        _, kind, key, _, count = identity[:5]
        if not isinstance(kind, StorageKind) or type(key) is not str or not _natural(count):
            raise ValueError("its pickle speaks of storage in an unknown way")
        if len(identity) == 6 and identity[5] is not None:
            raise ValueError("it holds views of storages in a form older than torch 0.4")
        storage = Storage(key, kind.kind, count)
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"its storage {key!r} is said to be of two kinds")
        return storage

    def finish(self) -> None:
        """Refuse what was named but is no module; to be called after the pickle."""
        made = {stub.kind.name for stub in self._made}
        for name in self._named:
            if name not in made and not name.startswith(("torch.nn.", "__torch__.")):
                raise ValueError(f"it refers to {name}, which is not allowed")
        for stub in self._made:
            if not is_script(stub) and "_modules" not in stub.attributes:
                raise ValueError(
                    f"it holds an object of {stub.kind.name}, which is no module of torch. Save "
                    "the state_dict() alone"
                )


def is_script(stub: Stub) -> bool:
    """Whether an object is TorchScript's, which has its parts as plain attributes."""
    return stub.kind.name.startswith("__torch__.")


def _natural(value: object) -> bool:
    return type(value) is int and value >= 0


def _tensor(
    storage: Any,
    offset: Any,
    shape: Any,
    strides: Any,
    requires_grad: Any = False,
    hooks: Any = None,
    marks: Any = None,
) -> Tensor:
    if marks:
        raise ValueError(
            "a tensor in it is the negative or conjugate of what is stored. Save its resolve_neg() "
            "or resolve_conj()"
        )
    if (
        not isinstance(storage, Storage)
        or type(shape) is not tuple
        or type(strides) is not tuple
        or not all(map(_natural, (offset, *shape, *strides)))
        or len(shape) != len(strides)
        or len(shape) > MOST_AXES
    ):
        raise ValueError("a tensor in it has a shape, offset or strides that make no sense")
    steps = ((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    count = math.prod(shape)
    if offset > storage.count or (count and offset + sum(steps) >= storage.count):
        raise ValueError(
            f"a tensor of shape {shape} and strides {strides} from element {offset} on does not "
            f"lie in its storage of {storage.count} elements"
        )
    if count > storage.count or max((0, *shape, *strides)) >= 2**48:
        raise ValueError(f"a tensor of shape {shape} repeats a storage of {storage.count} elements")
    return Tensor(storage, offset, shape, strides)


def _parameter(value: Any, *others: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise ValueError("a parameter in it is no tensor")
    return value


def _ordered_dict(*arguments: Any) -> dict[Any, Any]:
    if arguments:
        raise ValueError("it wants to make an OrderedDict in a way torch does not")
    return {}


def _set(items: Any) -> frozenset[Any]:
    if type(items) is not list or not all(type(item) in (str, int) for item in items):
        raise ValueError("it wants to make a set of what has no place in one")
    return frozenset(items)


def _same(value: Any, *others: Any) -> Any:
    return value


def _nothing(*arguments: Any) -> None:
    return None


_FUNCTIONS = {
    "collections.OrderedDict": _Function(_ordered_dict),
    "__builtin__.set": _Function(_set),
    "builtins.set": _Function(_set),
    "torch._utils._rebuild_tensor": _Function(_tensor),
    "torch._utils._rebuild_tensor_v2": _Function(_tensor),
    "torch._utils._rebuild_parameter": _Function(_parameter),
    "torch._utils._rebuild_parameter_with_state": _Function(_parameter),
    "torch.device": _Function(_nothing),
    "torch.Size": _Function(_nothing),
    "torch.jit._pickle.build_tensorlist": _Function(_same),
    "torch.jit._pickle.build_intlist": _Function(_same),
    "torch.jit._pickle.build_doublelist": _Function(_same),
    "torch.jit._pickle.build_boollist": _Function(_same),
    "torch.jit._pickle.restore_type_tag": _Function(_same),
}

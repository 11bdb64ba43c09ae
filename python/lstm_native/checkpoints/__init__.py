"""The door to weight files: the bytes decide what is read, the suffix decides what is written.

Owns the choice of the format, the checks all formats share and the atomic replacement of a file.
Each format is a module beside this one, imported when it is used, since most programs use one and
``import lstm_native`` should be quick. Must not know networks: a state is names and arrays.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from lstm_native._checks import arguments
from lstm_native._checks.arrays import as_ndarray
from lstm_native._panels import ARRAY
from lstm_native.checkpoints.contents import Contents, State, extent

__all__ = ["Contents", "State", "load", "most_copied", "read", "replacing", "save"]

# Copies may take this many times the memory of the arrays of a file, and a little for small ones.
MOST_GROWTH = 4
MOST_EXTRA = 24_000_000

_SUFFIXES = (".safetensors", ".npz")

# Beginnings of files that are taken for weights, and what to do about each; the first match counts.
_OTHERS = {
    b"\x80": "a pickle, which runs code when it is read. Save the arrays with lstm_native.save",
    b"\x93NUMPY": "one array without a name (.npy). Read it with numpy.load",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself. Run: git lfs pull",
}
_READ = "safetensors, npz, PyTorch, ONNX, Keras"


@runtime_checkable
class Savable(Protocol):
    """A network: what it holds by name, and notes on what shapes do not tell."""

    def state_dict(self) -> Mapping[str, NDArray[Any]]:
        """The arrays."""

    def metadata(self) -> Mapping[str, str]:
        """Attributes as JSON, by name."""


@runtime_checkable
class Packable(Savable, Protocol):
    """A network that is packed for the kernels."""

    def _packed_state(self) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, str]]:
        """Give the packed copy and the arrays, both of one moment, and the notes on the copy."""


def load(path: str | os.PathLike[str], *, float32: bool = False) -> State:
    """Read the arrays of a weight file.

    Parameters
    ----------
    path : str or path-like
        A file of safetensors, npz, PyTorch (``.pt``, ``.pth``, TorchScript), ONNX or Keras
        (``.keras``, ``.h5``) under any name: its bytes say which. The last two need the packages
        of the extras ``onnx`` and ``keras``.
    float32 : bool
        Whether to widen float16, too, to float32.

    Returns
    -------
    dict of str to ndarray
        torch's names, as they stand in the file; the LSTMs of ONNX and Keras files get them, after
        the name of the node or layer. The dtypes are the file's but for bfloat16: it is widened to
        float32, exactly. The packed copy that ``save(..., packed=True)`` adds is left out. Nothing
        in a file is ever executed.

    Raises
    ------
    ValueError
        The file is of another kind, damaged, or not what it claims to be, or holds an LSTM that
        cannot be had here; the message names the path and what was found.
    ImportError
        The package that reads this kind of file is not installed; the message names the extra.
    OSError
        The file cannot be read.

    Notes
    -----
    Arrays of safetensors and PyTorch files are mapped, not read: a page enters memory when it is
    touched. Writing to them changes a private copy of that page, never the file. Copy what is to
    outlive a file that others may write to in place; `save` replaces files and does no harm.

    Examples
    --------
    >>> save("network.safetensors", LSTM(3, 4, batch_first=True))
    >>> sorted(load("network.safetensors"))
    ['bias_hh_l0', 'bias_ih_l0', 'weight_hh_l0', 'weight_ih_l0']
    """
    contents = read(path, float32=float32)
    contents.arrays.pop(ARRAY, None)
    return contents.arrays


def read(path: str | os.PathLike[str], *, float32: bool = False) -> Contents:
    """Read the arrays of a weight file, its packed copy among them, and the notes in it."""
    path = os.fsdecode(path)
    contents = _read(path)
    arrays, made, most = {}, 0, None
    for name, array in contents.arrays.items():
        dtype = array.dtype.newbyteorder("=")
        if float32 and dtype == np.float16:
            dtype = np.dtype(np.float32)
        if dtype != array.dtype:
            # Arrays may share memory in the file, but not what is made of them here.
            most = most_copied(contents.arrays) if most is None else most
            made += array.size * dtype.itemsize
            if made > most:
                raise ValueError(f"{path} has too many arrays of one memory to convert them all.")
        arrays[name] = array.astype(dtype, copy=False)
    return Contents(arrays, contents.notes)


def most_copied(arrays: State) -> int:
    """How many bytes copies of the arrays of a file may take, before it is taken for a bomb."""
    return MOST_GROWTH * extent(arrays.values()) + MOST_EXTRA


def _read(path: str) -> Contents:
    from lstm_native.checkpoints import archive, safetensors_file, torch_file

    with open(path, "rb") as file:
        start = file.read(32)
    if archive.recognises(start):
        return _read_archive(path)
    if safetensors_file.recognises(start):
        return safetensors_file.read(path)
    if torch_file.recognises(start):
        return torch_file.read(path)
    from lstm_native.checkpoints import keras_file, onnx_file

    if keras_file.recognises(start):
        return keras_file.read(path)
    if onnx_file.recognises(start):
        return onnx_file.read(path)
    raise ValueError(f"{path} is {_description(start)}.")


def _read_archive(path: str) -> Contents:
    from lstm_native.checkpoints import archive, keras_file, npz_file, torch_file

    with archive.opened(path) as file:
        members = file.namelist()
    if torch_file.recognises_archive(members):
        return torch_file.read_archive(path)
    if keras_file.recognises_archive(members):
        return keras_file.read_archive(path)
    return npz_file.read(path)


def save(
    path: str | os.PathLike[str],
    state: Mapping[str, NDArray[Any]] | Savable,
    metadata: Mapping[str, str] | None = None,
    *,
    packed: bool = False,
) -> None:
    """Write arrays to a weight file, whole or not at all.

    Parameters
    ----------
    path : str or path-like
        Where to; the suffix says how: ``.safetensors`` or ``.npz``. A file that is there is
        replaced in one step, after the new one is complete; its permissions stay.
    state : mapping of str to ndarray, or LSTM or LSTMCell
        For instance ``lstm.state_dict()``. Numbers and booleans of any memory layout. A network
        adds notes on what shapes do not tell, which ``from_file`` reads: ``batch_first`` and
        ``dropout``.
    metadata : mapping of str to str, optional
        Notes for the header of a safetensors file, or the comment of an npz archive. A network that
        is part of a state has its own under its prefix: ``lstm.metadata("encoder.")``.
    packed : bool
        Whether to add the packed copy that the kernels read, for ``from_file(path, mmap=True)``:
        it makes the file twice as large. For a network, and safetensors, whose other readers see
        one more array. The copy serves machines with this instruction set (:func:`isa`) and this
        version; elsewhere the file can be read, but not mapped.

    Raises
    ------
    ValueError
        Unknown suffix, a name the format cannot hold, that of a packed copy for another array, or
        more metadata than npz can hold. With `packed`: a suffix other than ``.safetensors``, or a
        cell of no hidden units.
    TypeError
        A name or a note is not a str, a value is not an ndarray, or its dtype has no place in the
        format. With `packed`: `state` is not a network.
    OSError
        The file cannot be written. What stood there before still does. On Windows no file can be
        replaced that is mapped: while arrays of :func:`load`, or a network of
        ``from_file(path, mmap=True)``, read it, save under another name, or copy and drop them.

    Examples
    --------
    >>> encoder = LSTM(3, 4, batch_first=True)
    >>> state = encoder.state_dict(prefix="encoder.") | {"head": np.zeros((9, 4))}
    >>> save("model.safetensors", state, encoder.metadata("encoder."))
    >>> LSTM.from_file("model.safetensors")
    LSTM(3, 4, batch_first=True)
    """
    from lstm_native.checkpoints import npz_file, safetensors_file

    packed = arguments.boolean(packed, "packed")
    if packed and not isinstance(state, Packable):
        kind = type(state).__name__
        raise TypeError(f"save(path, network, packed=True) needs a network, got {kind}")
    if metadata is not None and not isinstance(metadata, Mapping):
        kind = type(metadata).__name__
        raise TypeError(f"save(..., metadata): it should map names to notes, got {kind}")
    if isinstance(state, Savable):
        metadata = {**state.metadata(), **(metadata or {})}
        if packed and isinstance(state, Packable):
            state, notes_on_it = state._packed_state()
            # Last, since the metadata may be that of a file packed elsewhere.
            metadata = {**metadata, **notes_on_it}
        else:
            state = state.state_dict()
    if not isinstance(state, Mapping):
        kind = type(state).__name__
        raise TypeError(f"save(path, state): state should map names to ndarrays, got {kind}")
    if not packed and ARRAY in state:
        raise ValueError(f"state: {ARRAY!r} is the name of a packed copy, which load() leaves out")
    path = os.fsdecode(path)
    suffix = os.path.splitext(path)[1]
    suffixes = _SUFFIXES[:1] if packed else _SUFFIXES
    if suffix.lower() not in suffixes:
        raise ValueError(f"{path}: the suffix should be {' or '.join(suffixes)}, got {suffix!r}")
    write = npz_file.write if suffix.lower() == ".npz" else safetensors_file.write
    if packed:
        write = safetensors_file.write_in_order
    arrays = {_text(name, "state"): _array(name, value) for name, value in state.items()}
    notes = None
    if metadata is not None:
        notes = {_text(k, "metadata"): _text(v, "metadata") for k, v in metadata.items()}
    with replacing(path) as temporary:
        write(temporary, arrays, notes)


def _description(start: bytes) -> str:
    """Say what kind of file begins like this, and what to do about it."""
    for magic, found in _OTHERS.items():
        if start.startswith(magic):
            return found
    what = f"it starts with {start[:8]!r}" if start else "it is empty"
    return f"no weight file that can be read ({_READ}): {what}"


def _text(value: object, owner: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{owner}: names and notes should be str, got {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{owner}: {value!r} is not valid Unicode text") from None
    return value


def _array(name: str, value: object) -> NDArray[Any]:
    """Give a value C-contiguous and little-endian, as both formats store it."""
    if not isinstance(value, np.ndarray):
        raise TypeError(f"state[{name!r}] should be an ndarray, got {type(value).__name__}")
    array = as_ndarray(value, f"state[{name!r}]")
    if array.dtype.kind not in "biufc":
        raise TypeError(f"state[{name!r}] should hold numbers or booleans, got {array.dtype}")
    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


@contextlib.contextmanager
def replacing(path: str) -> Iterator[str]:
    """Give a name to write to; then put that file in the place of `path`, or leave no trace."""
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target):
        raise OSError(f"{path} is no file that can be replaced")
    name = f".lstm_native-{os.urandom(8).hex()}.tmp"
    temporary = os.path.join(os.path.dirname(target), name)
    try:
        # Opened only to learn which permissions a new file gets; safetensors makes its own private.
        with open(temporary, "xb") as file:
            mode = os.fstat(file.fileno()).st_mode
        with contextlib.suppress(FileNotFoundError):
            mode = os.stat(target).st_mode
        yield temporary
        os.chmod(temporary, stat.S_IMODE(mode))
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)

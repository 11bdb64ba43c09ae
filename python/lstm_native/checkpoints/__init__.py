"""The door to weight files: the bytes decide what is read, the suffix decides what is written.

Owns the choice of the format, the checks all formats share and the atomic replacement of a file.
Each format is a module beside this one, imported when it is used, since most programs use one and
``import lstm_native`` should be quick. Must not know networks: a state is names and arrays.
"""

import contextlib
import os
import stat
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from lstm_native._checks.arrays import as_ndarray

State: TypeAlias = dict[str, NDArray[Any]]

_SUFFIXES = (".safetensors", ".npz")

_TO_SAFETENSORS = (
    "Write it again where torch is installed: "
    'safetensors.torch.save_file(torch.load(path, weights_only=True), "model.safetensors")'
)

# Beginnings of files that are taken for weights, and what to do about each; the first match counts.
_OTHERS = {
    b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.": "a PyTorch checkpoint (.pt, .pth) of the format "
    f"before torch 1.6, a pickle. {_TO_SAFETENSORS}",
    b"\x80": "a pickle, which runs code when it is read. Save the arrays with lstm_native.save",
    b"\x93NUMPY": "one array without a name (.npy). Read it with numpy.load",
    b"\x89HDF": "an HDF5 file (Keras?). Save the arrays with lstm_native.save",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself. Run: git lfs pull",
}


def load(path: str | os.PathLike[str]) -> State:
    """Read the arrays of a weight file.

    Parameters
    ----------
    path : str or path-like
        A safetensors or npz file under any name: its first bytes say which.

    Returns
    -------
    dict of str to ndarray
        The names as they stand in the file (torch's, if torch wrote it), the dtypes likewise, but
        for bfloat16: it is widened to float32, exactly. Nothing in a file is ever executed.

    Raises
    ------
    ValueError
        The file is of another kind, damaged, or not what it claims to be; the message names the
        path, what was found and, for a ``.pt`` file, what to do.
    OSError
        The file cannot be read.

    Notes
    -----
    Arrays of a safetensors file are mapped, not read: a page enters memory when it is touched.
    Writing to them changes a private copy of that page, never the file. Copy what is to outlive
    a file that others may write to in place; `save` replaces files and does no harm.
    """
    from lstm_native.checkpoints import npz_file, safetensors_file

    path = os.fsdecode(path)
    with open(path, "rb") as file:
        start = file.read(32)
    if npz_file.recognises(start):
        _refuse_other_zips(path, npz_file.members(path))
        state = npz_file.read(path)
    elif safetensors_file.recognises(start):
        state = safetensors_file.read(path)
    else:
        raise ValueError(f"{path} is {_description(start)}.")
    return {
        name: array.astype(array.dtype.newbyteorder("="), copy=False)
        for name, array in state.items()
    }


def save(
    path: str | os.PathLike[str],
    state: Mapping[str, NDArray[Any]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write arrays to a weight file, whole or not at all.

    Parameters
    ----------
    path : str or path-like
        Where to; the suffix says how: ``.safetensors`` or ``.npz``. A file that is there is
        replaced in one step, after the new one is complete; its permissions stay.
    state : mapping of str to ndarray
        For instance ``lstm.state_dict()``. Numbers and booleans of any memory layout.
    metadata : mapping of str to str, optional
        Notes for the header of a safetensors file; npz has no place for them.

    Raises
    ------
    ValueError
        Unknown suffix, a name the format cannot hold, or metadata for npz.
    TypeError
        A name or a note is not a str, a value is not an ndarray, or its dtype has no place in the
        format.
    OSError
        The file cannot be written. What stood there before still does.
    """
    from lstm_native.checkpoints import npz_file, safetensors_file

    if not isinstance(state, Mapping):
        kind = type(state).__name__
        raise TypeError(f"save(path, state): state should map names to ndarrays, got {kind}")
    path = os.fsdecode(path)
    suffix = os.path.splitext(path)[1]
    if suffix.lower() not in _SUFFIXES:
        raise ValueError(f"{path}: the suffix should be {' or '.join(_SUFFIXES)}, got {suffix!r}")
    write = npz_file.write if suffix.lower() == ".npz" else safetensors_file.write
    arrays = {_text(name, "state"): _array(name, value) for name, value in state.items()}
    notes = None
    if metadata is not None:
        notes = {_text(k, "metadata"): _text(v, "metadata") for k, v in metadata.items()}
    with _replacing(path) as temporary:
        write(temporary, arrays, notes)


def _description(start: bytes) -> str:
    """Say what kind of file begins like this, and what to do about it."""
    for magic, found in _OTHERS.items():
        if start.startswith(magic):
            return found
    what = f"it starts with {start[:8]!r}" if start else "it is empty"
    return f"no weight file that can be read (safetensors, npz): {what}"


def _refuse_other_zips(path: str, names: list[str]) -> None:
    """Recognise the archives of torch by the members that only they have."""
    if any(name.endswith("/constants.pkl") for name in names):
        raise ValueError(f"{path} is a TorchScript archive. Save the state_dict() of its module.")
    if any(name.endswith("/data.pkl") for name in names):
        raise ValueError(f"{path} is a PyTorch checkpoint (.pt, .pth). {_TO_SAFETENSORS}.")


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
def _replacing(path: str) -> Iterator[str]:
    """Give a name to write to; then put that file in the place of `path`, or leave no trace."""
    target = os.path.realpath(path)
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

"""Weight files: round trips with torch and NumPy, atomic saving, and files that lie."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import struct
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from lstm_native.checkpoints import load, save

State = dict[str, NDArray[Any]]

NAMES = ["weight_ih_l0", "weight_hh_l0_reverse", "encoder.lstm.bias_ih_l0", "a/b", "ü", "file", ""]
IN_BOTH = ["?", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8", "c8"]
SUFFIXES = pytest.mark.parametrize("suffix", ["npz", "safetensors"])


def example() -> State:
    rng = np.random.default_rng(0)
    return {
        "weight_ih_l0": rng.standard_normal((8, 3)).astype(np.float32),
        "weight_hh_l0": np.asfortranarray(rng.standard_normal((8, 2))),
        "bias_ih_l0": np.arange(16, dtype=np.float32)[::2],
        "half": np.array([1, 2.5, 65504], np.float16),
        "steps": np.array(7),
        "empty": np.zeros((0, 4)),
        "big_endian": np.array([1, 2, 3], ">i4"),
        "flags": np.array([[True], [False]]),
    }


def assert_same(loaded: State, expected: State) -> None:
    assert loaded.keys() == expected.keys()
    for name, array in expected.items():
        assert type(loaded[name]) is np.ndarray
        assert loaded[name].dtype == array.dtype.newbyteorder("=")
        assert loaded[name].dtype.isnative
        assert loaded[name].flags.aligned
        assert_array_equal(loaded[name], array.astype(array.dtype.newbyteorder("=")), strict=True)


class TestRoundTrip:
    @SUFFIXES
    def test_every_kind_of_array(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"state.{suffix}"
        save(path, example())
        assert_same(load(path), example())
        assert_same(load(str(path)), example())

    @SUFFIXES
    @pytest.mark.parametrize("dtype", IN_BOTH)
    def test_every_dtype(self, suffix: str, dtype: str, tmp_path: Path) -> None:
        state = {name: np.arange(6).reshape(2, 3).astype(dtype) for name in NAMES}
        save(tmp_path / f"state.{suffix}", state)
        assert_same(load(tmp_path / f"state.{suffix}"), state)

    @SUFFIXES
    def test_nothing_at_all(self, suffix: str, tmp_path: Path) -> None:
        save(tmp_path / f"state.{suffix}", {})
        assert load(tmp_path / f"state.{suffix}") == {}

    @SUFFIXES
    def test_the_bytes_decide_not_the_suffix(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"state.{suffix}"
        save(path, example())
        assert_same(load(path.rename(tmp_path / "weights.pt")), example())

    @SUFFIXES
    def test_the_same_state_gives_the_same_bytes(self, suffix: str, tmp_path: Path) -> None:
        save(tmp_path / f"a.{suffix}", example())
        save(tmp_path / f"b.{suffix.upper()}", example())
        files = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
        assert files[0] == files[1]

    @SUFFIXES
    def test_loaded_arrays_are_the_callers_own(self, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"state.{suffix}"
        save(path, example())
        before = path.read_bytes()
        loaded = load(path)
        for array in loaded.values():
            array[...] = 0
        assert path.read_bytes() == before
        save(path, loaded)  # over the file that `loaded` may be mapped from
        assert not load(path)["weight_ih_l0"].any()

    def test_a_safetensors_file_is_mapped(self, tmp_path: Path) -> None:
        path = tmp_path / "state.safetensors"
        save(path, {"large": np.zeros(2_000_000)})
        load(path)
        tracemalloc.start()
        loaded = load(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1_000_000
        assert loaded["large"].nbytes == 16_000_000


class TestOthers:
    def test_torch_reads_ours(self, torch: ModuleType, tmp_path: Path) -> None:
        from safetensors.torch import load_file

        network = torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True)
        state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
        save(tmp_path / "ours.safetensors", state, {"note": "made by a test"})
        network.load_state_dict(load_file(tmp_path / "ours.safetensors"))
        with safetensors.safe_open(tmp_path / "ours.safetensors", "np") as file:
            assert file.metadata() == {"note": "made by a test"}

    def test_we_read_torch(self, torch: ModuleType, tmp_path: Path) -> None:
        from safetensors.torch import save_file

        network = torch.nn.LSTM(3, 4, num_layers=2, proj_size=2)
        save_file(network.state_dict(), tmp_path / "theirs.safetensors", {"format": "pt"})
        expected = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
        assert_same(load(tmp_path / "theirs.safetensors"), expected)

    def test_bfloat16_is_widened(self, torch: ModuleType, tmp_path: Path) -> None:
        from safetensors.torch import save_file

        values = torch.tensor([1.0, -0.5, 3e38, 1e-40, torch.inf, -0.0]).bfloat16()
        save_file({"x": values, "odd": torch.ones(1, dtype=torch.uint8)}, tmp_path / "b")
        loaded = load(tmp_path / "b")["x"]
        assert_array_equal(loaded, values.float().numpy(), strict=True)
        assert_array_equal(np.signbit(loaded), np.signbit(values.float().numpy()))

    @pytest.mark.parametrize("writer", [np.savez, np.savez_compressed])
    def test_we_read_numpy(self, writer: Any, tmp_path: Path) -> None:
        writer(tmp_path / "theirs.npz", **example())
        assert_same(load(tmp_path / "theirs.npz"), example())

    def test_numpy_reads_ours(self, tmp_path: Path) -> None:
        save(tmp_path / "ours.npz", example())
        with np.load(tmp_path / "ours.npz", allow_pickle=False) as file:
            assert_same(dict(file), example())


class TestSave:
    @pytest.mark.parametrize("name", ["x.pt", "x", "x.npz.gz", ".npz"])
    def test_suffix(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"the suffix should be \.safetensors or \.npz, got"):
            save(tmp_path / name, example())

    @SUFFIXES
    @pytest.mark.parametrize(
        ("state", "error", "message"),
        [
            ({3: np.ones(3)}, TypeError, "names and notes should be str, got 3"),
            ({"a": [1.0]}, TypeError, r"state\['a'\] should be an ndarray, got list"),
            ({"a": np.array([None])}, TypeError, r"state\['a'\] should hold numbers or booleans"),
            ({"a": np.array(["x"])}, TypeError, r"state\['a'\] should hold numbers or booleans"),
            ({"a": np.ma.masked_equal([1.0, 2.0], 2)}, ValueError, "masked array"),
            ({"lstm_native.packed": np.ones(3)}, ValueError, "which load.. leaves out"),
            ({"\ud800": np.ones(3)}, ValueError, "is not valid Unicode"),
            ([np.ones(3)], TypeError, "state should map names to ndarrays, got list"),
            ("swapped.npz", TypeError, "state should map names to ndarrays, got str"),
        ],
    )
    def test_state(
        self, suffix: str, state: Any, error: type[Exception], message: str, tmp_path: Path
    ) -> None:
        with pytest.raises(error, match=message):
            save(tmp_path / f"x.{suffix}", state)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("name", "state", "metadata", "error", "message"),
        [
            ("x.npz", {}, {"n": "x" * 65536}, ValueError, "cannot hold 65545 bytes"),
            ("x.npz", {"a\0b": np.ones(3)}, None, ValueError, "cannot hold the name"),
            ("x.safetensors", {}, {"n": 3}, TypeError, "should be str, got 3"),
            ("x.safetensors", {"__metadata__": np.ones(3)}, None, ValueError, "__metadata__"),
            ("x.safetensors", {"a": np.ones(3, "c16")}, None, TypeError, "cannot hold complex128"),
        ],
    )
    def test_limits_of_the_formats(
        self,
        name: str,
        state: Any,
        metadata: Any,
        error: type[Exception],
        message: str,
        tmp_path: Path,
    ) -> None:
        with pytest.raises(error, match=message):
            save(tmp_path / name, state, metadata)
        assert not list(tmp_path.iterdir())

    @SUFFIXES
    @pytest.mark.parametrize("call", ["fsync", "replace"])
    def test_a_failure_leaves_the_old_file_alone(
        self, suffix: str, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / f"state.{suffix}"
        save(path, example())
        before = path.read_bytes()

        def no_space(*arguments: object) -> None:
            assert len(list(tmp_path.iterdir())) == 2  # the new one stands beside the old
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, call, no_space)
        with pytest.raises(OSError, match="No space left"):
            save(path, {"a": np.ones(1000)})
        assert list(tmp_path.iterdir()) == [path]
        assert path.read_bytes() == before

    @SUFFIXES
    def test_permissions_and_links_stay(self, suffix: str, tmp_path: Path) -> None:
        real, link = tmp_path / "real", tmp_path / f"link.{suffix}"
        real.touch(mode=0o600)
        link.symlink_to(real)
        save(link, example())
        assert link.is_symlink()
        assert real.stat().st_mode & 0o777 == 0o600
        assert_same(load(real), example())

    @SUFFIXES
    def test_new_files_follow_the_umask(self, suffix: str, tmp_path: Path) -> None:
        before = os.umask(0o027)
        try:
            save(tmp_path / f"x.{suffix}", {})
        finally:
            os.umask(before)
        assert (tmp_path / f"x.{suffix}").stat().st_mode & 0o777 == 0o640


def npz(**members: bytes) -> bytes:
    """A zip archive of the given members, under the name of each plus ``.npy``."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def npy(descr: str = "'<f4'", shape: str = "(2,)", data: bytes = bytes(8), major: int = 1) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}\n".encode()
    length = struct.pack("<H" if major == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([major, 0]) + length + header + data


def tensors(header: str | dict[str, Any], data: bytes = bytes(8)) -> bytes:
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return len(text).to_bytes(8, "little") + text + data


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch exploded",)


def object_array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Bomb()], object), allow_pickle=True)
    return file.getvalue()


def twice() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, warnings.catch_warnings(action="ignore"):
        archive.writestr("a.npy", npy())
        archive.writestr("a.npy", npy())
    return file.getvalue()


def squeezed(method: int, size: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("a.npy", npy(shape=f"({size // 4},)", data=bytes(size)))
    return file.getvalue()


ONE = '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'
HOSTILE = {
    "empty": (b"", "it is empty"),
    "text": (b"hello", "starts with b'hello'"),
    "pickle": (pickle.dumps(Bomb()), "is a pickle, which runs code"),
    "one array": (npy(), "one array without a name"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    "cut zip": (npz(a=npy())[:60], "not a zip file"),
    "crc": (npz(a=npy()).replace(bytes(8), bytes(7) + b"\1", 1), "Bad CRC-32"),
    "objects": (npz(a=object_array()), "holds no numbers or booleans but object"),
    "records": (npz(a=npy("[('a', '<f4')]")), "holds no numbers or booleans"),
    "code": (npz(a=npy("__import__('os').system('touch exploded')")), "header of 'a' is damaged"),
    "too long": (npz(a=npy(shape="(1000000000000,)")), "should hold 4000000000000 bytes"),
    "overflow": (npz(a=npy(shape="(4611686018427387904, 4)")), "should hold 73786976294838206464"),
    "negative": (npz(a=npy(shape="(-1, -2)")), "cannot be read"),
    "trailing": (npz(a=npy(data=bytes(9))), "should hold 8 bytes of data but has 9"),
    "version": (npz(a=npy(major=3)), r"is of .npy version \(3, 0\)"),
    "twice": (twice(), "'a' stands twice"),
    "bomb": (squeezed(zipfile.ZIP_DEFLATED, 40_000_000), "suspiciously many for its size"),
    "method": (squeezed(zipfile.ZIP_LZMA, 8), "compressed by a method that is not read"),
    "directory": (
        b"PK\3\4"
        + bytes(2_000_000)
        + b"PK\5\6"
        + struct.pack("<4H2IH", 0, 0, 1, 1, 2_000_000, 4, 0),
        "its directory would take 2000000 bytes",
    ),
    "name": (npz(a=npy()).replace(b"a.npy", b"a.txt"), "'a.txt' is no .npy array"),
    "cut header": (tensors(f'{{"a":{ONE}}}')[:30], "damaged safetensors file"),
    "huge header": (b"\0\0\0\0\0\1\0\0{", "its header would take 1099511627776 bytes"),
    "no json": (tensors("{nonsense"), "damaged safetensors file"),
    "nested": (tensors('{"a":' + "[" * 100_000), "damaged safetensors file"),
    "same name": (tensors(f'{{"a":{ONE},"a":{ONE}}}'), "the name 'a' stands twice"),
    "overlap": (tensors(f'{{"a":{ONE},"b":{ONE}}}'), "damaged safetensors file"),
    "beyond": (tensors(f'{{"a":{ONE}}}', bytes(4)), "damaged safetensors file"),
    "left over": (tensors(f'{{"a":{ONE}}}', bytes(9)), "damaged safetensors file"),
    "wrong size": (tensors(f'{{"a":{ONE.replace("[2]", "[3]")}}}'), "damaged safetensors file"),
    "product": (tensors(f'{{"a":{ONE.replace("[2]", f"[{2**63},{2**63}]")}}}'), "damaged"),
    "float8": (
        tensors('{"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}}'),
        "'a' is of dtype F8_E4M3",
    ),
}


@pytest.mark.parametrize("spaces", range(8))
def test_arrays_are_aligned_wherever_they_lie(spaces: int, tmp_path: Path) -> None:
    data = np.array([1.5, -2], np.float32)
    (tmp_path / "x").write_bytes(tensors(f'{{"a":{ONE}}}' + spaces * " ", data.tobytes()))
    assert_same(load(tmp_path / "x"), {"a": data})


class TestHostile:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_is_refused_by_name(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        content, message = HOSTILE[name]
        (tmp_path / "hostile").write_bytes(content)
        tracemalloc.start()
        with pytest.raises(ValueError, match=message) as caught:
            load(tmp_path / "hostile")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert str(tmp_path / "hostile") in str(caught.value)
        assert peak < 2 * len(content) + 16_000_000
        assert not (tmp_path / "exploded").exists()

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            load(tmp_path / "none.npz")
        with pytest.raises(FileNotFoundError):
            save(tmp_path / "none" / "x.npz", {})
        with pytest.raises(IsADirectoryError):
            load(tmp_path)

    @SUFFIXES
    @settings(max_examples=400, deadline=None)
    @given(data=st.data())
    def test_damage_anywhere(
        self, suffix: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        path = tmp_path_factory.getbasetemp() / f"damaged.{suffix}"
        save(path, example())
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(content) - 1))
            piece = data.draw(st.binary(max_size=4))
            content[at : at + data.draw(st.integers(0, 4))] = piece
        path.write_bytes(bytes(content) or b"\0")
        with contextlib.suppress(ValueError):
            for array in load(path).values():
                array.tobytes()

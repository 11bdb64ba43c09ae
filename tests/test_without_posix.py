"""The package where there is no POSIX: a system that lacks what only Unix has, played in a process
of its own.

On Windows `os` has no fork and modules like `fcntl` cannot be imported. Here both are hidden before
the package is loaded, all of it, and used; after NumPy, which looks at `sys.platform`.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import hostile_files

HIDE = """
import importlib, mmap, os, pkgutil, signal, sys, tempfile
import numpy as np

for name in (
    "fork", "forkpty", "register_at_fork", "sched_getaffinity", "sched_setaffinity", "uname",
    "getuid", "geteuid", "getgid", "getpgid", "setsid", "chown", "fchmod", "mkfifo", "pread",
    "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_DIRECTORY", "sysconf", "statvfs",
):
    if hasattr(os, name):
        delattr(os, name)
for name in dir(mmap):
    if name.startswith(("PROT_", "MAP_", "MADV_")):
        delattr(mmap, name)
for name in ("SIGALRM", "SIGUSR1", "SIGKILL", "setitimer", "pthread_sigmask", "pthread_kill"):
    if hasattr(signal, name):
        delattr(signal, name)
unix = ("fcntl", "resource", "pwd", "grp", "termios", "tty")
for name in (*unix, "torch", "autograd", "onnxruntime"):
    sys.modules[name] = None
"""
USE = """
import lstm_native
from lstm_native import LSTM, optim
from lstm_native.__main__ import main

optional = ("bridges", "sklearn", "peers", "make_digits", "__main__")
for module in pkgutil.walk_packages(lstm_native.__path__, "lstm_native.", lambda _: None):
    if not any(word in module.name for word in optional):
        importlib.import_module(module.name)

lstm = LSTM(3, 5)
output, state, tape = lstm.record(np.ones((4, 2, 3), np.float32))
gradients = lstm.backward(tape, grad_output=np.ones_like(output))
optim.SGD(lstm.flat_parameters, lr=0.1).step(gradients.parameters)
with tempfile.TemporaryDirectory() as folder:
    for name in ("a.safetensors", "a.npz"):
        path = os.path.join(folder, name)
        lstm_native.save(path, lstm)
        assert np.array_equal(LSTM.from_file(path).weight_hh_l0, lstm.weight_hh_l0)
        assert main(["inspect", path]) == 0
    assert main(["convert", path, os.path.join(folder, "b.safetensors")]) == 0
for path in ("model.h5", "model.onnx"):
    if os.path.exists(path):
        assert lstm_native.load(path)
assert main(["info"]) == 0
print("used")
"""


def test_it_loads_and_works_where_os_has_no_fork(tmp_path: Path) -> None:
    if importlib.util.find_spec("h5py"):
        model = hostile_files.hdf5(hostile_files.ordinary)
        (tmp_path / "model.h5").write_bytes(model)
    if importlib.util.find_spec("onnx"):
        (tmp_path / "model.onnx").write_bytes(hostile_files.onnx_model("beside", length="16"))
        (tmp_path / "beside").write_bytes(bytes(16))
    done = subprocess.run(
        [sys.executable, "-c", HIDE + USE], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "used"

"""Everybody on one instruction set: ``python -m bench --isa avx2``.

Owns the settings that hold each library to it, and the list of peers that nothing holds. Libraries
read their settings when they are loaded, so the program starts itself anew with them.
"""

import os
import sys

SETTINGS = {
    "avx2": {
        "LSTM_NATIVE_ISA": "avx2",
        # torch's and OpenVINO's oneDNN, and torch's own kernels and BLAS
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
}

# Peers that choose their kernels by the CPU alone.
UNHELD = ("onnxruntime", "thinc")


def held_peers(peers: list[str], isa: str | None) -> tuple[list[str], dict[str, str]]:
    """Part the peers into those that can be held to an instruction set and the others.

    Parameters
    ----------
    peers : list of str
        Their names.
    isa : str or None
        A key of `SETTINGS`, or None to hold nobody.

    Returns
    -------
    held : list of str
        Those to measure.
    unheld : dict of str to str
        The others, with the reason.
    """
    unheld = [peer for peer in peers if isa is not None and peer in UNHELD]
    reasons = dict.fromkeys(unheld, f"no setting holds it to {isa}")
    return [peer for peer in peers if peer not in unheld], reasons


def restart(isa: str) -> None:
    """Replace this process by the same command under the settings, unless it runs under them."""
    settings = SETTINGS[isa]
    if settings.items() <= os.environ.items():
        return
    command = [sys.executable, "-m", "bench", *sys.argv[1:]]
    os.execve(sys.executable, command, os.environ | settings)

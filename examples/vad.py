"""Hear where somebody speaks, 32 ms at a time: Silero VAD, streamed.

The weights of Silero VAD (https://github.com/snakers4/silero-vad, MIT) as its package ships them,
in a TorchScript archive: four small convolutions over the magnitudes of a short Fourier transform,
in NumPy below, then an LSTM of 128 units, one `lstm_native.Stream.step` for each window. From the
root of the sources::

    pip install '.[examples]' && pip install --no-deps silero-vad && python examples/vad.py

(without ``--no-deps`` the package brings torch) prints where speech was found, and writes
``vad.png`` (the probability of speech over time) and ``vad.json``. With onnxruntime installed every
probability is compared with that of the package's own ONNX model.

Recordings: a voice and noise from Debian's alsa-utils, or any WAV files you name, at a multiple of
16 kHz.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from shipped import data_file, missing

try:
    import numpy as np
    from numpy.typing import NDArray

    import pictures
    import sound
    from lstm_native import LSTM, load
    from lstm_native.parameters import Precision, Storage
except ModuleNotFoundError as lost:
    raise missing(lost.name) from None

Floats = NDArray[np.float32]

WINDOW = 512  # samples: 32 ms
CONTEXT = 64  # samples of the window before that a window is seen with
REMEDY = "pip install --no-deps silero-vad"
STRIDES = 1, 2, 2, 1  # of the convolutions
SPEECH = 0.5  # a probability above it counts as speech
AGREEMENT = 1e-4  # with the package's own model


def convolve(x: Floats, weight: Floats, stride: int = 1, padding: int = 0) -> Floats:
    """Slide a weight (outputs, channels, K) along x (channels, steps)."""
    x = np.pad(x, ((0, 0), (padding, padding)))
    seen = np.lib.stride_tricks.sliding_window_view(x, weight.shape[-1], axis=1)[:, ::stride]
    result: Floats = np.tensordot(weight, seen, axes=([1, 2], [0, 2]))
    return result


class Detector:
    """Silero VAD on one stream of sound."""

    def __init__(
        self,
        weights: Mapping[str, Any],
        quantized: Storage | None = None,
        precision: Precision | None = None,
    ) -> None:
        # The package holds a cell, whose parameters lack the layer in their names.
        cell = {f"{name}_l0": array for name, array in weights.items() if "decoder.rnn." in name}
        self._weights = weights
        lstm = LSTM.from_state_dict(cell, prefix="_model.decoder.rnn.")
        lstm.quantized, lstm.precision = quantized, precision
        self._stream = lstm.stream()
        self._context = np.zeros(CONTEXT, np.float32)

    def features(self, window: Floats) -> Floats:
        """Reduce a window (512,), and what came before it, to a frame (128,)."""
        samples = np.pad(np.concatenate((self._context, window)), (0, CONTEXT), mode="reflect")
        self._context = window[-CONTEXT:]
        waves = convolve(
            samples[None], self._weights["_model.stft.forward_basis_buffer"], stride=128
        )
        real, imaginary = np.split(waves, 2)
        x = np.sqrt(real**2 + imaginary**2)
        for index, stride in enumerate(STRIDES):
            name = f"_model.encoder.{index}.reparam_conv"
            x = convolve(x, self._weights[f"{name}.weight"], stride, padding=1)
            x = np.maximum(x + self._weights[f"{name}.bias"][:, None], 0)
        frame: Floats = x[:, 0]
        return frame

    def speech(self, window: Floats) -> float:
        """Give the probability that somebody speaks in a window (512,)."""
        h = np.maximum(self._stream.step(self.features(window)), 0)
        name = "_model.decoder.decoder.2"
        z = self._weights[f"{name}.weight"][0, :, 0] @ h + self._weights[f"{name}.bias"][0]
        return float(1 / (1 + np.exp(-z)))

    def reset(self) -> None:
        """Forget all that was heard."""
        self._stream.reset()
        self._context = np.zeros(CONTEXT, np.float32)


def original(path: Path) -> Callable[[Floats], float] | None:
    """Make a function that hears windows through an ONNX model; None without onnxruntime."""
    try:
        import onnxruntime  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    state = np.zeros((2, 1, 128), np.float32)
    context = np.zeros(CONTEXT, np.float32)

    def speech(window: Floats) -> float:
        nonlocal state, context
        given = np.concatenate((context, window))[None]
        context = window[-CONTEXT:]
        output, state = session.run(
            None, {"input": given, "state": state, "sr": np.array(sound.RATE)}
        )
        return float(output[0, 0])

    return speech


def windows(samples: Floats) -> Floats:
    """Cut sound into windows (count, 512), the last filled up with silence."""
    count = -(-len(samples) // WINDOW)
    return np.pad(samples, (0, count * WINDOW - len(samples))).reshape(count, WINDOW)


def spans(probabilities: NDArray[Any]) -> list[tuple[float, float]]:
    """Where speech begins and ends, in seconds."""
    speaks = np.concatenate(([False], probabilities > SPEECH, [False]))
    borders = np.flatnonzero(speaks[1:] != speaks[:-1]) * WINDOW / sound.RATE
    return [(float(a), float(b)) for a, b in zip(borders[::2], borders[1::2], strict=True)]


class Heard(NamedTuple):
    """A recording, and what was heard in it."""

    name: str
    samples: Floats
    probabilities: NDArray[Any]
    difference: float | None  # from the original, the largest


def listen(path: Path, folder: Path) -> Heard:
    """Hear a WAV file window by window, with the weights in a folder."""
    samples = sound.read(path)
    detector = Detector(load(folder / "silero_vad.jit"))
    start = time.perf_counter()
    found = np.array([detector.speech(window) for window in windows(samples)])
    seconds = (time.perf_counter() - start) / max(len(found), 1)
    peer = original(folder / "silero_vad_16k_op15.onnx")
    difference = None
    if peer is not None:
        expected = np.array([peer(window) for window in windows(samples)])
        difference = float(np.abs(found - expected).max(initial=0))
    print(f"heard     {path.name}: {len(found)} windows, {seconds * 1e6:.0f} us each")
    places = ", ".join(f"{a:.2f} to {b:.2f} s" for a, b in spans(found))
    print(f"speech    {places or 'none'}; the highest probability is {found.max(initial=0):.3f}")
    return Heard(path.name, samples, found, difference)


def run(paths: list[Path], output: Path) -> dict[str, Any]:
    """Do all of it.

    Parameters
    ----------
    paths : list of Path
        WAV files; none for the two of alsa-utils.
    output : Path
        Where ``vad.png`` and ``vad.json`` go.

    Returns
    -------
    dict
        The figures, as in ``vad.json``.
    """
    folder = data_file("silero_vad", "data", remedy=REMEDY)
    given = paths or [sound.recording(name) for name in ("Front_Center.wav", "Noise.wav")]
    heard = [listen(path, folder) for path in given]
    differences = [each.difference for each in heard if each.difference is not None]
    if differences:
        print(f"agrees    with the package's ONNX model to {max(differences):.1e}")
    else:
        print("agrees    not compared: onnxruntime is not installed")
    figures = {
        "recordings": {
            each.name: {
                "seconds": round(len(each.samples) / sound.RATE, 2),
                "windows": len(each.probabilities),
                "speech": [[round(a, 2), round(b, 2)] for a, b in spans(each.probabilities)],
                "highest": round(float(each.probabilities.max(initial=0)), 3),
            }
            for each in heard
        },
        "difference": float(f"{max(differences):.1e}") if differences else None,
    }
    output.mkdir(parents=True, exist_ok=True)
    pictures.vad(
        output / "vad.png",
        [(each.name, each.samples, each.probabilities) for each in heard],
        sound.RATE,
        SPEECH,
    )
    (output / "vad.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"written   {output / 'vad.png'}, {output / 'vad.json'}")
    return figures


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 1 if a probability is not that of the package's own model, else 0."""
    parser = argparse.ArgumentParser(description="Hear where somebody speaks, 32 ms at a time.")
    parser.add_argument("wav", nargs="*", type=Path, help="recordings (default: of alsa-utils)")
    parser.add_argument(
        "--output", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)"
    )
    given = parser.parse_args(arguments)
    figures = run(given.wav, given.output)
    return 0 if (figures["difference"] or 0) <= AGREEMENT else 1


if __name__ == "__main__":
    sys.exit(main())

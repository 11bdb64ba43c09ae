"""Tell voices apart: the speaker encoder of Resemblyzer, from its own checkpoint, without torch.

Three LSTM layers of 256 units read 40 mel channels every 10 ms; a linear layer turns the last h
into the direction of a voice in 256 dimensions (generalized end-to-end loss: Wan, Wang, Papir and
Lopez Moreno 2018). Weights: https://github.com/resemble-ai/Resemblyzer (Apache 2.0), a file in
torch's form of before 1.6, which `lstm_native` reads by itself. From the root of the sources::

    pip install '.[examples]' && pip install --no-deps resemblyzer && python examples/speaker.py

(without ``--no-deps`` the package brings torch) prints how alike the voices in some recordings are,
and writes ``speaker.png`` (all pairs) and ``speaker.json``. With torch installed every embedding is
compared with that of torch's LSTM.

Recordings: one voice, and noise, from Debian's alsa-utils, or any WAV files you name, at a multiple
of 16 kHz. As a second voice each is also played a third faster, which moves its pitch.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shipped import data_file, missing

try:
    import numpy as np
    from numpy.typing import NDArray

    import pictures
    import sound
    from lstm_native import LSTM, load
except ModuleNotFoundError as lost:
    raise missing(lost.name) from None

Floats = NDArray[np.float32]

REMEDY = "pip install --no-deps resemblyzer"
SPOKEN = [f"{place}.wav" for place in ("Front_Center", "Front_Left", "Rear_Right", "Side_Left")]
CHANNELS = 40
WINDOW, HOP = 400, 160  # samples: 25 and 10 ms
PART = 160  # frames that are embedded at once: 1.6 s
LOUDNESS = 10 ** (-30 / 20)  # what softer recordings are raised to, root mean square
FASTER = 4 / 3
AGREEMENT = 1e-5  # with torch


def mel_filters() -> NDArray[Any]:
    """Triangles over the 201 frequencies, (40, 201): Slaney's scale, each of area one.

    The scale is linear below 1 kHz, three steps for 200 Hz, and logarithmic above.
    """
    bend = 15.0  # steps at 1 kHz
    octave = 27 / np.log(6.4)
    top = bend + octave * np.log(sound.RATE / 2 / 1000)
    steps = np.linspace(0, top, CHANNELS + 2)
    corners = np.where(steps < bend, steps * 200 / 3, 1000 * np.exp((steps - bend) / octave))
    at = np.linspace(0, sound.RATE / 2, WINDOW // 2 + 1)
    left, middle, right = (corners[i : i + CHANNELS, None] for i in range(3))
    triangles = np.minimum((at - left) / (middle - left), (right - at) / (right - middle))
    filters: NDArray[Any] = np.maximum(triangles, 0) * 2 / (right - left)
    return filters


def mels(samples: Floats) -> Floats:
    """The power in each mel channel every 10 ms, (frames, 40)."""
    padded = np.pad(samples, WINDOW // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    power = np.abs(np.fft.rfft(windows * hann)) ** 2
    channels: Floats = (power @ mel_filters().T).astype(np.float32)
    return channels


def parts(samples: Floats) -> Floats:
    """Cut a recording into overlapping parts of 1.6 s, (N, 160, 40); silence fills up the last."""
    loudness = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    if 0 < loudness < LOUDNESS:
        samples = samples * np.float32(LOUDNESS / loudness)
    length = PART * HOP
    halves = max(-(-(len(samples) - length) // (length // 2)), 0)
    samples = np.pad(samples, (0, length + halves * length // 2 - len(samples)))
    frames = mels(samples)
    return np.stack([frames[i * PART // 2 :][:PART] for i in range(halves + 1)])


class Encoder:
    """Resemblyzer's encoder."""

    def __init__(self, path: Path) -> None:
        state = load(path)
        self.lstm = LSTM.from_state_dict(state, prefix="model_state.lstm.", batch_first=True)
        self.weight, self.bias = (state[f"model_state.linear.{n}"] for n in ("weight", "bias"))

    def voices(self, h: Floats) -> Floats:
        """Turn the last layer's h (N, 256) into embeddings of length one."""
        raw = np.maximum(h @ self.weight.T + self.bias, 0)
        unit: Floats = raw / np.linalg.norm(raw, axis=-1, keepdims=True)
        return unit

    def __call__(self, given: Floats) -> Floats:
        """Embed the parts of a recording, (N, 160, 40), each by itself: (N, 256)."""
        _, (h, _) = self.lstm(given)
        return self.voices(h[-1])


def voice(embeddings: Floats) -> Floats:
    """The one direction (256,) of the parts of a recording."""
    mean = embeddings.mean(axis=0)
    unit: Floats = mean / np.linalg.norm(mean)
    return unit


def difference(encoder: Encoder, given: Floats) -> float | None:
    """The largest difference of embeddings from torch's; None without torch."""
    try:
        import torch
    except ModuleNotFoundError:
        return None
    lstm = encoder.lstm
    peer = torch.nn.LSTM(lstm.input_size, lstm.hidden_size, lstm.num_layers, batch_first=True)
    peer.load_state_dict({k: torch.tensor(v) for k, v in lstm.state_dict().items()})
    with torch.no_grad():
        _, (h, _) = peer(torch.from_numpy(given))
    return float(np.abs(encoder(given) - encoder.voices(h[-1].numpy())).max())


def alike(voices: Mapping[str, Floats]) -> NDArray[Any]:
    """The cosine of the angle between every two voices."""
    directions = np.stack(list(voices.values())).astype(np.float64)
    cosines: NDArray[Any] = directions @ directions.T
    return cosines


def faster(samples: Floats) -> Floats:
    """Play a recording faster, its pitch raised alike."""
    at = np.arange(0, len(samples) - 1, FASTER)
    played: Floats = np.interp(at, np.arange(len(samples)), samples).astype(np.float32)
    return played


def run(paths: list[Path], output: Path) -> dict[str, Any]:
    """Do all of it.

    Parameters
    ----------
    paths : list of Path
        WAV files; none for some of alsa-utils.
    output : Path
        Where ``speaker.png`` and ``speaker.json`` go.

    Returns
    -------
    dict
        The figures, as in ``speaker.json``.
    """
    encoder = Encoder(data_file("resemblyzer", "pretrained.pt", remedy=REMEDY))
    given = paths or [sound.recording(name) for name in (*SPOKEN, "Noise.wav")]
    recordings = {path.stem: sound.read(path) for path in given}
    recordings |= {f"{name}, faster": faster(samples) for name, samples in recordings.items()}
    cut = {name: parts(samples) for name, samples in recordings.items()}
    voices = {name: voice(encoder(each)) for name, each in cut.items()}
    differs = difference(encoder, np.concatenate(list(cut.values())))
    print(f"heard     {len(voices)} recordings with {encoder.lstm}")
    cosines = alike(voices)
    width = max(map(len, voices))
    for name, row in zip(voices, cosines, strict=True):
        print(f"          {name:<{width}} " + " ".join(f"{cosine:.2f}" for cosine in row))
    if differs is None:
        print("agrees    not compared: torch is not installed")
    else:
        print(f"agrees    with torch to {differs:.1e}")
    figures = {
        "recordings": list(voices),
        "alike": [[round(float(cosine), 3) for cosine in row] for row in cosines],
        "difference": None if differs is None else float(f"{differs:.1e}"),
    }
    output.mkdir(parents=True, exist_ok=True)
    pictures.speaker(output / "speaker.png", list(voices), cosines)
    (output / "speaker.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"written   {output / 'speaker.png'}, {output / 'speaker.json'}")
    return figures


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 1 if an embedding is not that of torch's LSTM, else 0."""
    parser = argparse.ArgumentParser(description="Tell voices apart.")
    parser.add_argument("wav", nargs="*", type=Path, help="recordings (default: of alsa-utils)")
    parser.add_argument(
        "--output", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)"
    )
    given = parser.parse_args(arguments)
    figures = run(given.wav, given.output)
    return 0 if (figures["difference"] or 0) <= AGREEMENT else 1


if __name__ == "__main__":
    sys.exit(main())

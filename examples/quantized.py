"""What rounding costs where it counts: three models in float32, with weights quantized to bfloat16
and to int8, and at the precision "medium".

The demo's reader of handwritten digits (trained here, accuracy on held-out digits), Silero VAD
(decisions on windows of sound, ``vad.py``) and Resemblyzer's speaker encoder (whose voice is the
closest to a recording's, ``speaker.py``). From the root of the sources::

    pip install '.[examples]' && pip install --no-deps silero-vad resemblyzer
    python examples/quantized.py

prints one line for each, and writes ``quantized.json``.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shipped import data_file, missing

try:
    import numpy as np
    from numpy.typing import NDArray

    import sound
    import speaker
    import vad
    from lstm_native import load
    from lstm_native.demo import digits
    from lstm_native.demo.reader import DigitReader
    from lstm_native.demo.training import train
    from lstm_native.parameters import Precision, Storage
except ModuleNotFoundError as lost:
    raise missing(lost.name) from None

# By the names of the lines: what a network is set to.
SETTINGS: dict[str, tuple[Storage | None, Precision]] = {
    "float32": (None, "highest"),
    "bfloat16": ("bfloat16", "highest"),
    "int8": ("int8", "highest"),
    "medium": (None, "medium"),
}
EPOCHS = 30


def reader_accuracy() -> Iterator[dict[str, Any]]:
    """Train the demo's reader once; held-out digits read right, and read otherwise, by setting."""
    training, held_out = digits.split(digits.load())
    reader = DigitReader.random(seed=0)
    train(reader, training, epochs=EPOCHS, seed=0, report=lambda loss: None)
    exact: NDArray[Any] | None = None
    for setting in SETTINGS.values():
        reader.lstm.quantized, reader.lstm.precision = setting
        found = reader.read(held_out.images).digit
        exact = found if exact is None else exact
        right = int(np.count_nonzero(found == held_out.labels))
        turned = int(np.count_nonzero(found != exact))
        yield {"right": right, "turned": turned, "of": len(found)}


def hearing() -> Iterator[dict[str, Any]]:
    """How far probabilities of speech move, and how many decisions with them, by setting."""
    folder = data_file("silero_vad", "data", remedy=vad.REMEDY)
    weights = load(folder / "silero_vad.jit")
    recordings = [sound.read(sound.recording(f"{name}.wav")) for name in ("Front_Center", "Noise")]
    exact = None
    for storage, precision in SETTINGS.values():
        heard = []
        for samples in recordings:
            detector = vad.Detector(weights, storage, precision)
            heard += [detector.speech(window) for window in vad.windows(samples)]
        found = np.array(heard)
        exact = found if exact is None else exact
        turned = int(np.count_nonzero((found > vad.SPEECH) != (exact > vad.SPEECH)))
        difference = float(f"{np.abs(found - exact).max():.1e}")
        yield {"difference": difference, "turned": turned, "windows": len(found)}


def voices() -> Iterator[dict[str, Any]]:
    """Recordings whose closest other is of the same voice, and how far cosines move, by setting.

    Two voices: one, and the same a third faster.
    """
    encoder = speaker.Encoder(data_file("resemblyzer", "pretrained.pt", remedy=speaker.REMEDY))
    recordings = {name: sound.read(sound.recording(name)) for name in speaker.SPOKEN}
    recordings |= {f"{name}, faster": speaker.faster(s) for name, s in recordings.items()}
    cut = {name: speaker.parts(samples) for name, samples in recordings.items()}
    speakers = np.array([name.endswith("faster") for name in cut])
    exact: NDArray[Any] | None = None
    for setting in SETTINGS.values():
        encoder.lstm.quantized, encoder.lstm.precision = setting
        cosines = speaker.alike({n: speaker.voice(encoder(each)) for n, each in cut.items()})
        exact = cosines if exact is None else exact
        closest = np.where(np.eye(len(cut), dtype=bool), -1, cosines).argmax(axis=1)
        right = int(np.count_nonzero(speakers[closest] == speakers))
        difference = float(f"{np.abs(cosines - exact).max():.1e}")
        yield {"difference": difference, "right": right, "of": len(cut)}


def run(output: Path) -> dict[str, Any]:
    """Do all of it.

    Parameters
    ----------
    output : Path
        Where ``quantized.json`` goes.

    Returns
    -------
    dict
        The figures, as in ``quantized.json``: by model, by setting.
    """
    models = {"digits": reader_accuracy(), "vad": hearing(), "speaker": voices()}
    figures = {model: dict(zip(SETTINGS, found, strict=True)) for model, found in models.items()}
    for name in SETTINGS:
        read, heard, told = (figures[model][name] for model in models)
        print(
            f"{name:<9} {read['right']} of {read['of']} digits, {read['turned']} turned; "
            f"speech to {heard['difference']:.0e}, {heard['turned']} of {heard['windows']} "
            f"decisions turned; {told['right']} of {told['of']} voices, "
            f"cosines to {told['difference']:.0e}"
        )
    output.mkdir(parents=True, exist_ok=True)
    path = output / "quantized.json"
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(f"written   {path}")
    return figures


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description="What rounding costs where it counts.")
    parser.add_argument(
        "--output", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)"
    )
    run(parser.parse_args(arguments).output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

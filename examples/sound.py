"""Recordings as the models want them: 16,000 samples a second, one channel, float32.

Owns WAV files and sampling rates. Must not know what is heard in them.
"""

import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

RATE = 16_000
WIDEST = 32  # zero crossings of the filter's sinc on either side
RECORDINGS = Path("/usr/share/sounds/alsa")  # of Debian's alsa-utils


def recording(name: str) -> Path:
    """Find one of the recordings that come with Debian's alsa-utils.

    Raises
    ------
    SystemExit
        It is not there; the message says what to do.
    """
    path = RECORDINGS / name
    if not path.exists():
        raise SystemExit(
            f"error: {path} is needed; apt-get install alsa-utils brings it, or name WAV files"
        )
    return path


def read(path: Path) -> Samples:
    """Read a WAV file of 16-bit samples, from -1 to 1; channels are averaged.

    Raises
    ------
    SystemExit
        Its samples have another width, or its rate is no multiple of 16,000.
    """
    with wave.open(str(path)) as file:
        rate, width, channels = file.getframerate(), file.getsampwidth(), file.getnchannels()
        data = file.readframes(file.getnframes())
    if width != 2 or rate % RATE:
        raise SystemExit(
            f"error: {path} has {8 * width}-bit samples at {rate} Hz; they should be 16-bit at a "
            f"multiple of {RATE} Hz"
        )
    samples = np.frombuffer(data, "<i2").reshape(-1, channels).mean(axis=1) / 2**15
    return decimated(samples, rate // RATE)


def decimated(samples: NDArray[Any], factor: int) -> Samples:
    """Keep one sample of `factor`, after what a lower rate cannot hold has been filtered out."""
    if factor > 1:
        # A sinc that cuts a little below the new Nyquist frequency, under a Hamming window.
        at = np.arange(-WIDEST * factor, WIDEST * factor + 1)
        low_pass = np.sinc(0.95 * at / factor) * np.hamming(len(at))
        samples = np.convolve(samples, low_pass / low_pass.sum(), mode="same")[::factor]
    return samples.astype(np.float32)

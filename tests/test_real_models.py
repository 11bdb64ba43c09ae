"""The examples with models that others trained: what they compute is what the models' own
frameworks compute, recordings are read right, and the docs hold the committed figures."""

import importlib.util
import json
import os
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import shipped
import sound
import speaker
import vad

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
TEXT = (ROOT / "docs" / "streaming.md").read_text(encoding="utf-8")


def needs(package: str) -> None:
    if not importlib.util.find_spec(package):
        pytest.skip(f"{package} is not installed")


def result(name: str) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads((EXAMPLES / "results" / f"{name}.json").read_text())
    return figures


def write(path: Path, samples: Any, rate: int = 16_000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.asarray(samples) * 32767).astype("<i2").tobytes())
    return path


def babble(rng: np.random.Generator, seconds: float) -> Any:
    """Something like a voice: a falling tone with overtones, in syllables, under noise."""
    at = np.arange(int(seconds * 16_000)) / 16_000
    phase = 2 * np.pi * np.cumsum(140 - 20 * at) / 16_000
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    loud = np.clip(np.sin(2 * np.pi * 3 * at), 0, 1)
    return np.clip(0.2 * tone * loud + 0.01 * rng.standard_normal(len(at)), -1, 1)


# --- recordings ---


def test_sound_comes_at_16_khz_on_one_channel(tmp_path: Path) -> None:
    at = np.arange(48_000) / 48_000
    low = 0.5 * np.sin(2 * np.pi * 1000 * at)
    high = 0.4 * np.sin(2 * np.pi * 15_000 * at)  # would be heard at 1 kHz
    both = np.stack((low + high, np.zeros_like(low)), axis=1)
    samples = sound.read(write(tmp_path / "a.wav", both, 48_000, 2))
    assert samples.dtype == np.float32
    expected = 0.25 * np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(samples[100:-100], expected[100:-100], atol=2e-3)


@pytest.mark.parametrize("rate", [44_100, 8_000])
def test_rates_that_are_refused(rate: int, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=f"{rate} Hz; they should be 16-bit at a multiple"):
        sound.read(write(tmp_path / "a.wav", np.zeros(10), rate))


def test_missing_recordings_and_models_are_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sound, "RECORDINGS", tmp_path)
    with pytest.raises(SystemExit, match=r"Noise.wav is needed; apt-get install alsa-utils"):
        sound.recording("Noise.wav")
    with pytest.raises(SystemExit, match=r"no_such is needed; pip install --no-deps silero-vad"):
        shipped.data_file("no_such", remedy=vad.REMEDY)


# --- speech ---


def test_convolution_against_its_definition(rng: np.random.Generator) -> None:
    x, weight = rng.normal(size=(2, 9)), rng.normal(size=(3, 2, 4))
    padded = np.pad(x, ((0, 0), (1, 1)))
    expected = [[np.sum(w * padded[:, at : at + 4]) for at in range(0, 8, 2)] for w in weight]
    np.testing.assert_allclose(vad.convolve(x, weight, 2, 1), expected)


def test_every_probability_is_that_of_the_onnx_model(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    needs("silero_vad")
    pytest.importorskip("onnxruntime")
    paths = [write(tmp_path / "voice.wav", babble(rng, 3)), write(tmp_path / "none.wav", [0] * 900)]
    done = subprocess.run(
        [sys.executable, EXAMPLES / "vad.py", *paths, "--output", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "vad.json").read_text())
    assert figures["difference"] < 1e-5
    assert figures["recordings"]["voice.wav"]["windows"] == 94
    assert figures["recordings"]["none.wav"] == {
        "seconds": 0.06, "windows": 2, "speech": [],
        "highest": figures["recordings"]["none.wav"]["highest"],
    }  # fmt: skip
    assert (tmp_path / "vad.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_a_detector_forgets(rng: np.random.Generator) -> None:
    needs("silero_vad")
    detector = vad.Detector(vad.load(shipped.data_file("silero_vad", "data", "silero_vad.jit")))
    heard = vad.windows(babble(rng, 1).astype(np.float32))
    first = [detector.speech(window) for window in heard]
    other = [detector.speech(window) for window in heard]
    detector.reset()
    assert [detector.speech(window) for window in heard] == first
    assert other != first


def test_spans_of_speech() -> None:
    assert vad.spans(np.array([0.9, 0.1, 0.6, 0.7])) == [(0, 0.032), (0.064, 0.128)]
    assert vad.spans(np.array([])) == []


# --- voices ---


def test_embeddings_are_those_of_torch(tmp_path: Path, rng: np.random.Generator) -> None:
    needs("resemblyzer")
    pytest.importorskip("torch")
    paths = [write(tmp_path / f"{n}.wav", babble(rng, n)) for n in (1, 4)]
    figures = speaker.run(paths, tmp_path)
    assert figures["difference"] < 1e-5
    assert figures["recordings"] == ["1", "4", "1, faster", "4, faster"]
    cosines = np.array(figures["alike"])
    np.testing.assert_allclose(np.diag(cosines), 1, atol=1e-3)


def test_parts_overlap_by_half(rng: np.random.Generator) -> None:
    samples = babble(rng, 3.3).astype(np.float32)
    cut = speaker.parts(samples)
    assert cut.shape == (4, 160, 40)
    np.testing.assert_array_equal(cut[1, :80], cut[0, 80:])
    assert speaker.parts(samples[:10]).shape == (1, 160, 40)


def test_mel_channels_see_their_tones() -> None:
    filters = speaker.mel_filters()
    assert filters.shape == (40, 201)
    at = np.arange(16_000) / 16_000
    seen = [
        int(speaker.mels(np.sin(2 * np.pi * tone * at).astype(np.float32)).sum(axis=0).argmax())
        for tone in (300, 1000, 3000, 7000)
    ]
    assert seen == sorted(set(seen))
    middles = filters.argmax(axis=1) * 40
    for tone, channel in zip((300, 1000, 3000, 7000), seen, strict=True):
        assert abs(middles[channel] - tone) <= 0.05 * tone + 40
    # Above the width of a frequency's bin each triangle has an area of one.
    np.testing.assert_allclose(filters[20:].sum(axis=1) * 40, 1, rtol=0.05)


# --- docs/streaming.md ---


@pytest.mark.parametrize(("name", "package"), [("vad", "silero-vad"), ("speaker", "resemblyzer")])
def test_commands_in_the_docs(name: str, package: str) -> None:
    line = f"pip install '.[examples]' && pip install --no-deps {package} && "
    line += f"python examples/{name}.py"
    assert line in (EXAMPLES / f"{name}.py").read_text()
    assert line in TEXT
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", "--help"],
        env=os.environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "--output" in done.stdout


@pytest.mark.parametrize("name", ["vad", "speaker", "ocr"])
def test_pictures_in_the_docs(name: str) -> None:
    picture = (ROOT / "docs" / f"{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture) < 100_000
    assert f"]({name}.png)" in TEXT


def test_speech_in_the_docs_is_the_committed_one() -> None:
    figures = result("vad")
    assert f"agree to {figures['difference']:.1e}" in TEXT
    voice, noise = (figures["recordings"][f"{n}.wav"] for n in ("Front_Center", "Noise"))
    places = " and ".join(f"from {a:.2f} to {b:.2f} s" for a, b in voice["speech"])
    assert places in TEXT
    assert not noise["speech"]
    assert f"at most {noise['highest']:.3f}" in TEXT


def test_voices_in_the_docs_are_the_committed_ones() -> None:
    figures = result("speaker")
    assert f"agree to {figures['difference']:.1e}" in TEXT
    cosines, names = np.array(figures["alike"]), figures["recordings"]
    spoken = [i for i, name in enumerate(names) if "Noise" not in name and "faster" not in name]
    quick = [i for i, name in enumerate(names) if "Noise" not in name and "faster" in name]
    pairs = cosines[np.ix_(spoken, spoken)][np.triu_indices(len(spoken), 1)]
    assert f"{pairs.min():.2f} to {pairs.max():.2f}" in TEXT
    across = cosines[np.ix_(spoken, quick)]
    assert f"{across.min():.2f} to {across.max():.2f}" in TEXT
    assert f"{cosines[np.ix_(spoken, [names.index('Noise')])].max():.2f} at most" in TEXT

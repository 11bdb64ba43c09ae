"""The demo as its user meets it: a command, its figures, its files, its end."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lstm_native
from lstm_native.__main__ import main
from lstm_native._head import Head, cross_entropy
from lstm_native._progress import progress
from lstm_native.demo import digits, picture, serving
from lstm_native.demo.reader import DigitReader
from lstm_native.demo.training import train

COMMAND = [sys.executable, "-m", "lstm_native", "demo"]


def run(*options, **environment):
    return subprocess.run(
        [*COMMAND, *map(str, options)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def figures(text):
    """The loss and the accuracy: what must repeat, unlike the times."""
    return re.findall(r"loss \S+|accuracy .*", text)


@pytest.fixture(scope="module")
def held_out():
    return digits.split(digits.load())[1]


@pytest.fixture(scope="module")
def taught():
    reader = DigitReader.random(5)
    training, _ = digits.split(digits.load())
    train(reader, training, epochs=1, seed=5, report=lambda loss: None)
    return reader


def test_default_run_reads_97_percent(tmp_path):
    done = run("--output", tmp_path)
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    found = re.fullmatch(r"accuracy ([\d.]+)% of the held-out digits \((\d+) right\)", last)
    assert found is not None, last
    assert float(found[1]) >= 97.0
    assert float(found[1]) == round(100 * int(found[2]) / 355, 2)
    assert "bits     the same" in done.stdout
    assert (tmp_path / "digits.safetensors").exists()


def test_same_seed_same_figures_whatever_the_threads(tmp_path):
    runs = {}
    for name, seed, threads in [("a", 3, 1), ("b", 3, 2), ("c", 4, 2)]:
        options = ("--epochs", 2, "--seed", seed, "--output", tmp_path / name)
        done = run(
            *options, LSTM_NATIVE_NUM_THREADS=f"{threads}", OPENBLAS_NUM_THREADS=f"{threads}"
        )
        assert done.returncode == 0, done.stderr
        runs[name] = (figures(done.stdout), (tmp_path / name / "digits.safetensors").read_bytes())
    assert len(runs["a"][0]) == 2
    assert runs["a"] == runs["b"]
    assert runs["a"] != runs["c"]


def test_file_holds_both_parts(taught, tmp_path):
    taught.save(tmp_path / "digits.safetensors")
    state = lstm_native.load(tmp_path / "digits.safetensors")
    assert {name.split(".")[0] for name in state} == {"lstm", "head"}
    assert state["lstm.weight_hh_l0_reverse"].shape == (256, 64)
    assert state["head.weight"].shape == (10, 128)


def test_reloaded_model_is_the_same(taught, held_out, tmp_path):
    taught.save(tmp_path / "digits.safetensors")
    loaded = DigitReader.load(tmp_path / "digits.safetensors")
    for part in ("lstm", "head"):
        before, after = getattr(taught, part).state_dict(), getattr(loaded, part).state_dict()
        assert list(before) == list(after)
        assert all(before[name].tobytes() == after[name].tobytes() for name in before)
    before, after = taught.read(held_out.images), loaded.read(held_out.images)
    assert before.output.tobytes() == after.output.tobytes()
    assert np.array_equal(before.digit, after.digit)


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is not a signal there")
def test_ctrl_c_ends_it_with_one_line_and_no_files(tmp_path):
    process = subprocess.Popen(
        [*COMMAND, "--epochs", "1000000", "--output", tmp_path],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A test run started in the background ignores SIGINT, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stderr.readline().startswith("epoch")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 130
    lines = [line for line in errors.splitlines() if not line.startswith("epoch")]
    assert lines == ["interrupted"]
    assert list(tmp_path.iterdir()) == []


def test_different_bits_are_seen_and_fail_the_command(monkeypatch, tmp_path, capsys):
    true_answer = serving.as_a_batch

    def one_bit_off(reader, images):
        served = true_answer(reader, images)
        output = served.output.copy()
        output[7, 3, 1] = np.nextafter(output[7, 3, 1], np.float32(2))
        return served._replace(output=output)

    monkeypatch.setattr(serving, "as_a_batch", one_bit_off)
    options = ["demo", "--epochs", "1", "--no-progress", "--output", str(tmp_path)]
    assert main(options) == 1
    assert "DIFFERENT" in capsys.readouterr().out
    monkeypatch.undo()
    assert main(options) == 0
    assert "DIFFERENT" not in capsys.readouterr().out


def test_same_bits_looks_at_everything(taught, held_out):
    served = serving.one_at_a_time(taught, held_out.images[:9])
    assert serving.same_bits(served, serving.as_a_batch(taught, held_out.images[:9]))
    zero, minus_zero = np.zeros((1, 8, 128), np.float32), np.full((1, 8, 128), -0.0, np.float32)
    one = served._replace(output=zero)
    assert not serving.same_bits(one, one._replace(output=minus_zero))
    assert not serving.same_bits(one, one._replace(output=zero.astype(np.float64)))
    assert not serving.same_bits(one, one._replace(output=zero.reshape(8, 1, 128)))
    assert not serving.same_bits(one, one._replace(digits=one.digits + 1))


def test_without_matplotlib_the_picture_is_text(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["demo", "--epochs", "1", "--no-progress", "--output", str(tmp_path)]) == 0
    assert "@@" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["digits.safetensors"]


def test_text_picture(held_out):
    labels = held_out.labels
    lines = picture.text(held_out, np.where(np.arange(len(labels)) == 1, 10, labels)).splitlines()
    assert len(lines) == 9
    assert re.findall(r"\d+ \(is \d\)|\d+", lines[-1]) == [
        f"{labels[0]}",
        f"10 (is {labels[1]})",
        f"{labels[2]}",
        f"{labels[3]}",
    ]


def test_png_picture(held_out):
    pytest.importorskip("matplotlib")
    assert picture.png(held_out, held_out.labels).startswith(b"\x89PNG\r\n\x1a\n")


def test_progress_in_lines(capsys):
    with progress(3, shown=True) as report:
        for loss in (3.0, 2.0, 1.0):
            report(loss=loss)
    assert capsys.readouterr().err.splitlines()[-1] == "epoch   3 of 3: loss 1.0000"
    with progress(3, shown=False) as report:
        report(loss=1.0)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("weights", [None, np.array([0.5, 0, 2, 1])])
def test_head_gradients_are_the_derivatives(weights):
    generator = np.random.default_rng(1)
    arrays = {
        "features": generator.normal(size=(4, 6)),
        "weight": generator.normal(size=(10, 6)),
        "bias": generator.normal(size=10),
    }
    labels = np.array([0, 9, 3, 3])

    def loss():
        head = Head(arrays["weight"], arrays["bias"])
        loss, grad_scores = cross_entropy(head.scores(arrays["features"]), labels, weights)
        return loss, head.backward(arrays["features"], grad_scores)

    _, gradients = loss()
    for name, array in arrays.items():
        numeric = np.empty_like(array)
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + 1e-5
            above, _ = loss()
            array[index] = kept - 1e-5
            below, _ = loss()
            array[index] = kept
            numeric[index] = (above - below) / 2e-5
        np.testing.assert_allclose(getattr(gradients, name), numeric, rtol=1e-6, atol=1e-9)


def test_data_is_that_of_sklearn():
    pytest.importorskip("sklearn")
    from lstm_native.demo.make_digits import digits_of_sklearn

    with np.load(Path(digits.__file__).with_name("digits.npz")) as shipped:
        made = digits_of_sklearn()
        assert sorted(shipped) == sorted(made)
        for name, array in made.items():
            assert shipped[name].dtype == np.uint8
            np.testing.assert_array_equal(shipped[name], array)


def test_data_is_small_and_scaled():
    assert Path(digits.__file__).with_name("digits.npz").stat().st_size <= 60_000
    images, labels = digits.load()
    assert images.shape == (1797, 8, 8)
    assert images.dtype == np.float32
    assert (images.min(), images.max()) == (0, 1)
    assert np.array_equal(np.unique(labels), np.arange(10))


def test_split_gives_every_digit_its_share():
    training, held_out = digits.split(digits.load())
    assert (len(training.labels), len(held_out.labels)) == (1442, 355)
    shares = np.bincount(held_out.labels) / np.bincount(digits.load().labels)
    assert np.all(np.abs(shares - 0.2) < 0.005)
    both = np.concatenate((training.images, held_out.images))
    assert sorted(image.tobytes() for image in both) == sorted(
        image.tobytes() for image in digits.load().images
    )


@pytest.mark.parametrize("options", [["--epochs", "0"], ["--seed", "-1"], ["--epochs", "many"]])
def test_senseless_options_are_refused(options, capsys):
    with pytest.raises(SystemExit) as refused:
        main(["demo", *options])
    assert refused.value.code == 2
    assert options[0] in capsys.readouterr().err


def test_unusable_output_is_an_error_line(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["demo", "--output", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_info_shows_the_configuration(capsys):
    assert main(["info"]) == 0
    assert capsys.readouterr().out.strip() != ""

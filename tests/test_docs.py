"""The documentation site, as far as it can be held without building it: ``nox -s docs`` does that.

Every page is reached from the front page, links between the sources lead somewhere, every line of
C++ that a page shows is there, the programs and examples of pages run, and so do the examples of
docstrings.
"""

import doctest
import importlib
import inspect
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import lstm_native
from bench import report, sizes
from lstm_native import optim

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    path for path in DOCS.rglob("*.md") if path.relative_to(DOCS).parts[0][0] not in "._"
)
SCRIPTS = sorted([*DOCS.glob("learn/*.py"), *DOCS.glob("gallery/*.py")])
TOCTREE = re.compile(r"^```\{toctree\}\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHOWN = re.compile(r"\.\. literalinclude:: (\S+)\n((?:# +:.*\n)*)")
OPTION = re.compile(r":(start-at|end-at|end-before|start-after): (.*)")


def site(name: str) -> ModuleType:
    """A module of what the build computes."""
    if str(DOCS) not in sys.path:
        sys.path.insert(0, str(DOCS))
    return importlib.import_module(f"_site.{name}")


def listed(page: Path) -> set[Path]:
    """The pages a page has in its toctrees."""
    entries = "".join(TOCTREE.findall(page.read_text(encoding="utf-8"))).splitlines()
    names = [re.sub(r".*<(.*)>", r"\1", entry) for entry in entries if not entry.startswith(":")]
    return {page.parent / f"{name}.md" for name in names if name}


def test_every_page_is_reached_from_the_front_page() -> None:
    reached, front = set(), [DOCS / "index.md"]
    while front:
        page = front.pop()
        reached.add(page)
        front += [each for each in listed(page) if each.exists() and each not in reached]
    assert set(PAGES) == reached
    missing = {each for page in reached for each in listed(page) if not each.exists()}
    built = {"_built/learn/index.md", "_built/gallery/index.md", "api/index.md"}
    assert missing == {DOCS / name for name in built}


LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", [*PAGES, *ROOT.glob("*.md")], ids=lambda path: path.name)
def test_links_between_the_sources_lead_somewhere(page: Path) -> None:
    """As a forge shows them: nothing that only a build makes."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for link in LINK.findall(text):
        assert (page.parent / link).exists(), link
        assert "_built" not in link
    assert page.name == "index.md" or not re.search(r"\{(doc|ref)\}`", text)


def test_links_to_programs_become_links_to_pages() -> None:
    links = site("links")
    text = "a [b](../CONTRIBUTING.md#c) and [d](learn/1_e.py)\n\n[f](gallery/2_g.py)\n"
    shown = links.rewritten(text)
    assert "[b](project/contributing.md#c)" in shown
    assert "[d](_built/learn/1_e.rst)" in shown
    assert "{figure} _built/gallery/images/sphx_glr_2_g_001.png\n:alt: f\n" in shown
    assert "[f](_built/gallery/2_g.rst)" in shown
    assert links.rewritten("[a](files.md)") == "[a](files.md)"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_code_that_a_page_shows_is_there(script: Path) -> None:
    shown = SHOWN.findall(script.read_text(encoding="utf-8"))
    for name, options in shown:
        path = DOCS / name.lstrip("/")
        text = path.read_text(encoding="utf-8")
        for option, words in OPTION.findall(options):
            assert words in text, f"{script.name}: {path.name} has no {option} {words!r}"
            text = text[text.index(words) + len(words) :]
    assert shown or script.parent.name == "gallery"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_what_a_page_to_learn_from_asserts(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.setattr(pyplot, "show", lambda: None)
    (script,) = DOCS.glob(f"learn/{number}_*.py")
    pyplot.switch_backend("agg")
    try:
        runpy.run_path(str(script))
        assert pyplot.get_fignums()
    finally:
        pyplot.close("all")


def test_the_other_gate_can_be_applied(tmp_path: Path) -> None:
    """docs/learn/coupled.diff fits the sources, and its NumPy half has the derivative it says.

    ``nox -s other_gate`` builds the other half.
    """
    if shutil.which("git") is None:
        pytest.skip("no git")
    for name in ("cpp/kernels/cell.hpp", "tests/reference.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, tmp_path / name)
    command = ["git", "apply", str(DOCS / "learn" / "coupled.diff")]
    # In a folder of some repository git would leave out what is not in it, and be content.
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"GIT_CEILING_DIRECTORIES": str(tmp_path.parent)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    names = runpy.run_path(str(tmp_path / "tests" / "reference.py"))
    forward, backward = names["forward"], names["backward"]

    rng = np.random.default_rng(0)
    shapes = {"weight_ih_l0": (8, 3), "weight_hh_l0": (8, 2), "bias_ih_l0": 8, "bias_hh_l0": 8}
    parameters = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    x, dy = rng.standard_normal((4, 2, 3)), rng.standard_normal((4, 2, 2))
    run = forward(parameters, x)
    for step in run.scans[0]:
        assert np.array_equal(step.gates[0] + step.gates[1], np.ones((2, 2)))
    for name, gradient in backward(run, dy).parameters.items():
        sums = []
        for sign in (1, -1):
            moved = parameters | {name: parameters[name] + sign * 1e-6}
            sums.append((forward(moved, x).output * dy).sum())
        assert (sums[0] - sums[1]) / 2e-6 == pytest.approx(gradient.sum(), abs=1e-7)


# Tests beside these run the examples of the other pages.
NAMES = ("index", "ragged", "reproducibility", "from-torch", "from-onnxruntime", "from-keras")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_examples(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    for needed in re.findall(r"^import (torch|onnx|onnxruntime|keras)$", text, re.MULTILINE):
        pytest.importorskip(needed)
    assert site("examples").run(text, name) > 0


PRINTS = "```python\nprint(1)\n```\n\n```text\n{}\n```\n"


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (PRINTS.format(2), "page:2: it printed\n1\nand not\n2"),
        ("\n```python\nx = 1\nx / 0\n```\n", "page:3: ZeroDivisionError"),
        ("```python\nx = 1\n```\n```python\nx\n```\n", "page:5: NameError"),
    ],
)
def test_an_example_can_fail(page: str, said: str) -> None:
    examples = site("examples")
    assert examples.run(PRINTS.format(1), "page") == 1
    with pytest.raises(ValueError, match=re.escape(said)):
        examples.run(page, "page")


def public() -> list[tuple[str, object]]:
    """Everything that users see, by name."""
    found = [(name, getattr(lstm_native, name)) for name in lstm_native.__all__ if name[0] != "_"]
    return found + [(f"optim.{name}", getattr(optim, name)) for name in optim.__all__]


def test_every_public_name_is_on_the_page_of_the_interface() -> None:
    text = (DOCS / "api" / "index.rst").read_text(encoding="utf-8")
    named = set(re.findall(r"^   (\w+)$", text, re.MULTILINE))
    missing = {name.split(".")[-1] for name, _ in public()} - named - {"optim"}
    assert missing == set()
    for bridge in ("LSTM", "replace_lstm", "restore_lstm", "lstm"):
        assert bridge in named


@pytest.mark.parametrize(("name", "value"), public(), ids=[name for name, _ in public()])
def test_every_public_name_is_described(name: str, value: object) -> None:
    assert inspect.getdoc(value)
    if not isinstance(value, type):
        return
    for member, what in inspect.getmembers(value):
        if not member.startswith("_") and (callable(what) or isinstance(what, property)):
            assert inspect.getdoc(what), f"{name}.{member}"


# What needs no example: it is used in that of its class, or is plain.
PLAIN = {"Optimizer", "FoundLSTM", "get_num_threads", "isa", "unpad_sequence"}
PLAIN |= {"pad_packed_sequence"}


@pytest.mark.parametrize(("name", "value"), public(), ids=[name for name, _ in public()])
def test_examples_in_docstrings(
    name: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(value, ModuleType):
        return
    monkeypatch.chdir(tmp_path)
    names = {key: getattr(lstm_native, key) for key in lstm_native.__all__} | {"np": np}
    names |= {key: getattr(optim, key) for key in optim.__all__}
    count = 0
    for test in doctest.DocTestFinder().find(value, name, globs=names):
        failed, tried = doctest.DocTestRunner(verbose=False).run(test)
        assert failed == 0, test.name
        count += tried
    assert count or name.split(".")[-1] in PLAIN


@pytest.mark.parametrize(
    ("page", "style", "said"),
    [
        ('<img src="https://x.org/a.png">', "", "loads https://x.org/a.png"),
        ('<script src="//x.org/a.js"></script>', "", "loads //x.org/a.js"),
        ('<a href="b.html">', "", "leads to b.html, which is not there"),
        ('<a href="#b">', "", "leads to #b, a page without that place"),
        ("", 'a { src: url("https://x.org/f.woff") }', "loads https://x.org/f.woff"),
        ("", "@import '//x.org/s.css';", "loads //x.org/s.css"),
        ("", "a { src: url(f.woff) }", "leads to f.woff, which is not there"),
        ("<p style=\"background: url('a b.png')\">", "", "leads to a b.png, which is not there"),
        ("<style>a { src: url(//x.org/f) }</style>", "", "loads //x.org/f"),
        ('<svg><image xlink:href="//x.org/a.png"/></svg>', "", "loads //x.org/a.png"),
    ],
)
def test_a_site_with_a_fault(page: str, style: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "style.css").write_text(style or "a { color: red }")
    (tmp_path / "index.html").write_text(f'<link href="style.css"><p id="a">{page}</p>')
    (found,) = site("check").faults(tmp_path)
    assert found.endswith(said)


def test_a_picture_with_a_fault(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text('<img src="a.svg">')
    (tmp_path / "a.svg").write_text('<svg><path id="b"/><g fill="url(#b)" clip-path="url(c.svg)"/>')
    (found,) = site("check").faults(tmp_path)
    assert found == "a.svg leads to c.svg, which is not there"


def test_a_site_without_a_fault(tmp_path: Path) -> None:
    (tmp_path / "a b.html").write_text('<p id="x"><a href="https://x.org">')
    (tmp_path / "index.html").write_text('<a href="a%20b.html#x"><a href="#"><a href="mailto:a@b">')
    check = site("check")
    assert check.faults(tmp_path) == []
    assert check.faults(tmp_path / "nothing")


def test_sizes_come_from_the_committed_result() -> None:
    measured = report.read(report.newest("sizes"))["sizes"]
    names = ("lstm-native", "torch", "onnxruntime")
    ours, torch, onnx = (measured[name]["bytes"] / 1e6 for name in names)
    cells = f"{ours:.1f} MB | {torch:.0f} MB | {onnx:.0f} MB | - |"
    row = f"| installed size of the package itself | {cells}"
    assert row in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()


def test_every_session_is_in_the_table_of_contributing() -> None:
    sources = [ROOT / "noxfile.py", ROOT / "tests" / "native" / "sessions.py"]
    text = "".join(path.read_text() for path in sources)
    sessions = re.findall(r"^@nox\.session\b.*\n(?:@.*\n)*def (\w+)", text, re.MULTILINE)
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    # `tests` is plain pytest.
    assert set(re.findall(r"`nox -s (\w+)", table)) == set(sessions) - {"tests"}


def test_every_package_that_may_be_measured_has_a_name() -> None:
    assert set(site("figures").NAMES) == set(sizes.NAMES)


def test_the_script_that_measures_sizes(tmp_path: Path) -> None:
    output = tmp_path / "sizes.json"
    command = [sys.executable, "-m", "bench.sizes", "--output", str(output)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    measured = report.read(output)["sizes"]
    assert measured["numpy"]["version"] == np.__version__
    assert measured["numpy"]["bytes"] > 10e6

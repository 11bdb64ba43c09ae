"""What the installed package says of itself: its bill of materials, the licence texts of what is
compiled in, and on which systems and Pythons it may be installed.

How a wheel is made and looked at is ``nox -s wheel``.
"""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

import lstm_native
import wheel_folder

ROOT = Path(__file__).parents[1]


def installed(name: str) -> str:
    """The text of an installed file, which an editable build keeps apart from the package."""
    (path,) = (path for path in distribution("lstm-native").files or [] if path.match(name))
    return Path(str(path.locate())).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def bill() -> dict[str, Any]:
    """The bill of materials that the build wrote."""
    return json.loads(installed("*.dist-info/sboms/lstm_native.cdx.json"))


def built_with_libgomp(config: dict[str, Any]) -> bool:
    return config["compiler"].startswith("GNU") and config["threading"].startswith("OpenMP")


def test_the_bill_and_show_config_name_the_same_versions(bill: dict[str, Any]) -> None:
    config = lstm_native.show_config("dicts")
    versions = {one["name"]: one.get("version") for one in bill["components"]}
    expected = {"eigen": config["eigen"], "pybind11": config["pybind11"]}
    if config["compiler"].startswith("GNU"):
        runtime = config["compiler"].removeprefix("GNU ")
        expected |= {"libstdc++": runtime, "libgcc": runtime}
    if built_with_libgomp(config):
        expected["libgomp"] = None
    if sys.platform == "win32":
        expected["msvc-runtime"] = None
    assert versions == expected
    assert bill["metadata"]["component"]["version"] == config["lstm_native"]
    (compiler,) = bill["metadata"]["tools"]["components"]
    assert f"{compiler['name']} {compiler['version']}" == config["compiler"]


def test_every_component_has_a_licence_and_what_depends_on_what_is_there(
    bill: dict[str, Any],
) -> None:
    references = {one["bom-ref"] for one in bill["components"]}
    for one in bill["components"]:
        assert one["licenses"], one["name"]
    (ours,) = bill["metadata"]["component"]["licenses"]
    assert ours["license"]["id"] == distribution("lstm-native").metadata["License-Expression"]
    (eigen,) = (one for one in bill["components"] if one["name"] == "eigen")
    assert eigen["version"] in eigen["externalReferences"][0]["url"]
    tree = {one["ref"]: set(one.get("dependsOn", [])) for one in bill["dependencies"]}
    assert tree == {"lstm-native": references, **{name: set() for name in references}}


def test_licence_texts_of_what_is_compiled_in_are_there() -> None:
    texts = {"eigen/COPYING.MPL2": "Mozilla Public License", "pybind11/LICENSE": "Wenzel Jakob"}
    if lstm_native.show_config("dicts")["compiler"].startswith("GNU"):
        texts["gcc/COPYING3"] = "GNU GENERAL PUBLIC LICENSE"
        texts["gcc/COPYING.RUNTIME"] = "GCC RUNTIME LIBRARY EXCEPTION"
    for name, words in texts.items():
        assert words in installed(f"*.dist-info/licenses/{name}"), name


def test_every_python_that_gets_a_wheel_is_declared() -> None:
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("needs the source tree")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [c for c in project["classifiers"] if c.startswith("Programming Language :: Python")]
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    first, last = map(int, re.findall(r"for CPython 3\.(\d+) to 3\.(\d+)", text)[0])
    assert project["requires-python"] == f">=3.{first}"
    stem = "Programming Language :: Python :: 3."
    minors = {int(one.removeprefix(stem)) for one in declared if one.startswith(stem)}
    assert minors == set(range(first, last + 1))
    assert any("Free Threading" in one for one in declared)


def test_every_extra_is_in_the_docs() -> None:
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("needs the source tree")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    (demo, others) = re.findall(r"'\.\[(\w+)\]'.*the other extras are (.*?)\.", text)[0]
    assert {demo, *re.findall(r"`(\w+)`", others)} == set(project["optional-dependencies"])


def test_the_wheels_are_tried_with_all_that_their_tests_read(tmp_path: Path) -> None:
    """As cibuildwheel has it: `test-sources` alone, and no tree around them."""
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("needs the source tree")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]
    wheel_folder.fill(tmp_path, ROOT, settings["test-sources"])
    program, *arguments = shlex.split(settings["test-command"][-1])
    assert program == "python"
    done = subprocess.run(
        [sys.executable, *arguments, "--collect-only", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_lines_of_the_docs_print_the_components(capsys: pytest.CaptureFixture[str]) -> None:
    if not (ROOT / "docs").exists():
        pytest.skip("needs the source tree")
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    for block in text.split("```python\n")[1:]:
        exec(block.split("```")[0], {})
    assert f"eigen {lstm_native.show_config('dicts')['eigen']} " in capsys.readouterr().out


def test_the_docs_give_the_date_of_the_settings_and_the_pinned_cibuildwheel() -> None:
    workflow = ROOT / ".github" / "workflows" / "wheels.yml"
    if not workflow.exists():
        pytest.skip("needs the source tree")
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]
    epoch = f"SOURCE_DATE_EPOCH={settings['environment']['SOURCE_DATE_EPOCH']}"
    assert text.count(epoch) == 2
    (pinned,) = re.findall(r"cibuildwheel==(\S+)", workflow.read_text())
    assert f"its version, {pinned}." in text


def test_every_action_is_pinned_to_a_commit_and_one_job_may_sign() -> None:
    folder = ROOT / ".github" / "workflows"
    if not folder.exists():
        pytest.skip("needs the source tree")
    text = "\n".join(path.read_text() for path in folder.iterdir())
    actions = re.findall(r"uses: *(.*)", text)
    assert actions
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v[\d.]+", one) for one in actions), actions
    assert text.count("id-token: write") == 1

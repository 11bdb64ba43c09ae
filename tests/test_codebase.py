"""The rules of the house that a machine can check: who may include or import whom, and how long
a file may grow. The map and its reasons are in CONTRIBUTING.md."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CPP = ROOT / "cpp"
PACKAGE = ROOT / "python" / "lstm_native"
LONGEST_FILE = 400

# file or folder -> the headers of ours it may include, without their suffix.
MAY_INCLUDE = {
    "kernel_api": set(),
    "kernels": {
        "kernel_api", "simd", "activations", "cell", "roofline", "product", "tile", "pack",
        "quantize", "compress", "gates", "walk", "forward", "restore", "backward", "gradients",
        "amx", "parts",
    },
    "overflow": set(),
    "config": {"kernel_api", "overflow"},
    "float_mode": set(),
    "system": set(),
    "system_posix": {"system"},
    "system_windows": {"system"},
    "threads": set(),
    "threads_openmp": {"threads"},
    "threads_std": {"system", "threads"},
    "parallel": {"float_mode", "system", "threads"},
    "part": {"kernel_api", "parallel"},
    "dispatch": {"kernel_api", "system"},
    "fork_mutex": {"system"},
    "generator": {"fork_mutex", "kernel_api"},
    "buffer": {"config", "system"},
    "schedule": {"config"},
    "weights": {"buffer", "dispatch", "part"},
    "dropout": {"buffer", "generator", "parallel"},
    "tape": {"dropout", "schedule", "weights"},
    "plan": {"config", "parallel", "schedule", "dispatch"},
    "stack_team": {"part", "plan"},
    "stack": {"tape"},
    "stack_forward": {"stack", "stack_team", "dispatch"},
    "stack_backward": {"stack", "stack_team", "dispatch"},
    "bindings": {
        "arrays", "handles", "names", "plain", "stack", "weights", "config", "dispatch", "parallel",
        "plan", "generator", "objects", "system", "threads",
    },
}  # fmt: skip

# module -> the modules of the package it may import when it is loaded.
LAYERS = [
    {"_core"},
    {
        "functional", "parameters", "_checks", "runtime", "packing", "inventory", "_forks", "_head",
        "_progress",
    },
    {"_panels"},
    {"_memory"},
    {"_products"},
    {"_module", "random", "stream"},
    {"checkpoints", "optim"},
    {"_loading"},
    {"_configured"},
    {"lstm", "cell"},
    {"__init__"},
    {"bridges", "sklearn"},
    {"demo", "commands", "__main__"},
]  # fmt: skip


def sources(folder: Path, *suffixes: str) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix in suffixes)


def includes(path: Path) -> list[str]:
    return re.findall(r'^#include [<"]([^>"]+)[>"]', path.read_text(), re.MULTILINE)


@pytest.mark.parametrize("path", sources(CPP, ".hpp", ".cpp"), ids=lambda p: p.name)
def test_cpp_includes_only_what_its_layer_allows(path: Path) -> None:
    folder = path.parent.name
    allowed = MAY_INCLUDE[folder if folder in MAY_INCLUDE else path.stem] | {path.stem}
    ours = {p.stem for p in sources(CPP, ".hpp")}
    used = {Path(name).stem for name in includes(path) if name.endswith(".hpp")}
    assert used <= ours
    assert used <= allowed, f"{path.name} may not include {used - allowed}"


@pytest.mark.parametrize(
    ("pattern", "home"),
    [
        (r"#include <pybind11", r"bindings/"),
        (r"#include <Eigen", r"kernels/simd\.hpp"),
        (r"#include <omp\.h>|#pragma omp", r"threads_openmp\.cpp"),
        # Of a system is what has the suffix of C, but for three that have a home of their own.
        (r"#include <((?!pybind11/|omp\.|x?m*intrin\.).*\.h|csignal)>", r"system_\w+\.cpp"),
        (r"#include <x?m*intrin\.h>", r"system_windows\.cpp|(float_mode|threads)\.hpp"),
        (r"\b(pthread_\w+|mmap|VirtualAlloc)\(", r"system_\w+\.cpp"),
        (r"_MSC_VER|_WIN32|__APPLE__", r"(overflow|float_mode|threads)\.hpp"),
        (r"__AVX", r"kernels/(kernels\.cpp|simd\.hpp)"),
        (r"std::(vector|string|map|function|atomic|mutex|thread)\b", r"(?!kernels/|kernel_api)"),
    ],
)
def test_each_dependency_has_one_home(pattern: str, home: str) -> None:
    for path in sources(CPP, ".hpp", ".cpp"):
        if re.search(pattern, path.read_text()):
            name = path.relative_to(CPP).as_posix()
            assert re.match(home, name), f"{name} should not hold {pattern}"


def test_no_flag_that_would_change_the_bits() -> None:
    files = [ROOT / "CMakeLists.txt", ROOT / "pyproject.toml", *(ROOT / "cmake").iterdir()]
    build = "".join(path.read_text() for path in files)
    assert not re.search(r"march=native|ffast-math|-flto|INTERPROCEDURAL", build)
    for option in (" -ffp-contract=off", " /clang:-ffp-contract=off"):
        assert option in build


def imported_modules(path: Path) -> set[str]:
    """Modules of the package that are imported when `path` is loaded."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level == 0 and module.split(".")[0] != "lstm_native":
                continue
            tail = module.removeprefix("lstm_native").strip(".")
            names = [tail.split(".")[0]] if tail else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [
                alias.name.split(".")[1]
                for alias in node.names
                if alias.name.startswith("lstm_native.")
            ]
        found.update(names)
    return found


@pytest.mark.parametrize(
    "path", sources(PACKAGE, ".py"), ids=lambda p: p.relative_to(PACKAGE).as_posix()
)
def test_python_imports_only_from_its_layer_and_below(path: Path) -> None:
    module = Path(path.relative_to(PACKAGE).parts[0]).stem
    level = next(i for i, layer in enumerate(LAYERS) if module in layer)
    allowed = set().union(*LAYERS[: level + 1])
    public = level > LAYERS.index({"__init__"})  # may use whatever the package offers
    for name in imported_modules(path):
        assert name in allowed or public, f"{path.name} imports {name}"


def test_every_layer_names_modules_that_exist() -> None:
    for name in set().union(*LAYERS):
        assert list(PACKAGE.glob(f"{name}.py*")) or (PACKAGE / name).is_dir(), name


def test_only_functional_and_runtime_import_the_core() -> None:
    importers = {
        path.relative_to(PACKAGE).as_posix()
        for path in sources(PACKAGE, ".py")
        if re.search(r"import _core|from \._core|_core import", path.read_text())
    }
    assert importers == {"functional.py", "runtime.py"}


def test_nothing_loads_a_pickle() -> None:
    for path in sources(PACKAGE, ".py"):
        assert not re.search(r"pickle\.loads?\(|allow_pickle=True", path.read_text()), path.name


@pytest.mark.parametrize(
    ("framework", "homes"),
    [
        ("torch", ("bridges/torch/", "commands/peers.py")),
        ("autograd", ("bridges/autograd.py",)),
        ("onnxruntime", ("commands/peers.py",)),
        ("sklearn", ("sklearn/",)),
    ],
)
def test_each_framework_has_its_homes(framework: str, homes: tuple[str, ...]) -> None:
    importers = [
        path.relative_to(PACKAGE).as_posix()
        for path in sources(PACKAGE, ".py")
        if re.search(rf"^\s*(import|from) {framework}\b", path.read_text(), re.MULTILINE)
    ]
    assert importers
    assert all(name.startswith(homes) for name in importers), importers


@pytest.mark.parametrize("folder", ["bridges", "sklearn"])
def test_nothing_imports_what_imports_a_framework(folder: str) -> None:
    for path in sources(PACKAGE, ".py"):
        if folder not in path.relative_to(PACKAGE).parts:
            found = re.search(rf"^\s*(import|from) .*\b{folder}\b", path.read_text(), re.MULTILINE)
            assert not found, path.name


def test_importing_the_package_imports_no_framework() -> None:
    code = (
        "import sys, lstm_native\n"
        "print({'torch', 'autograd', 'sklearn'} & set(sys.modules) or 'none')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "none"


@pytest.mark.parametrize("folder", ["cpp", "python", "tests", "bench", "examples", "docs"])
def test_no_file_grows_past_the_limit(folder: str) -> None:
    files = sources(ROOT / folder, ".py", ".pyi", ".hpp", ".cpp")
    for path in (*files, ROOT / "noxfile.py"):
        lines = len(path.read_text().splitlines())
        assert lines <= LONGEST_FILE, f"{path.name} has {lines} lines"


def test_every_file_says_what_it_owns() -> None:
    for path in sources(CPP, ".hpp"):
        head = "\n".join(path.read_text().splitlines()[:12])
        assert "Owns:" in head, path.name
        assert "Must not know" in head or path.name == "parallel.hpp", path.name
    for path in sources(PACKAGE, ".py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path.name

"""`_core.pyi` says what the compiled module holds: same names, same parameters, same order."""

import ast
import inspect
import re
from pathlib import Path

from lstm_native import _core

STUB = Path(__file__).parents[1] / "python" / "lstm_native" / "_core.pyi"


def parameters(function: ast.FunctionDef) -> list[str]:
    return [a.arg for a in function.args.args]


def compiled_parameters(doc: str) -> list[str]:
    inner = re.match(r"\w+\((.*)\) -> ", doc.splitlines()[0])
    assert inner, doc
    return [part.split(":")[0].strip() for part in inner[1].split(", ") if part]


def test_stub_and_module_agree() -> None:
    tree = ast.parse(STUB.read_text())
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef)}
    classes = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef)}
    public = {name for name in vars(_core) if not name.startswith("_")}
    assert set(functions) | set(classes) == public
    for name, function in functions.items():
        assert compiled_parameters(getattr(_core, name).__doc__) == parameters(function), name
    for name, node in classes.items():
        members = {m.name: m for m in node.body if isinstance(m, ast.FunctionDef)}
        compiled = getattr(_core, name)
        own = {m for m in vars(compiled) if not m.startswith("_")}
        assert own == {m for m in members if not m.startswith("_")}, name
        for member, function in members.items():
            if not inspect.isdatadescriptor(vars(compiled).get(member)):
                doc = getattr(compiled, member).__doc__
                assert compiled_parameters(doc) == parameters(function), f"{name}.{member}"

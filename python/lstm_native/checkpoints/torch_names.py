"""From the objects in a torch file to names: the paths of a state dict.

Owns how deep and how often it looks, since objects may contain each other. Must not know pickles,
nor where data lies.
"""

import json
from typing import Any

from lstm_native.checkpoints.contents import joined
from lstm_native.checkpoints.torch_objects import Stub, Tensor, is_script

MOST_DEPTH = 100
# An honest file shares tensors, seldom containers; a few may be seen twice, not a billion times.
MOST_VISITS = 500_000
MOST_TENSORS = 100_000
LONGEST_NAME = 1000
MOST_LETTERS = 10_000_000  # of all names


def named(root: Any) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors in what a file holds, and notes on the LSTM modules among them.

    Dicts and lists give a path of their keys, modules that of their state dict.
    """
    walk = _Walk()
    walk.visit(root, "", 0)
    return walk.tensors, walk.notes


class _Walk:
    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.notes: dict[str, str] = {}
        self.visits = 0
        self.letters = 0

    def visit(self, value: Any, path: str, depth: int) -> None:
        self.visits += 1
        if depth > MOST_DEPTH or self.visits > MOST_VISITS:
            raise ValueError("its objects contain each other too deeply")
        if isinstance(value, Tensor):
            if path in self.tensors:
                raise ValueError(f"the name {path!r} stands twice in it")
            self.tensors[path] = value
            self.letters += len(path)
            if len(self.tensors) > MOST_TENSORS or self.letters > MOST_LETTERS:
                raise ValueError("it holds suspiciously many names of tensors")
        elif isinstance(value, dict):
            self.each(value, path, depth)
        elif isinstance(value, list | tuple):
            self.each(dict(enumerate(value)), path, depth)
        elif isinstance(value, Stub):
            self.module(value, path, depth)

    def each(self, parts: dict[Any, Any], path: str, depth: int) -> None:
        for key, part in parts.items():
            name = key if isinstance(key, str) else repr(key)
            if len(path) + len(name) > LONGEST_NAME:
                raise ValueError(f"a name in it is longer than {LONGEST_NAME} letters")
            self.visit(part, joined(path, name), depth + 1)

    def module(self, stub: Stub, path: str, depth: int) -> None:
        own = stub.attributes
        if is_script(stub):
            kinds = (Tensor, Stub)
            self.each({k: v for k, v in own.items() if isinstance(v, kinds)}, path, depth)
            return
        transient = own.get("_non_persistent_buffers_set") or set()
        if not isinstance(transient, set | frozenset):
            raise ValueError("a module of it has names of buffers that are no set")
        for kind in ("_parameters", "_buffers", "_modules"):
            parts = own.get(kind) or {}
            if not isinstance(parts, dict):
                raise ValueError(f"a module of it has {kind} that are no dict")
            kept = {k: v for k, v in parts.items() if kind != "_buffers" or k not in transient}
            self.each(kept, path, depth)
        if own.get("mode") == "LSTM":
            if isinstance(own.get("batch_first"), bool):
                self.notes[joined(path, "batch_first")] = json.dumps(own["batch_first"])
            if isinstance(own.get("dropout"), float | int):
                self.notes[joined(path, "dropout")] = json.dumps(own["dropout"])

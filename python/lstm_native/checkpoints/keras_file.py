"""Keras's files: ``.keras`` archives and ``.h5``, with the configuration of the model in them.

Owns where the configuration and each layer's arrays lie. LSTM layers get torch's names, every other
array has its path in the file. What a layer's configuration means is the matter of ``keras_lstm``.
"""

import json
from collections.abc import Mapping

from lstm_native.checkpoints import archive, hdf5, keras_lstm
from lstm_native.checkpoints.contents import Array, Contents, add

# Some 2,000 layers; parsed, it takes up to twenty times as much.
LARGEST_CONFIG = 1_000_000

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"


def recognises_archive(members: list[str]) -> bool:
    """Tell a ``.keras`` file by its members."""
    return _CONFIG in members and _WEIGHTS in members


def recognises(start: bytes) -> bool:
    """Tell an HDF5 file from its first bytes."""
    return start.startswith(hdf5.MAGIC)


def read_archive(path: str) -> Contents:
    """Read a ``.keras`` file; ValueError if it is not sound or an LSTM cannot be had here."""
    most = archive.most_bytes(path)
    with archive.opened(path) as file:
        config = archive.unpacked(file, _CONFIG, LARGEST_CONFIG)
        weights = archive.unpacked(file, _WEIGHTS, most)
    with hdf5.opened(path, weights) as file:
        del weights
        arrays = hdf5.datasets(file.root, most)
        places = {}
        for name in _groups_of_variables(arrays):
            if (group := file.group(name)) is not None:
                places[name] = file.text(group, "name")
        return _contents(config.decode(), arrays, places)


def read(path: str) -> Contents:
    """Read a ``.h5`` file; ValueError if it is not sound or an LSTM cannot be had here."""
    with hdf5.opened(path) as file:
        config, weights = file.text(file.root, "model_config"), file.group("model_weights")
        if config is None or weights is None:
            raise ValueError(
                "it holds no model of Keras with its configuration, without which activations "
                "cannot be known. Save the model, not its weights alone"
            )
        arrays = hdf5.datasets(weights, archive.most_bytes(path))
        return _contents(config, arrays, None)


def _contents(
    config: str, arrays: Mapping[str, Array], places: Mapping[str, str | None] | None
) -> Contents:
    if len(config) > LARGEST_CONFIG:
        raise ValueError(f"its configuration has {len(config)} letters (at most {LARGEST_CONFIG})")
    try:
        model = json.loads(config)
    except RecursionError:
        raise ValueError("its configuration is nested too deeply") from None
    state: dict[str, Array] = {}
    notes: dict[str, str] = {}
    used: set[str] = set()
    for stack in keras_lstm.stacks(model):
        prefix = ".".join(stack[0].path)
        for number, layer in enumerate(stack):
            where = _of_layer(layer, arrays) if places is None else _under(layer, arrays, places)
            if not used.isdisjoint(where):
                raise ValueError(f"the layer {'/'.join(layer.path)!r} shares arrays with another")
            used |= set(where)
            for name, array in keras_lstm.parameters(layer, where, number).items():
                add(state, f"{prefix}.{name}", array)
        notes[f"{prefix}.batch_first"] = json.dumps(not stack[0].time_major)
    for name, array in arrays.items():
        if name not in used:
            add(state, name, array)
    return Contents(state, notes)


def _groups_of_variables(arrays: Mapping[str, Array]) -> list[str]:
    """The groups ``vars`` of the layers that have arrays, and of the layers around them."""
    groups = set()
    for path in arrays:
        parts = path.split("/")
        for end, part in enumerate(parts):
            if part == "layers" and end + 2 < len(parts):
                groups.add("/".join([*parts[: end + 2], "vars"]))
    return sorted(groups)


def _under(
    layer: keras_lstm.Layer, arrays: Mapping[str, Array], places: Mapping[str, str | None]
) -> dict[str, Array]:
    """A layer's arrays in a ``.keras`` file, where groups are called after classes.

    The name of the layer is an attribute of its group; early versions did not write it, and the
    count of the class decides.
    """
    root = ""
    for name, counted in zip(layer.path, layer.counted, strict=True):
        named = [
            group
            for group, given in places.items()
            if given == name and group.removesuffix("/vars").rpartition("/")[0] == f"{root}layers"
        ]
        root = named[0].removesuffix("vars") if named else f"{root}layers/{counted}/"
    return {path: array for path, array in arrays.items() if path.startswith(root)}


def _of_layer(layer: keras_lstm.Layer, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """A layer's arrays in a ``.h5`` file, where paths have the names of layers in them."""
    found = {}
    for path, array in arrays.items():
        parts = iter(path.split("/"))
        first = next(parts)
        if first == layer.path[0] and all(name in parts for name in layer.path[1:]):
            found[path] = array
    return found

"""Which LSTMs a state holds, by the names and shapes in it.

Owns the list of them, how one is described in a line, and which one is meant where none is named.
Must not know files, the core, or the classes.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lstm_native._checks.state import mapping
from lstm_native.parameters import Config, config_from_state_dict, shapes


@dataclass(frozen=True)
class FoundLSTM:
    """An LSTM or LSTMCell among the arrays of a state.

    Attributes
    ----------
    prefix : str
        What stands before the names of its parameters: for ``from_state_dict`` and ``from_file``.
    cell : bool
        Whether it is an LSTMCell.
    input_size, hidden_size, num_layers, bidirectional, proj_size, bias
        As in the constructor.
    parameter_count : int
        Number of scalars in all its parameters.
    """

    prefix: str
    cell: bool
    input_size: int
    hidden_size: int
    num_layers: int
    bidirectional: bool
    proj_size: int
    bias: bool
    parameter_count: int

    def __str__(self) -> str:
        text = f"{'LSTMCell' if self.cell else 'LSTM'} {self.input_size} -> {self.hidden_size}"
        if self.num_layers > 1:
            text += f" x {self.num_layers}"
        if self.bidirectional:
            text += ", bidirectional"
        if self.proj_size:
            text += f", projected to {self.proj_size}"
        if not self.bias:
            text += ", no bias"
        return f"{text}, {self.parameter_count:,} parameters"


def find_lstms(state: Mapping[str, Any]) -> list[FoundLSTM]:
    """List the LSTMs and LSTMCells in a state.

    Parameters
    ----------
    state : mapping of str to array
        For instance from :func:`load`. GRUs, plain RNNs and what is incomplete are left out.

    Returns
    -------
    list of FoundLSTM
        In the order of the state.

    Raises
    ------
    TypeError
        `state` is not a mapping: a path, say, which :func:`load` reads.

    Examples
    --------
    >>> state = LSTM(3, 4, num_layers=2).state_dict(prefix="encoder.")
    >>> for found in find_lstms(state | {"head": np.zeros((9, 4))}):
    ...     print(found.prefix, found)
    encoder. LSTM 3 -> 4 x 2, 304 parameters
    """
    mapping(state)
    found = []
    # What belongs to an LSTM has its prefix up to the last point; so each name is looked at once.
    groups: dict[str, dict[str, Any]] = defaultdict(dict)
    for key, value in state.items():
        if isinstance(key, str):
            groups[key[: key.rfind(".") + 1]][key] = value
    for prefix, cell in _candidates(state):
        try:
            config = config_from_state_dict(groups[prefix], prefix, cell=cell)
        except ValueError:
            continue
        found.append(
            FoundLSTM(
                prefix=prefix,
                cell=cell,
                input_size=config.input_size,
                hidden_size=config.hidden_size,
                num_layers=config.num_layers,
                bidirectional=bool(config.bidirectional),
                proj_size=config.proj_size,
                bias=config.bias,
                parameter_count=config.parameter_count,
            )
        )
    return found


def parameter_names(found: FoundLSTM) -> list[str]:
    """The names of its parameters in the state, in ``state_dict`` order."""
    config = Config(
        found.input_size,
        found.hidden_size,
        found.num_layers,
        found.bias,
        found.bidirectional,
        found.proj_size,
    )
    return [found.prefix + name for name in shapes(config, cell=found.cell)]


def prefix_of_only(state: Mapping[str, Any], *, cell: bool) -> str:
    """The prefix of the one LSTM (or cell) in a state; ValueError if there is not just one."""
    everything = find_lstms(state)
    found = [one for one in everything if one.cell is cell]
    if len(found) == 1:
        return found[0].prefix
    kind, other = ("LSTMCell", "LSTM") if cell else ("LSTM", "LSTMCell")
    if found:
        listed = "; ".join(f"{one.prefix!r}: {one}" for one in found)
        raise ValueError(f"it holds {len(found)} {kind}s, choose one by prefix=: {listed}")
    for prefix, is_cell in _candidates(state):
        if is_cell is cell:
            config_from_state_dict(state, prefix, cell=cell)  # says what is wrong with it
    text = f"it holds no {kind}"
    if everything:
        listed = ", ".join(repr(one.prefix) for one in everything)
        text += f"; for {other}.from_file there is: {listed}"
    raise ValueError(text)


def _candidates(state: Mapping[str, Any]) -> list[tuple[str, bool]]:
    candidates = []
    for key in state:
        for name, cell in (("weight_ih_l0", False), ("weight_ih", True)):
            if isinstance(key, str) and key.endswith(name):
                prefix = key.removesuffix(name)
                if not prefix or prefix.endswith("."):
                    candidates.append((prefix, cell))
    return candidates

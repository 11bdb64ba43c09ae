"""An LSTM apart from its calls: what it is set to, and how it comes out of a state dict.

Owns the attributes of :class:`lstm_native.LSTM`, whose docstring describes them. Must not know how
the network is called.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from lstm_native import functional
from lstm_native._checks import arguments
from lstm_native._loading import Loadable
from lstm_native.functional import Layout
from lstm_native.parameters import FloatArray
from lstm_native.random import Generator, default_generator


class ConfiguredLSTM(Loadable):
    """The base of LSTM: everything but calls."""

    __slots__ = ("_batch_first", "_dropout", "_generator", "_layout")

    _cell: ClassVar[bool] = False

    @classmethod
    def from_state_dict(
        cls, state_dict: Mapping[str, Any], prefix: str = "", batch_first: bool = False
    ) -> Self:
        """Make a network of the weights in `state_dict`, ready to serve: in evaluation mode.

        Every size is read off names and shapes. A state dict does not say whether the network was
        ``batch_first``, nor its dropout, which is 0 here. No random number is drawn.

        Parameters
        ----------
        state_dict : mapping of str to array
            Names as ``weight_ih_l0``, each after `prefix`; other keys are ignored. The network is
            float64 where an array is, else float32.
        prefix : str
            For instance ``"encoder.lstm."``.
        batch_first : bool
            As in the constructor.

        Raises
        ------
        ValueError
            No LSTM under `prefix`; the message lists the prefixes that have one. Or its parameters
            are incomplete, or contradict each other.
        TypeError, RuntimeError
            A value is not an array of floats.
        """
        network = cls._blank()
        network.batch_first = batch_first
        network._read(state_dict, prefix)
        return network

    @classmethod
    def _blank(cls) -> Self:
        network = super()._blank()
        network.batch_first = False
        network.dropout = 0.0
        network.generator = None
        return network

    @property
    def num_layers(self) -> int:
        """L: number of layers."""
        return self._config.num_layers

    @property
    def bidirectional(self) -> bool:
        """Whether there is a reverse direction."""
        return self._config.bidirectional

    @property
    def proj_size(self) -> int:
        """P, or 0 without a projection."""
        return self._config.proj_size

    @property
    def batch_first(self) -> bool:
        """Whether input and output are (N, T, features)."""
        return self._batch_first

    @batch_first.setter
    def batch_first(self, value: bool) -> None:
        self._batch_first = arguments.boolean(value, "batch_first")
        self._layout = Layout(self._batch_first)

    @property
    def dropout(self) -> float:
        """Probability of an element of an inner layer's output being zeroed in training."""
        return self._dropout

    @dropout.setter
    def dropout(self, value: float) -> None:
        self._dropout = arguments.dropout(value)

    @property
    def generator(self) -> Generator | None:
        """Where dropout masks are drawn from; None is the default generator."""
        return self._generator

    @generator.setter
    def generator(self, value: Generator | None) -> None:
        self._generator = arguments.instance(value, Generator, "generator")

    @property
    def all_weights(self) -> list[list[FloatArray]]:
        """The parameters of each layer and direction, one list each."""
        weights = list(self._views.values())
        size = len(weights) // self._config.state_rows
        return [weights[start : start + size] for start in range(0, len(weights), size)]

    def flatten_parameters(self) -> None:
        """Do nothing: the parameters always lie in one buffer. Here for code written for torch."""

    def _options(self) -> dict[str, Any]:
        return super()._options() | {
            "batch_first": self._batch_first,
            "dropout": self._dropout,
            "generator": self._generator,
        }

    def __repr__(self) -> str:
        shown = [f"{self.input_size}, {self.hidden_size}"]
        if self.proj_size:
            shown.append(f"proj_size={self.proj_size}")
        if self.num_layers != 1:
            shown.append(f"num_layers={self.num_layers}")
        for name, default in (("bias", True), ("batch_first", False)):
            if getattr(self, name) is not default:
                shown.append(f"{name}={getattr(self, name)}")
        if self.dropout:
            shown.append(f"dropout={self.dropout}")
        if self.bidirectional is not False:
            shown.append(f"bidirectional={self.bidirectional}")
        shown += self._products()
        return f"{type(self).__name__}({', '.join(shown)})"

    def _masking(self) -> tuple[float, functional.Engine | None]:
        if not self._training or not self._dropout:
            return 0.0, None
        generator = default_generator if self._generator is None else self._generator
        return self._dropout, generator._engine

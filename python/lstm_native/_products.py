"""What a network's products are made of in evaluation mode: rounded weights, a precision.

Owns the two settings. Must not know how calls are made, nor what a packed copy looks like.
"""

from typing import Self

from lstm_native import functional
from lstm_native._checks import arguments
from lstm_native._memory import Memory
from lstm_native.parameters import Precision, Storage


class Products(Memory):
    """The base of networks, as far as these settings go."""

    __slots__ = ()

    @property
    def quantized(self) -> Storage | None:
        """To what weights are rounded in evaluation mode; set by :meth:`quantize`."""
        return self._storage

    @quantized.setter
    def quantized(self, weights: Storage | None) -> None:
        self.quantize(weights)

    def quantize(self, weights: Storage | None) -> Self:
        """Round the weights that calls in evaluation mode multiply with; returns self.

        The parameters stay as they are, and with them training mode and gradients;
        ``quantize(None)`` goes back. Fewer bytes are read at each step, which is what calls of few
        rows of a large network spend their time on. Streams keep the weights they were made with.
        :meth:`metadata` has it, so that :func:`save` and ``from_file`` keep it.

        Parameters
        ----------
        weights : {"bfloat16", "int8", None}
            "bfloat16": the upper half of each float32, rounded to nearest, to even; half the bytes.
            The results are, to the bit, those of a network whose weights were rounded so.

            "int8": one byte and a scale for each row of a weight matrix, a quarter of the bytes.
            Input and h (and what is projected) are rounded in the same way at each step, by a scale
            of each frame's own, so sums are of integers and exact on every machine. A frame that
            holds NaN or infinity gives NaN; one whose largest feature is below 1e-36 is zeros.

            Biases, c and activations stay float32 in either.

        Raises
        ------
        ValueError
            Another name; or the network is float64; or, for "int8", has more than 133,144 features
            or units, whose sums would not fit 32 bits.

        Notes
        -----
        Dynamic quantisation, as ``torch.ao.quantization.quantize_dynamic`` does it, but for the
        scales: torch has one of each matrix and one of the whole input.

        Examples
        --------
        >>> lstm = LSTM(10, 20).eval().quantize("int8")
        >>> lstm
        LSTM(10, 20, quantized='int8')
        """
        storage = arguments.storage(weights, self._config, self._dtype)
        if storage != self._storage:
            with self._lock:
                self._storage = storage
                self._pack_anew()
        return self

    @property
    def precision(self) -> Precision | None:
        """How exactly calls in evaluation mode multiply float32; None: what is set for all.

        One of the names of :func:`set_float32_matmul_precision`. Weights of a quantized network are
        multiplied as :meth:`quantize` says.
        """
        return self._precision

    @precision.setter
    def precision(self, value: Precision | None) -> None:
        chosen = None if value is None else arguments.precision(value)
        if chosen != self._precision:
            with self._lock:
                self._precision = chosen
                self._pack_anew()

    def _products(self) -> list[str]:
        """What ``repr`` says of them."""
        said = {"quantized": self._storage, "precision": self._precision}
        return [f"{name}={value!r}" for name, value in said.items() if value is not None]

    def _recorded_weights(self) -> functional.Weights | None:
        """Weights as they are: gradients are of what was multiplied."""
        if self._storage is not None and not self._training:
            raise RuntimeError(
                "a quantized network cannot be recorded in evaluation mode: "
                "call train() or quantize(None) first"
            )
        return self._weights() if self._training else self._packed_as(None)

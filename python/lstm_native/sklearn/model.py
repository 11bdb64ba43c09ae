"""The model of the estimators: an LSTM, a pooling, a linear head.

Owns how the three are joined, forward and backward, and the network's initial weights. Must not
know losses, optimizers, or where sequences come from.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_native import LSTM, Generator, PackedSequence, parameters
from lstm_native._head import Head
from lstm_native.parameters import Config
from lstm_native.sklearn.pooling import POOLINGS
from lstm_native.sklearn.sequences import Sequences

# What a batch of predictions may hold in its input or its output; many such batches are as fast
# as one.
MOST_BYTES = 1 << 23

Loss = Callable[[NDArray[Any]], tuple[float, NDArray[Any]]]


@dataclass(frozen=True)
class Model:
    """Scores of sequences.

    Attributes
    ----------
    lstm : LSTM
    head : Head
        From the pooled output, (N, D*P), to the scores, (N, C).
    pooling : str
        A name in ``POOLINGS``.
    """

    lstm: LSTM
    head: Head
    pooling: str

    @classmethod
    def random(
        cls, config: Config, scores: int, pooling: str, dtype: Any, random: np.random.RandomState
    ) -> "Model":
        """Draw a model from U(-1/sqrt(H), 1/sqrt(H)), and its head like it, as torch does."""
        # Not LSTM(...), which would draw from the default generator: that is the caller's.
        state = {name: np.zeros(s, dtype) for name, s in parameters.shapes(config).items()}
        lstm = LSTM.from_state_dict(state, batch_first=True).train()
        lstm.generator = Generator().manual_seed(int(random.randint(2**31)))
        parameters.initialise(lstm.flat_parameters, config.hidden_size, lstm.generator._engine)
        return cls(lstm, Head.random(config.frame_size, scores, random, dtype), pooling)

    def arrays(self) -> list[NDArray[Any]]:
        """All parameters, in the order of :meth:`gradients`."""
        return [self.lstm.flat_parameters, self.head.weight, self.head.bias]

    def gradients(self, batch: PackedSequence, loss: Loss) -> tuple[float, list[NDArray[Any]]]:
        """Compute the loss of a batch, and its gradient by each of :meth:`arrays`."""
        output, (h_n, _), tape = self.lstm.record(batch)
        features, pull = POOLINGS[self.pooling](output, h_n, self._directions)
        value, grad_scores = loss(self.head.scores(features))
        head = self.head.backward(features, grad_scores)
        grad_output, grad_state = pull(head.features)
        lstm = self.lstm.backward(tape, grad_output, grad_state)
        return value, [lstm.parameters, head.weight, head.bias]

    def scores(self, data: Sequences) -> NDArray[Any]:
        """Score all sequences, (N, C), in batches of bounded memory.

        The bits of a row do not depend on the others.
        """
        lstm, head = self.lstm, self.head
        width = max(lstm.input_size, head.weight.shape[1], 1)
        result = np.empty((len(data), len(head.bias)), lstm.dtype)
        for rows in data.batches(MOST_BYTES // (width * lstm.dtype.itemsize)):
            output, (h_n, _) = lstm(data.packed(rows))
            features, _ = POOLINGS[self.pooling](output, h_n, self._directions)
            result[rows] = head.scores(features)
        return result

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Be in evaluation mode for a while."""
        self.lstm.eval()
        try:
            yield
        finally:
            self.lstm.train()

    @property
    def _directions(self) -> int:
        return 2 if self.lstm.bidirectional else 1

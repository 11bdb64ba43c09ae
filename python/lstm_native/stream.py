"""The ``Stream`` class: a network that is fed one frame at a time.

Owns the state between frames. How a step is computed stands in the core, every check in
``_checks``; must not know the class of the network.
"""

from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from lstm_native import functional
from lstm_native._checks import streams
from lstm_native._checks.arrays import SupportsArray
from lstm_native.functional import State, Weights
from lstm_native.parameters import Config, FloatArray


class Stream:
    """A network fed one frame at a time: what :meth:`lstm_native.LSTM.stream` gives.

    A stream keeps its state from one step to the next, and all that a call must prepare, so a step
    is one entry into the compiled core. Its outputs have the bits of a call with all the frames.

    It is `batch_size` streams in fact, which step together and are reset row by row. In the shapes
    below N is that number, L the layers, I ``input_size``, H ``hidden_size`` and P ``proj_size``,
    or H without a projection.

    A stream holds the weights its network had when it was made: training the network or loading
    other weights afterwards does not change it. So do the threads: a step uses at most as many as
    :func:`lstm_native.get_num_threads` said then. Nobody ever waits: different streams, of one
    network too, may step in different threads at once; of two threads that step, reset or ask for
    the state of one stream at once, the second gets a RuntimeError.

    Attributes
    ----------
    batch_size : int
        N.
    dtype : dtype
        float32 or float64: of frames, results and states.
    state : (h, c)
        (L, N, P) and (L, N, H); copies. May be set.

    Examples
    --------
    >>> import numpy as np
    >>> from lstm_native import LSTM
    >>> stream = LSTM(10, 20, num_layers=2).eval().stream()
    >>> stream.step(np.zeros(10, np.float32)).shape
    (20,)
    """

    __slots__ = ("__weakref__", "_advance", "_c", "_core", "_dtype", "_h", "_shapes", "_sizes")

    def __init__(self, weights: Weights, config: Config, dtype: np.dtype[Any], rows: int) -> None:
        self._core, self._h, self._c = functional.stream(weights, config, dtype, rows)
        self._advance = self._core.step  # looked up at each step it would be an object each time
        self._dtype = dtype
        self._shapes = (rows, config.input_size), (rows, config.output_size)
        self._sizes = f"{config.input_size}, {config.hidden_size}, batch_size={rows}"

    def step(self, frame: SupportsArray, out: FloatArray | None = None) -> FloatArray:
        """Advance all rows by one frame.

        Parameters
        ----------
        frame : ndarray
            (N, I), of the stream's dtype; with one row also (I,). Anything with ``__array__``, the
            buffer protocol or ``__dlpack__`` on CPU. Fastest, and nothing is allocated but the
            result, for an aligned C-contiguous ndarray.
        out : ndarray, optional
            Where the result is stored. Its shape and dtype must be those of the result; fastest
            when C-contiguous and apart from `frame`.

        Returns
        -------
        ndarray
            h of the last layer: (N, P), or (P,) for a frame (I,). `out`, if given.

        Raises
        ------
        TypeError, ValueError
            An argument of a wrong type, dtype or shape; the state stays as it was.
        RuntimeError
            Another thread is inside this stream.
        """
        result = self._advance(frame, out)
        return self._step(frame, out) if result is None else result

    def _step(self, frame: object, out: object) -> FloatArray:
        """Take the same step for arrays the core does not take as they are."""
        inputs, outputs = self._shapes
        array = streams.frame(frame, inputs, self._dtype)
        shape = outputs if array.ndim == 2 else outputs[1:]
        result = np.empty(shape, self._dtype)
        into = None if out is None else streams.out(out, shape, self._dtype)
        self._advance(array, result)
        if into is None:
            return result
        into[...] = result
        return into

    def reset(self, rows: ArrayLike | slice | None = None) -> None:
        """Set the state to zero.

        Parameters
        ----------
        rows : int, ints, slice or mask of bools, optional
            Which of the N rows; all by default.

        Raises
        ------
        TypeError, ValueError, IndexError
            `rows` is none of these, a mask of another length, or names a row that is not there.
        RuntimeError
            Another thread is inside this stream.
        """
        index = streams.rows(rows, self.batch_size)
        with self._core:
            self._h[:, index] = 0
            self._c[:, index] = 0

    @property
    def state(self) -> State:
        """The states (L, N, P) and (L, N, H) as copies; set from arrays of these shapes."""
        with self._core:
            return self._h.copy(), self._c.copy()

    @state.setter
    def state(self, value: tuple[SupportsArray, SupportsArray]) -> None:
        shapes = self._h.shape, self._c.shape
        h, c = streams.state(value, shapes, self._dtype)
        with self._core:
            self._h[...], self._c[...] = h, c

    @property
    def batch_size(self) -> int:
        """N: how many streams step together."""
        return self._shapes[0][0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64: of frames, results and states."""
        return self._dtype

    def __repr__(self) -> str:
        return f"Stream({self._sizes})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Stream cannot be pickled or copied: keep its network and its state, make another "
            "stream, and set its state"
        )

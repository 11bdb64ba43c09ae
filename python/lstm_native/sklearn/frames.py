"""``PerFrame``: scikit-learn's transformers, on the frames of sequences.

Owns the way from sequences to frames and back. Must not know networks.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from lstm_native._checks.arrays import as_ndarray
from lstm_native.sklearn.sequences import read


class PerFrame(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer of tables, applied to the frames of sequences.

    Scaling and the like know rows of features. This one fits its transformer to the frames of all
    sequences, (F, I), and gives transformed frames back in the form that X has.

    Parameters
    ----------
    transformer : transformer
        For instance ``StandardScaler()``, ``PCA(8)``, or a pipeline of them.

    Attributes
    ----------
    transformer_ : transformer
        The fitted one.
    n_features_in_ : int
        I.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.preprocessing import StandardScaler
    >>> from lstm_native.sklearn import PerFrame
    >>> X = [np.array([[1.0], [2.0]]), np.array([[3.0]])]
    >>> [x.shape for x in PerFrame(StandardScaler()).fit_transform(X)]
    [(2, 1), (1, 1)]
    """

    def __init__(self, transformer: Any) -> None:
        self.transformer = transformer

    def fit(self, X: Any, y: Any = None, lengths: ArrayLike | None = None) -> Self:
        """Fit the transformer to the frames of X.

        Parameters
        ----------
        X : list of array_like, shape (T_i, I) each; or array_like, shape (N, T, I)
            Sequences, as the estimators take them.
        y : object
            Not read: it has a row for each sequence, none for each frame.
        lengths : array_like of int, shape (N,), optional
            For an array X that is padded: how many steps of each row to fit to.

        Returns
        -------
        PerFrame
            The transformer itself.

        Raises
        ------
        ValueError, TypeError
            X or `lengths` of a wrong form; or what the transformer raises.
        """
        data = read(self, X, lengths, dtype=None, fitted=False, finite=False)
        self.transformer_ = clone(self.transformer).fit(data.frames)
        self.n_features_in_ = data.frames.shape[1]
        return self

    def fit_transform(self, X: Any, y: Any = None, lengths: ArrayLike | None = None) -> Any:
        """Do :meth:`fit`, then :meth:`transform`.

        Parameters
        ----------
        X, y, lengths
            As in :meth:`fit`.

        Returns
        -------
        list of ndarray, or ndarray
            As of :meth:`transform`.

        Raises
        ------
        ValueError, TypeError
            As :meth:`fit` and :meth:`transform`.
        """
        return self.fit(X, y, lengths).transform(X, lengths)

    def transform(self, X: Any, lengths: ArrayLike | None = None) -> Any:
        """Transform every frame of X.

        Parameters
        ----------
        X : list of array_like, shape (T_i, I) each; or array_like, shape (N, T, I)
            Sequences.
        lengths : array_like of int, shape (N,), optional
            For an array X that is padded: how many steps of each row to transform. The rest is not
            read, and 0 in the result; without lengths it is transformed, too.

        Returns
        -------
        list of ndarray, or ndarray
            (T_i, I') each, or (N, T, I').

        Raises
        ------
        ValueError, TypeError
            X or `lengths` of a wrong form; X has another number of features; or what the
            transformer raises; or it gives no row for a frame; or nothing was fitted
            (NotFittedError).
        """
        check_is_fitted(self)
        data = read(self, X, lengths, dtype=None, fitted=True, finite=False)
        frames = self.transformer_.transform(data.frames)
        frames = frames.toarray() if issparse(frames) else np.asarray(frames)
        if frames.ndim != 2 or len(frames) != len(data.frames):
            raise ValueError(
                f"{type(self.transformer_).__name__} made an array of shape {frames.shape} of "
                f"{len(data.frames)} frames: a transformer should give a row for each"
            )
        if isinstance(X, list | tuple) or np.ndim(X) == 1:
            return np.split(frames, data.starts[1:])
        if lengths is None:
            return frames.reshape(len(data), -1, frames.shape[1])
        result = np.zeros((*as_ndarray(X, "X").shape[:2], frames.shape[1]), frames.dtype)
        result[np.arange(result.shape[1]) < data.lengths[:, None]] = frames
        return result

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = get_tags(self.transformer).input_tags.allow_nan
        return tags

"""lstm_native for the scikit-learn habit: estimators that read sequences.

:class:`LSTMClassifier` and :class:`LSTMRegressor` learn one answer per sequence; :class:`PerFrame`
brings scikit-learn's transformers to the frames of sequences. This module only re-exports, and says
what to install. It imports scikit-learn, and nothing else imports it.
"""

try:
    from sklearn.utils import get_tags  # noqa: F401 - not in scikit-learn before 1.6
except ImportError as error:
    raise ImportError(
        "lstm_native.sklearn needs scikit-learn 1.6 or later: pip install 'lstm-native[sklearn]'",
        name="sklearn",
    ) from error

from lstm_native.sklearn.classifier import LSTMClassifier
from lstm_native.sklearn.frames import PerFrame
from lstm_native.sklearn.regressor import LSTMRegressor

__all__ = ["LSTMClassifier", "LSTMRegressor", "PerFrame"]

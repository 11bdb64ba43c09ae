"""Optimizers that change NumPy arrays in place, with torch's rules and torch's results.

A parameter is an array: ``optim.Adam(lstm.flat_parameters)`` trains a whole network, and a list
trains it together with the arrays of a head written in NumPy. This module only re-exports; the
package must not know networks or the compiled core.
"""

from lstm_native.optim.adam import Adam, AdamW
from lstm_native.optim.clipping import clip_grad_norm_
from lstm_native.optim.optimizer import Optimizer
from lstm_native.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "clip_grad_norm_"]

"""bfloat16, which NumPy lacks: widened to float32.

Owns that one conversion. Must not know where the bits come from.
"""

import numpy as np

from lstm_native.checkpoints.contents import Array


def widened(bits: Array) -> Array:
    """The float32 of the same values: a bfloat16 (given as uint16) is the upper half of it."""
    wide = bits.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)

"""The machine that the tests run on.

Owns what systems call differently. Must not know what is tested.
"""

import platform

import numpy as np

# Windows says AMD64.
X86 = platform.machine().lower() in ("x86_64", "amd64")

# With Microsoft's compiler, and on Apple's ARM, longdouble is float64 again.
HAS_WIDER_FLOAT = np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant

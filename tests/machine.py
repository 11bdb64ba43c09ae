"""The machine that the tests run on.

Owns what systems call differently, and what stands between the tests and the machine. Must not know
what is tested.
"""

import os
import platform

import numpy as np

# Windows says AMD64.
X86 = platform.machine().lower() in ("x86_64", "amd64")

# With Microsoft's compiler, and on Apple's ARM, longdouble is float64 again.
HAS_WIDER_FLOAT = np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant

# Under a sanitizer, which takes some times as long and as much memory: see ``nox -s asan``.
SANITIZED = "asan" in os.environ.get("LD_PRELOAD", "")

# Under coverage, too, Python takes longer and more memory: see ``nox -s coverage``.
WATCHED = SANITIZED or "COVERAGE_RUN" in os.environ

"""No time without the same answer.

Owns the tolerances; knows nothing of who computed what.
"""

import numpy as np

from bench.problem import Floats

# Largest difference allowed, relative to the largest value of the array (or to 1). Peers round
# their sums and their activations in other ways; a wrong gate or a missing bias is off by 1e-1.
TOLERANCE = {"float32": 2e-5, "float64": 1e-11}


def disagreement(ours: dict[str, Floats], theirs: dict[str, Floats]) -> str | None:
    """Find out whether two sides gave different answers.

    Parameters
    ----------
    ours, theirs : dict of str to ndarray
        Answers by name, see `bench.sides.Runner`.

    Returns
    -------
    str or None
        What differs and by how much, or None if nothing does.
    """
    if ours.keys() != theirs.keys():
        return f"answers {sorted(ours)} against {sorted(theirs)}"
    for name, our in ours.items():
        their = theirs[name]
        if (our.shape, our.dtype) != (their.shape, their.dtype):
            return f"{name}: {our.dtype}{our.shape} against {their.dtype}{their.shape}"
        if our.size == 0:
            continue
        error = float(np.max(np.abs(our - their)))
        allowed = TOLERANCE[our.dtype.name] * max(1.0, float(np.max(np.abs(their))))
        # The comparison is written so that NaN fails it.
        if not error <= allowed:
            return f"{name}: differs by {error:.1e}, {allowed:.1e} allowed"
    return None

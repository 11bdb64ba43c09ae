"""How the pictures of the site look.

Owns colours, sizes and what every script of a gallery starts from. Must not know any script.
"""

from typing import Any

import matplotlib as mpl
from cycler import cycler

# Okabe and Ito's colours, which the colour-blind tell apart; in this order.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

SETTINGS: Any = {
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.grid": False,
    "figure.constrained_layout.use": True,
    "figure.figsize": (8, 3.6),
    "figure.dpi": 100,
    "font.size": 10,
    "image.cmap": "RdBu_r",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


def fresh(gallery: dict[str, Any], script: str) -> None:
    """Before each script: the site's style, and the same random numbers whenever it is built."""
    import lstm_native

    mpl.rcdefaults()
    mpl.use("agg")
    mpl.rcParams.update(SETTINGS)
    lstm_native.manual_seed(0)

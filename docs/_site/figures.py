"""Figures that stand in the text of pages, taken from committed results.

Owns the names under which pages ask for them: ``{{ name }}``.
"""

from _site.pictures import RESULTS, SPEED
from bench import report


def substitutions() -> dict[str, str]:
    """All of them."""
    rows = report.read(RESULTS / SPEED)["rows"]
    return {"speed_rows": str(len(rows)), "sizes": ""}

"""Figures that stand in the text of pages, taken from committed results.

Owns the names under which pages ask for them: ``{{ name }}``.
"""

from _site.pictures import RESULTS, SPEED
from bench import report

SIZES = "2026-11-22-sizes.json"
NAMES = {
    "lstm-native": "**lstm_native**",
    "onnxruntime": "ONNX Runtime",
    "numpy": "NumPy",
    "torch": "torch",
}


def substitutions() -> dict[str, str]:
    """All of them."""
    rows = report.read(RESULTS / SPEED)["rows"]
    torch: int = report.read(RESULTS / SIZES)["sizes"]["torch"]["bytes"]
    return {
        "speed_rows": str(len(rows)),
        "sizes": sizes(),
        "torch_size": f"{torch / 1e6:.0f} MB",
    }


def sizes() -> str:
    """Draw the table of installed sizes, the smallest first."""
    measured = report.read(RESULTS / SIZES)["sizes"]
    cells = [["installed", "MB"]]
    for name, facts in sorted(measured.items(), key=lambda item: item[1]["bytes"]):
        cells.append([NAMES[name], f"{facts['bytes'] / 1e6:.3g}"])
    table: str = report.draw(cells, markdown=True)
    return table

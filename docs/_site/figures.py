"""Figures that stand in the text of pages, taken from committed results.

Owns the names under which pages ask for them, ``{{ name }}``, and what people call the packages
that were measured.
"""

from bench import report, targets

NAMES = {
    "lstm-native": "**lstm_native**",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "numpy": "NumPy",
    "torch": "torch",
}


def substitutions() -> dict[str, str]:
    """All of them."""
    torch: int = report.read(report.newest("sizes"))["sizes"]["torch"]["bytes"]
    return speed() | {"sizes": sizes(), "torch_size": f"{torch / 1e6:.0f} MB"}


def speed() -> dict[str, str]:
    """How far ahead of the best peer: geometric means, and the worst row."""
    rows = report.read(report.newest("avx512"))["rows"]
    figures = {"speed_worst": f"{min(row['ratio'] for row in rows):.2f}"}
    for mode in report.TITLES:
        of_mode = [row for row in rows if row["mode"] == mode]
        figures[f"speed_{mode}"] = f"{targets.mean(of_mode):.2f}"
        figures[f"speed_{mode}_rows"] = str(len(of_mode))
    return figures


def sizes() -> str:
    """Draw the table of installed sizes, the smallest first."""
    measured = report.read(report.newest("sizes"))["sizes"]
    cells = [["installed, the package itself", "MB"]]
    for name, facts in sorted(measured.items(), key=lambda item: item[1]["bytes"]):
        cells.append([NAMES[name], f"{facts['bytes'] / 1e6:.3g}"])
    table: str = report.draw(cells, markdown=True)
    return table

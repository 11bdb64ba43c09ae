"""The figures in docs/streaming.md are those of the committed result."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "streaming.md").read_text(encoding="utf-8")
PEERS = ("onnxruntime", "thinc", "openvino", "torch")


def test_costs_come_from_the_committed_result() -> None:
    path = re.search(r"bench/results/[\w.-]+\.json", TEXT)
    assert path
    rows = json.loads((ROOT / path[0]).read_text(encoding="utf-8"))["rows"]
    forward = {row["row"]: row for row in rows if row["mode"] == "forward"}

    def cell(name: str, side: str) -> str:
        return f"{forward[name]['best'][side]['seconds'] * 1e6:.1f}"

    for step, call in (("stepped-64", "stream-64"), ("stepped-silero-vad", "silero-vad")):
        sizes = forward[step]["shape"]
        cells = [f"{sizes['I']}, {sizes['H']}", cell(step, "lstm_native")]
        cells += [cell(call, "lstm_native"), *(cell(step, peer) for peer in PEERS)]
        assert f"| {' | '.join(cells)} |" in TEXT.splitlines()

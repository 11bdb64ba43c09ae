"""Whether the tile of the aarch64 kernels lives in NEON registers: ``python neon.py OBJECT``.

Looks at the loop over k of the largest gate tile, in both types: all its multiply-adds on packets,
and next to nothing written to the stack. Run by ``nox -s aarch64``.
"""

import re
import subprocess
import sys

LANES = {"float": "4s", "double": "2d"}
MULTIPLY_ADDS = 24  # 6 rows, 4 gates
MOST_STORES = 2  # of registers that do not fit: 24 sums, 6 rows' values, 4 packets of weights

Code = list[tuple[int, str]]  # address, instruction


def functions(path: str) -> dict[str, Code]:
    """Disassemble an object: the code of each function by its name."""
    dump = ["aarch64-linux-gnu-objdump", "-d", "-C", "--no-show-raw-insn", path]
    found: dict[str, Code] = {}
    for line in subprocess.run(dump, check=True, capture_output=True, text=True).stdout.split("\n"):
        if name := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            code = found[name[1]] = []
        elif instruction := re.match(r"\s*([0-9a-f]+):\s+(.*)", line):
            code.append((int(instruction[1], 16), instruction[2].replace("\t", " ")))
    return found


def loops(code: Code) -> list[list[str]]:
    """Find the innermost loops: what stands between a branch back and where it goes."""
    index = {address: i for i, (address, _) in enumerate(code)}
    found, last = [], -1
    for i, (_, text) in enumerate(code):
        branch = re.match(r"(?:b\.\w+|cbn?z \w+,|tbn?z \w+, #\d+,) ([0-9a-f]+) ", text)
        if branch and last < (begin := index.get(int(branch[1], 16), i + 1)) <= i:
            found.append([text for _, text in code[begin : i + 1]])
            last = i
    return found


def main(path: str) -> None:
    for scalar, lanes in LANES.items():
        plain = rf"Forward<{scalar}, \S*( \S+::)?Plain<{scalar}> ?>::gate_tile<6, 1,"
        (tile,) = (code for function, code in functions(path).items() if re.search(plain, function))
        count = 0
        for loop in loops(tile):
            sums = sum(bool(re.match(rf"fmla v\d+\.{lanes}", text)) for text in loop)
            if sums < MULTIPLY_ADDS:
                continue
            stores = sum(bool(re.match(r"st.* \[sp", text)) for text in loop)
            what = f"{sums} fmla .{lanes} of {len(loop)} instructions, {stores} stores"
            print(f"gates of {scalar}: {what}")
            assert stores <= MOST_STORES, "accumulators are spilled"
            count += 1
        assert count == 2, "no loop over x and one over h"


if __name__ == "__main__":
    main(sys.argv[1])

"""Look at a wheel as its users get it: ``python tests/wheel/look.py WHEEL``.

Prints its platform, size, hash, and whatever of others is in it; fails when something carried is
not named in a bill of materials or has no licence text, when the wheel is too large, or when it
tells where it was built. Needs auditwheel (for Linux) and cyclonedx-python-lib[json-validation].
"""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

# README says "about 1.3 MB"; for musl there is a copy of GCC's C++ library.
MEGABYTES, MEGABYTES_FOR_MUSL = 1.5, 3
# What a component is called in a bill -> where its licence text lies.
LICENCES = {
    "eigen": "licenses/eigen/COPYING.MPL2",
    "pybind11": "licenses/pybind11/LICENSE",
    "libgomp": "licenses/gcc/COPYING.RUNTIME",
    "libgcc": "licenses/gcc/COPYING.RUNTIME",
    "libstdc++": "licenses/gcc/COPYING.RUNTIME",
}
BUILT_IN = re.compile(
    rb"/(?:home|tmp|root|project|Users|io|private|var/folders)/[\w./-]*"
    rb"|[A-Za-z]:[\\/](?:a[\\/](?!_work)|Users[\\/]|cibw)[\w.\\/~-]*"  # _work: Microsoft's own
)


def look(wheel: Path) -> None:
    """Print what is in the wheel; AssertionError where it is not as it should be."""
    if "linux" in wheel.name:
        subprocess.run(["auditwheel", "show", str(wheel)], check=True)
    size = wheel.stat().st_size / 2**20
    print(f"\n{wheel.name}: {size:.2f} MB, sha256 {hashlib.sha256(wheel.read_bytes()).hexdigest()}")
    most = MEGABYTES_FOR_MUSL if "musllinux" in wheel.name else MEGABYTES
    assert size <= most, f"larger than {most} MB"
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        bills = [name for name in names if ".dist-info/sboms/" in name and name.endswith(".json")]
        named = [component for bill in bills for component in components(archive, bill)]
        for word in ["eigen", "pybind11", *carried(names)]:
            assert any(name.startswith(word) for name in named), f"no bill names {word}"
            text = next((t for start, t in LICENCES.items() if word.startswith(start)), None)
            assert text, f"{word} is carried, and nothing is known of its licence"
            assert any(name.endswith(text) for name in names), f"no {text} for {word}"
        for name in names:
            if name.endswith((".so", ".pyd", ".dll", ".dylib")) or ".so." in name:
                places = set(BUILT_IN.findall(archive.read(name)))
                assert not places, f"{name} tells where it was built: {places}"
    print("every component has its licence text; no path of the build machine")


def components(archive: ZipFile, bill: str) -> list[str]:
    """Print a bill of materials, which has to be valid; the names in it."""
    text = archive.read(bill).decode()
    content = json.loads(text)
    version = SchemaVersion.from_version(content["specVersion"])
    error = JsonStrictValidator(version).validate_str(text)
    assert error is None, f"{bill}: {error}"
    print(f"{bill.split('/')[-1]}, CycloneDX {content['specVersion']}, valid:")
    found = []
    for one in content["components"]:
        licences = [licence(entry) for entry in one.get("licenses", [])]
        words = [one["name"], one.get("version", ""), one.get("purl", ""), *licences]
        print("  " + "  ".join(filter(None, words)))
        found.append(one["name"])
    return found


def licence(entry: dict[str, Any]) -> str:
    """How a bill names a licence: an expression, an identifier of SPDX, or a name."""
    one = entry.get("license", {})
    return str(entry.get("expression") or one.get("id") or one["name"])


def carried(names: list[str]) -> list[str]:
    """Libraries of others that were copied in: libgomp of ``libgomp-f9a9ad78.so.1.0.0``."""
    libraries = [name.split("/")[-1] for name in names if ".libs/" in name or ".dylibs/" in name]
    return sorted({re.split(r"[-_.]", name)[0] for name in libraries if name})


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        look(Path(argument))

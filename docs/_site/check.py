"""Look at a built site: every link inside it leads somewhere, nothing comes from another host.

Owns what a page may load and where it may lead. Must not know Sphinx::

    python docs/_site/check.py docs/_build/html
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes whose address a browser loads by itself.
LOADED = {
    ("audio", "src"), ("embed", "src"), ("iframe", "src"), ("img", "src"), ("img", "srcset"),
    ("input", "src"), ("link", "href"), ("object", "data"), ("script", "src"), ("source", "src"),
    ("source", "srcset"), ("track", "src"), ("video", "poster"), ("video", "src"),
}  # fmt: skip

# Of style sheets: what they import, and the fonts and pictures they name.
ELSEWHERE = re.compile(r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s;]+)""")


class Page(HTMLParser):
    """What a page loads, links to, and can be linked at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Take notes on one element."""
        for name, value in attributes:
            if not value:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            elif (tag, name) in LOADED and name == "srcset":
                self.loads += [part.split()[0] for part in value.split(",")]
            elif (tag, name) in LOADED:
                self.loads.append(value)
            elif tag == "a" and name == "href":
                self.links.append(value)


def faults(folder: Path) -> list[str]:
    """Say what is wrong with a site, one line each."""
    # The theme leaves one of its templates among its files.
    paths = [path for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts]
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in paths}
    found = [] if pages else [f"{folder}: no pages"]
    for path, page in pages.items():
        name = path.relative_to(folder.resolve())
        for address in page.loads + page.links:
            parts = urlsplit(address)
            if parts.scheme in ("data", "mailto", "javascript"):
                continue
            if parts.scheme or parts.netloc:
                if address in page.loads:
                    found.append(f"{name} loads {address}")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                found.append(f"{name} leads to {address}, which is not there")
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{name} leads to {address}, a page without that place")
    for path in sorted(folder.rglob("*.css")):
        text = path.read_text(encoding="utf-8")
        for address in ELSEWHERE.findall(text):
            found.append(f"{path.relative_to(folder)} loads {address}")
    return found


def main() -> int:
    """Run the command; 1 if there are faults."""
    found = faults(Path(sys.argv[1]))
    print(
        "\n".join(found)
        or "every link inside the site leads somewhere; nothing is loaded from outside"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""Look at a built site: every link inside it leads somewhere, nothing comes from another host.

Owns what pages, style sheets and pictures may load, and where pages may lead. What scripts ask for
while they run is not looked at. Must not know Sphinx::

    python docs/_site/check.py docs/_build/html
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes whose address a browser loads by itself.
LOADED = {
    ("audio", "src"), ("embed", "src"), ("iframe", "src"), ("image", "href"),
    ("image", "xlink:href"), ("img", "src"), ("img", "srcset"), ("input", "src"), ("link", "href"),
    ("object", "data"), ("script", "src"), ("source", "src"), ("source", "srcset"),
    ("track", "src"), ("use", "href"), ("use", "xlink:href"), ("video", "poster"),
    ("video", "src"),
}  # fmt: skip

# Of styles: what they import, and the fonts and pictures they name.
NAMED = re.compile(r"""url\(\s*(?:"([^"]*)"|'([^']*)'|([^"')\s]+))\s*\)|@import\s*["']([^"']+)""")
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def named_by(style: str) -> list[str]:
    """The addresses in a style."""
    return ["".join(found) for found in NAMED.findall(COMMENT.sub("", style))]


class Page(HTMLParser):
    """What a page or an SVG picture loads, links to, and can be linked at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = {""}
        self.in_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Take notes on one element."""
        self.in_style = tag == "style"
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
            else:  # style="...", and in SVG fill, clip-path and others
                self.loads += named_by(value) if "url(" in value else []

    def handle_data(self, data: str) -> None:
        """Take notes on a style that stands in the page."""
        if self.in_style:
            self.loads += named_by(data)

    def handle_endtag(self, tag: str) -> None:
        """Leave a style."""
        self.in_style = False


def faults(folder: Path) -> list[str]:
    """Say what is wrong with a site, one line each."""
    folder = folder.resolve()
    # The theme leaves one of its templates among its files.
    paths = [path for path in sorted(folder.rglob("*.html")) if "_static" not in path.parts]
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in paths}
    found = [] if pages else [f"{folder}: no pages"]

    def follow(path: Path, address: str, loaded: bool) -> None:
        parts = urlsplit(address)
        if parts.scheme in ("data", "mailto", "javascript"):
            return
        name = path.relative_to(folder)
        if parts.scheme or parts.netloc:
            if loaded:
                found.append(f"{name} loads {address}")
            return
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.is_file():
            found.append(f"{name} leads to {address}, which is not there")
        elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
            found.append(f"{name} leads to {address}, a page without that place")

    pictures = {path: Page(path.read_text(encoding="utf-8")) for path in folder.rglob("*.svg")}
    for path, page in (pages | pictures).items():
        for address in page.loads:
            follow(path, address, True)
    for path, page in pages.items():
        for address in page.links:
            follow(path, address, False)
    for path in sorted(folder.rglob("*.css")):
        for address in named_by(path.read_text(encoding="utf-8")):
            follow(path, address, True)
    return found


def main() -> int:
    """Run the command; 1 if there are faults."""
    found = faults(Path(sys.argv[1]))
    sound = (
        "every link inside the site leads somewhere; "
        "pages, styles and pictures load nothing from outside"
    )
    print("\n".join(found) or sound)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

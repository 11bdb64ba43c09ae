"""Links in Markdown pages to files that are pages of their own on the site.

Owns which they are. In the sources such a link leads to the file, so that pages can be read there;
while the site is built it is made to lead to the page. A gallery program that is linked on a line
of its own is shown by its picture. Must not know any page.
"""

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the tests use this without Sphinx
    from sphinx.application import Sphinx

INCLUDED = re.compile(r"\]\(\.\./(CHANGELOG|CONTRIBUTING|SECURITY)\.md\b")
PROGRAM = re.compile(r"\]\(((?:learn|gallery)/\w+)\.py\)")
PICTURE = re.compile(r"^\[([^\]]+)\]\((gallery/\w+)\.py\)$", re.MULTILINE)


def rewritten(text: str) -> str:
    """Make links to files links to their pages."""

    def picture(match: re.Match[str]) -> str:
        words, program = match[1], PurePosixPath(match[2])
        image = f"_built/gallery/images/sphx_glr_{program.name}_001.png"
        link = f"[{words}](_built/{program}.rst)"
        return f"```{{figure}} {image}\n:alt: {words}\n\n{link}\n```"

    text = PICTURE.sub(picture, text)
    text = PROGRAM.sub(r"](_built/\1.rst)", text)
    return INCLUDED.sub(lambda match: f"](project/{match[1].lower()}.md", text)


def rewrite(app: "Sphinx", name: str, source: list[str]) -> None:
    """Rewrite a page that is about to be read."""
    if "/" not in name and app.env.doc2path(name, base=False).suffix == ".md":
        source[0] = rewritten(source[0])


def setup(app: "Sphinx") -> dict[str, bool]:
    """Tell Sphinx."""
    app.connect("source-read", rewrite, priority=600)  # after the examples, whose lines count
    return {"parallel_read_safe": True, "parallel_write_safe": True}

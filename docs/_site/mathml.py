"""Formulas as MathML, which browsers show by themselves: no script, no other host.

Owns the renderer "mathml" of Sphinx, and the font its formulas are set in: what pages need of STIX
Two Math (SIL Open Font License), which the package ziamath brings. Must not know any page.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes
from fontTools import subset
from latex2mathml.converter import convert
from sphinx.application import Sphinx

FONT = "fonts/STIXTwoMath-Regular.ttf"
# Latin, Greek, punctuation, arrows and operators, letters of formulas.
NEEDED = "U+0020-007E,U+00A0-00FF,U+0370-03FF,U+2010-205F,U+2100-214F,U+2190-22FF,U+1D400-1D7FF"


def inline(self: Any, node: nodes.math) -> None:
    """Write a formula within a line."""
    self.body.append(convert(node.astext()))
    raise nodes.SkipNode


def block(self: Any, node: nodes.math_block) -> None:
    """Write a formula of its own."""
    formula = convert(node.astext(), display="block")
    self.body.append(f'<div class="math">{formula}</div>\n')
    raise nodes.SkipNode


def cut_font(app: Sphinx) -> None:
    """Leave the site a font with the characters it needs, a tenth of the whole."""
    place = Path(app.srcdir) / "_built" / "static" / "math.woff"
    place.parent.mkdir(parents=True, exist_ok=True)
    package = find_spec("ziamath")
    assert package is not None
    assert package.origin is not None
    source = Path(package.origin).parent / FONT
    # Without alternative forms; sizes and pieces of brackets stand in the table of formulas.
    options = f"--unicodes={NEEDED} --flavor=woff --layout-features= --no-glyph-names"
    if subset.main([str(source), *options.split(), f"--output-file={place}"]):
        raise RuntimeError(f"no font could be made of {source}")


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.connect("builder-inited", cut_font, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""The examples in Markdown pages run while the site is built.

Owns which blocks of a page are examples, and what it means that they work. A block marked
``python`` runs in names of its own, in an empty folder; a block marked ``text`` right after it must
be what it printed. Must not know any page.
"""

import contextlib
import io
import re
import tempfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the tests run examples without Sphinx
    from sphinx.application import Sphinx

EXAMPLE = re.compile(
    r"^```python\n(?P<code>.*?)^```$(?:\n+^```text\n(?P<printed>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


def run(text: str, page: str, prepare: str = "") -> int:
    """Run all examples of a page.

    Parameters
    ----------
    text : str
        The page in Markdown.
    page : str
        Its name, for errors.
    prepare : str
        Code that runs first and leaves files behind.

    Returns
    -------
    int
        How many there were.

    Raises
    ------
    ValueError
        One of them failed, or printed something else; the message says where.
    """
    found = list(EXAMPLE.finditer(text))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        exec(prepare, {})
        for example in found:
            line = text.count("\n", 0, example.start()) + 2
            where = f"{page}:{line}"
            printed = io.StringIO()
            code = compile("\n" * (line - 1) + example["code"], page, "exec")
            try:
                with contextlib.redirect_stdout(printed):
                    exec(code, {"__name__": "__main__"})
            except Exception as error:
                raise ValueError(f"{where}: {type(error).__name__}: {error}") from error
            expected, got = example["printed"], printed.getvalue()
            if expected is not None and got != expected:
                raise ValueError(f"{where}: it printed\n{got}and not\n{expected}")
    return len(found)


def run_page(app: "Sphinx", name: str, source: list[str]) -> None:
    """Run the examples of a page that is about to be read."""
    from sphinx.util import logging

    if app.env.doc2path(name, base=False).suffix != ".md":
        return
    try:
        run(source[0], name, app.config.examples_prepared.get(name, ""))
    except ValueError as error:
        logging.getLogger(__name__).warning("%s", error, location=name)


def setup(app: "Sphinx") -> dict[str, bool]:
    """Tell Sphinx."""
    app.add_config_value("examples_prepared", {}, "env", dict)
    app.connect("source-read", run_page)
    return {"parallel_read_safe": False, "parallel_write_safe": True}

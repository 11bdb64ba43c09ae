"""How Sphinx builds the documentation: ``nox -s docs``.

Owns what is read, what each page is rendered with, and how the site looks. What the build itself
computes (examples, pictures, formulas) stands in ``_site``. Nothing on a page is loaded from
another host.
"""

import os
import sys
from pathlib import Path

# NumPy's products on these pages are too small to share. Keras is to run on torch, which is there.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("KERAS_BACKEND", "torch")

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from _site import figures

import lstm_native

project = "lstm_native"
author = "the lstm_native maintainers"
copyright = "the lstm_native maintainers, MIT licence"
version = release = lstm_native.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "_site.examples",
    "_site.links",
    "_site.mathml",
    "_site.pictures",
]
exclude_patterns = ["_site", "_build", "learn/*.py", "**/GALLERY_HEADER.rst"]
nitpicky = True
suppress_warnings = ["config.cache"]  # the gallery's order is a function, which cannot be pickled
templates_path = ["_templates"]
default_role = "autolink"  # `x` in a docstring names an argument, or an object to link

# --- pages ---

myst_enable_extensions = ["attrs_inline", "colon_fence", "dollarmath", "substitution"]
myst_substitutions = figures.substitutions()
myst_heading_anchors = 4

# What stands in the working directory while the examples of a page run.
examples_prepared = {
    "files": "from lstm_native import LSTM, save; import os\n"
    "save('model.npz', LSTM(3, 4)); os.rename('model.npz', 'model.pt')",
}

sphinx_gallery_conf = {
    "examples_dirs": ["learn", "gallery"],
    "gallery_dirs": ["_built/learn", "_built/gallery"],
    "filename_pattern": "/",
    "within_subsection_order": "_site.order.AsNumbered",
    "download_all_examples": False,
    "notebook_extensions": set(),
    "capture_repr": (),
    "show_signature": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,
    "abort_on_example_error": True,
    "image_srcset": ["2x"],
    "reset_modules": ("_site.style.fresh",),
    "reset_modules_order": "before",
    "thumbnail_size": (400, 260),
    "remove_config_comments": True,
}

# --- the interface ---

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections say more
# An argument of that name looks like the module.
nitpick_ignore = [("py:class", "abc.ABC"), ("py:obj", "mmap")]
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
# Those checks of numpydoc that are about what a reader finds, not about wording.
numpydoc_validation_checks = {"GL06", "GL07", "GL08", "SS01", "PR01", "PR02", "PR03", "PR10"}
# Made by the library, never by their constructors: their attributes are described instead. And a
# class whose arguments are torch's.
numpydoc_validation_exclude = {
    r"lstm_native\.(Gradients|Tape|Stream|FoundLSTM)$",
    r"bridges\.torch\.LSTM(\.forward)?$",
}
# Of docstrings. Those of the package itself run in tests/test_docs.py at every landing, too; here
# also those of the bridges.
doctest_global_setup = """
import os, tempfile
import numpy as np
from lstm_native import *
from lstm_native.optim import *
os.chdir(tempfile.mkdtemp())  # examples write files
"""


def skip_inherited(app, what, name, member, skip, options):
    """Whether to leave a member out: those that scikit-learn lends are on its own site."""
    return skip or (getattr(member, "__module__", None) or "").startswith("sklearn.")


def setup(app):
    """Connect what is defined here."""
    app.connect("autodoc-skip-member", skip_inherited)


# --- looks ---

html_theme = "pydata_sphinx_theme"
html_title = f"lstm_native {release}"
html_static_path = ["_static", "_built/static"]
(HERE / "_built" / "static").mkdir(parents=True, exist_ok=True)
html_css_files = ["site.css"]
html_favicon = "_static/mark.svg"
html_math_renderer = "mathml"
html_copy_source = html_show_sourcelink = False
html_sidebars = {"index": [], "examples": []}
html_theme_options = {
    "logo": {
        "text": "lstm_native",
        "image_light": "_static/mark.svg",
        "image_dark": "_static/mark.svg",
    },
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "github-light-high-contrast",
    "pygments_dark_style": "github-dark",
    "search_as_you_type": True,
}
copybutton_exclude = ".linenos, .gp, .go"

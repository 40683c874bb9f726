"""Configure Sphinx for `make docs`, which needs no network and treats every warning as an error."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import gazekit

project = "gazekit"
author = "The gazekit developers"
release = version = gazekit.__version__

extensions = [
    "_extension",
    "myst_nb",  # Markdown, and the notebook with the outputs that it holds
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
smartquotes = False  # -- begins an option
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_use_rtype = False
nitpicky = False

html_theme = "furo"
html_title = f"gazekit {release}"
html_show_copyright = False
copybutton_exclude = ".linenos, .gp, .go"
html_static_path = ["_static"]
html_css_files = ["gazekit.css"]

"""The site of the documentation: `scripts/docs` builds it with Sphinx out of the pages in this folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import hqgen

project = "hqgen + spikeclip"
version = release = hqgen.__version__
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "docs.generate.extension"]
exclude_patterns = ["generate"]
root_doc = "index"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3  # links to headings are as on GitHub; Sphinx fails where there is no such heading

smartquotes_action = "D"  # dashes between a parameter and its text; quotes are shown as they are written
toc_object_entries = False
default_role = "code"  # `x` in a docstring means code, as in Markdown
nitpicky = False  # docstrings name types of other libraries, whose sites cannot be reached offline
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
napoleon_use_ivar = True
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

html_theme = "pydata_sphinx_theme"
html_title = project
html_use_index = False
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
html_favicon = html_logo = "../hqgen/view/page/icon.svg"
html_css_files = ["site.css"]
html_static_path = ["static"]
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_align": "left",
    "logo": {"text": project},
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": [],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

"""How Sphinx builds the documentation: ``make docs``."""

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

from deap_nn import __version__

project, author = "deap_nn", "The deap_nn developers"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
html_theme, html_title = "furo", f"deap_nn {version}"
html_static_path, html_css_files = ["_static"], ["docs.css"]
html_extra_path = ["report.html"]
html_show_sphinx = html_show_copyright = False

default_role = "py:obj"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False

myst_heading_anchors = 3

html_math_renderer = "mathml"


def write_formula(writer, node):
    """Write a formula as MathML, which a browser renders without a network."""
    writer.body.append(convert(node.astext()))
    raise SkipNode


def setup(app):
    """Register the renderer of formulas."""
    app.add_html_math_renderer("mathml", inline_renderers=(write_formula, None), block_renderers=(write_formula, None))

"""How Sphinx builds these pages as a site: ``make docs``. The pages are Markdown, and read as well without it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Final

from pygments.lexers import JsonLexer

Sphinx = Any
"""`sphinx.application.Sphinx`, which only ``make docs`` installs."""

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

project = "job-runtime"
author = "The runtime authors"
copyright = f"2026, {author}"  # noqa: A001 - the name that Sphinx expects

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinxarg.ext",
    "sphinxcontrib.mermaid",
]
exclude_patterns = ["measured", "_build"]
html_theme = "furo"
html_title = "job-runtime"
html_static_path: list[str] = []

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4  # as GitHub has them, for the links between pages
myst_fence_as_directive = ["mermaid"]

nitpicky = False  # the types of private modules in signatures have no page
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_class_signature = "separated"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# Docstrings write names in single backticks, which mean that in Markdown, too.
default_role = "code"
intersphinx_mapping: dict[str, tuple[str, str | None]] = {}  # no request leaves the machine that builds it

_OUTSIDE: Final = re.compile(r"\[([^\]]*)\]\((\.\./[^)#]*\.md)[^)]*\)")
"""A link to a page in Markdown that is no part of the site, such as the README of an example."""


def _offer_outside_pages(_app: Sphinx, _page: str, source: list[str]) -> None:
    """Turn such links into downloads: on GitHub, where the pages are read as well, they lead to the page."""
    source[0] = _OUTSIDE.sub(
        lambda link: f"{{download}}`{' '.join(link[1].replace('`', '').split())} <{link[2]}>`", source[0]
    )


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _offer_outside_pages)
    app.add_lexer("jsonl", JsonLexer)

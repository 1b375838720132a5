"""How Sphinx makes the site of the pages that are in the repository: `make docs`.

The source is the whole repository, so that a link between pages leads to the same file here, on a
forge and on the site.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "Relaylab"
author = "Relaylab's authors"
root_doc = "docs/README"
extensions = ["myst_parser"]
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**.md", "examples/**.md"]
exclude_patterns = [
    ".*",
    "**/node_modules",
    "benchmarks",
    "build",
    "dist",
    "relay",
    "site",
    "tests",
]
source_suffix = {".md": "markdown"}

myst_heading_anchors = 4
nitpicky = True
# It would make a dash of the two in front of an option.
smartquotes = False
keep_warnings = False

html_theme = "furo"
html_title = "Relaylab"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
html_static_path = ["site"]
html_css_files = ["site.css"]
html_extra_path = ["site/index.html"]
html_theme_options = {"navigation_with_keys": True}

_DETAIL: Final = re.compile(r"(docs/lab|examples)/(?!README$)")
_SECTION: Final = re.compile(r"^## (?P<title>.+)\n(?P<text>(?:(?!## ).*\n)*)", re.MULTILINE)
_ENTRY: Final = re.compile(r"^- \[(?P<title>[^\]]+)\]\((?P<page>[^)#:]+)\.md\)", re.MULTILINE)
_LINK: Final = re.compile(r"(?<!!)\[(?P<words>[^\]]+)\]\((?P<target>[^)#:\s]+)\)")
_FOR_ALL_SENSES: Final = (
    ("body", "<pre>", '<pre tabindex="0">'),
    ("furo_navigation_tree", 'role="heading"', 'role="heading" aria-level="2"'),
)
_AFTER_THE_THEME: Final = 900
"""A priority; 500 is what everybody has who doesn't say."""


def _add_navigation(_app: Sphinx, page: str, source: list[str]) -> None:
    """Make the navigation of the front page's lists, for which Markdown itself has no way.

    Scenarios and examples have indexes of their own: nobody looks for one among a hundred names.
    """
    if _DETAIL.match(page):
        source[0] = f"---\norphan: true\n---\n{source[0]}"
    elif page == root_doc:
        source[0] += "".join(map(_navigation, _SECTION.finditer(source[0])))


def _navigation(section: re.Match[str]) -> str:
    entries = [f"{e['title']} <{e['page']}>" for e in _ENTRY.finditer(section["text"])]
    head = f"\n```{{toctree}}\n:hidden:\n:caption: {section['title']}\n\n"
    return head + "\n".join(entries) + "\n```\n" if entries else ""


def _unlink_folders(app: Sphinx, page: str, source: list[str]) -> None:
    """Leave of a link to a folder, which a forge shows and a site doesn't have, its words."""
    beside = (app.srcdir / page).parent
    source[0] = _LINK.sub(
        lambda link: link["words"] if (beside / link["target"]).is_dir() else link[0], source[0]
    )


def _serve_all_senses(
    _app: Sphinx, _page: str, _template: str, context: dict[str, Any], _doctree: object
) -> None:
    """Let keys reach program text that scrolls, and say the level of the navigation's headings."""
    for part, made, better in _FOR_ALL_SENSES:
        if part in context:
            context[part] = context[part].replace(made, better)


def setup(app: Sphinx) -> None:
    """Have each page's text made ready before it is read, and its HTML before it is written."""
    app.connect("source-read", _unlink_folders)
    app.connect("source-read", _add_navigation)
    app.connect("html-page-context", _serve_all_senses, priority=_AFTER_THE_THEME)

"""The words of an HTML document, in a time that grows with its length alone.

The standard library's parser goes back to what was left open again and again (CVE-2025-6069). Here
as in a browser (HTML Living Standard, 13.2.5): what is left open goes on to the end.
"""

from __future__ import annotations

import re
from html import unescape
from typing import Final

_MARKUP: Final = re.compile(
    r"""
    <!--(?:-?>|.*?(?:--!?>|\Z))
  | <(?P<end>/?)(?P<tag>[a-zA-Z][^\s/>]*+)
        (?: [^>=]++ | =\s*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)) | = )*+ (?:>|\Z)
  | <[!?/][^>]*+(?:>|\Z)
    """,
    re.DOTALL | re.VERBOSE,
)
_RAW: Final = {
    tag: re.compile(rf"</{tag}(?=[\s/>])", re.IGNORECASE | re.ASCII) for tag in ("script", "style")
}
"""Elements whose content is no markup, with what ends it."""
_UNSEEN: Final = frozenset({"head", "title"})
_LINES: Final = frozenset(
    {"address", "blockquote", "br", "div", "dd", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
     "li", "p", "pre", "table", "td", "th", "tr"}
)  # fmt: skip
_LONG_NUMBER: Final = re.compile(r"&#(?:[0-9]{9,}+|[xX][0-9a-fA-F]{9,}+);?")


def html_text(html: str) -> str:
    """Return the text that a document shows, a block on a line of its own."""
    # A number that long is no character, and Python refuses to read one without end.
    found = "".join(_words(_LONG_NUMBER.sub("\N{REPLACEMENT CHARACTER}", html)))
    lines = (" ".join(line.split()) for line in found.splitlines())
    return "\n".join(line for line in lines if line)


def _words(html: str) -> list[str]:
    words: list[str] = []
    unseen: list[str] = []
    at = 0
    while (markup := _MARKUP.search(html, at)) is not None:
        if not unseen:
            words.append(_data(html[at : markup.start()]))
        at = markup.end()
        tag = (markup["tag"] or "").lower()
        if tag in _LINES:
            words.append("\n")
        elif markup["end"]:
            if tag in unseen:
                del unseen[unseen.index(tag) :]
        elif tag == "body":
            # A head that was left open ends here.
            unseen.clear()
        elif tag in _RAW:
            end = _RAW[tag].search(html, at)
            at = len(html) if end is None else end.start()
        elif tag in _UNSEEN and tag not in unseen:
            unseen.append(tag)
    if not unseen:
        words.append(_data(html[at:]))
    return words


def _data(text: str) -> str:
    return " ".join(unescape(text).splitlines())

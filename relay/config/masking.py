"""A policy's text as it may be shown: without its passwords."""

from __future__ import annotations

import re
from typing import Final

_KEY: Final = r"password(?:_env)?[\"']?\s*:"
"""Some take password_env for the password itself."""
_LINE: Final = re.compile(
    # What is indented deeper below the key is its value, too.
    rf"(?P<key>^(?P<indent> *)(?:- +)*[\"']?{_KEY})"
    r"(?P<value>[^\n]*(?:\n(?P=indent) +[^\n]*|\n *(?=\r?\n|\Z))*)",
    re.MULTILINE,
)
"""A password that has a line of its own, or several."""
_AMONG_OTHERS: Final = re.compile(
    rf"(?P<key>\b{_KEY}\s*)"
    r"(?P<value>\"(?:[^\"\\]|\\.)*\"?|'(?:[^']|'')*'?|[^\s,}][^,}\n]*)",
    re.DOTALL,
)
"""A password in a mapping in braces."""


def masked(text: str) -> str:
    """Return a policy's text, sound or not, without its passwords.

    It is for the text alone: the words of problems never repeat one.

    Each line is as long as before, so that the places of problems fit.
    """
    for password in (_LINE, _AMONG_OTHERS):
        text = password.sub(_starred, text)
    return text


def _starred(found: re.Match[str]) -> str:
    return found["key"] + re.sub(r"\S", "*", found["value"])

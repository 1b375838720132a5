"""Whether a message's octets alone say that a search does not find it, so that nobody reads it.

To read a message costs fifty times as much as to look at its octets. What the reader makes of a
header in ASCII without encoded words and comments is pieces of its octets, less white space,
punctuation and backslashes; of a body in plain text without a transfer encoding, just so. Hence
what does not stand in the octets, all without these, does not stand in the message. Of any other
message nothing is said. Pure.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Sequence
from typing import Final

from relay.journal.keys import storable
from relay.web.mailpit_search import Contains, Part, Term

_LEFT_OUT: Final = b' \t\r\n\v\f\x1c\x1d\x1e\x1f<>",;()\\'
_LOWER: Final = bytes.maketrans(
    string.ascii_uppercase.encode("ascii"), string.ascii_lowercase.encode("ascii")
)
_HEAD_END: Final = b"\r\n\r\n"
_ENCODED_HEAD: Final = re.compile(rb"=\?|\(")
"""Encoded words (RFC 2047), and comments, which may stand within an address."""
_ENCODED_BODY: Final = re.compile(
    rb"multipart|message/|html|base64|quoted-printable|uue|name\*|"
    rb'charset(?!="?(?:utf-8|us-ascii|iso-8859-\d+)(?:["\s;]|$))'
)
"""What in a head, in lower case, makes a body or a file's name other than its octets."""
_OF_ENVELOPES: Final = frozenset({Part.BCC, Part.ADDRESSED, Part.ANYWHERE})
"""Parts in which recipients are found that no header names."""


class Glance:
    """Tells by octets what the terms of one search do not find; all of them must hold."""

    def __init__(self, terms: Sequence[Term]) -> None:
        wanted = [
            term.condition
            for term in terms
            if isinstance(term.condition, Contains)
            and term.condition.part is not Part.TAG
            and not term.negated
        ]
        self._in_head = _pieces(c for c in wanted if c.part not in _OF_ENVELOPES)
        self._in_envelope = _pieces(c for c in wanted if c.part in {Part.BCC, Part.ADDRESSED})
        self._anywhere = _pieces(c for c in wanted if c.part is Part.ANYWHERE)

    @property
    def asks_recipients(self) -> bool:
        """Whether it takes the envelope's recipients to tell."""
        return bool(self._in_envelope or self._anywhere)

    def passes_over(self, octets: bytes, recipients: Iterable[str] = ()) -> bool:
        """Whether the search surely doesn't find a message; `recipients` are the envelope's."""
        end = octets.find(_HEAD_END)
        head = octets if end < 0 else octets[:end]
        if not head.isascii() or _ENCODED_HEAD.search(head):
            return False
        if self._in_head and not _has_all(_bare(head), self._in_head):
            return True
        if not self.asks_recipients:
            return False
        hidden = _bare(storable(" ".join(recipients).casefold()).encode())
        if self._in_envelope and not _has_all(_bare(head) + b" " + hidden, self._in_envelope):
            return True
        if not self._anywhere or not octets.isascii():
            return False
        if _ENCODED_BODY.search(head.translate(_LOWER)):
            return False
        return not _has_all(_bare(octets) + b" " + hidden, self._anywhere)


def _bare(octets: bytes) -> bytes:
    return octets.translate(_LOWER, _LEFT_OUT)


def _pieces(conditions: Iterable[Contains]) -> tuple[bytes, ...]:
    """Return what must stand in octets; a text may have been put together at its spaces."""
    found = (_bare(storable(p).encode()) for c in conditions for p in c.text.split())
    return tuple(piece for piece in found if piece)


def _has_all(octets: bytes, pieces: Iterable[bytes]) -> bool:
    return all(piece in octets for piece in pieces)

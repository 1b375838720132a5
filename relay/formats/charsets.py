"""Text of messages by the name of a character set, which whoever sends it chooses.

Python looks such a name up among all its codecs, and some of those are no character sets: RFC
3492's Punycode takes a time that grows with the square of the text.
"""

from __future__ import annotations

import codecs
from email.errors import MessageError
from email.header import decode_header, make_header
from typing import Final

MAX_VALUE: Final = 16_384
"""Characters of a field in which encoded words are looked for."""
_NO_CHARACTER_SETS: Final = frozenset(
    {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}
)


def decoded(octets: bytes, charset: str) -> str:
    """Return octets as text, what can't be read replaced.

    Raises LookupError or ValueError where `charset` names no character set.
    """
    if _is_none(charset):
        raise LookupError(f"{charset} is no character set")
    return octets.decode(charset, "replace")


def words_of(value: str) -> list[tuple[str | bytes, str | None]]:
    """Return the parts of a field's value, those that were encoded as octets (RFC 2047).

    Raises ValueError where one can't be decoded, or names no character set, and for a value that is
    longer than `MAX_VALUE`: the library's pattern goes back to the start of each word.
    """
    if len(value) > MAX_VALUE:
        raise ValueError("the field is too long for encoded words to be looked for")
    try:
        words = decode_header(value)
    except MessageError as error:
        raise ValueError("an encoded word can't be decoded") from error
    if any(charset is not None and _is_none(charset) for _, charset in words):
        raise ValueError("an encoded word is of no character set")
    return words


def with_words_decoded(value: str) -> str:
    """Return a field's value with encoded words decoded; as it is where that can't be done."""
    if "=?" not in value:
        return value
    try:
        return str(make_header(words_of(value)))
    except (MessageError, LookupError, ValueError):
        return value


def _is_none(charset: str) -> bool:
    try:
        name = codecs.lookup(charset).name
    except (LookupError, ValueError):
        # The caller's decoder knows aliases of its own, and refuses the rest.
        return False
    return name.replace("_", "-") in _NO_CHARACTER_SETS

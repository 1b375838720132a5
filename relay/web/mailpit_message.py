"""A message as Mailpit tells it: addresses, texts and parts, taken from the octets received.

Whatever the octets are, there is an answer; what can't be decoded is replaced. Parts are numbered
as Mailpit does: those of the outermost multipart `1`, `2`, those of the first of them `1.1`, `1.2`,
and `0` a message that has no parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.utils import getaddresses, parsedate_to_datetime
from functools import cached_property
from hashlib import md5, sha1, sha256
from typing import Final

from relay.core.jsonform import Json
from relay.formats.charsets import decoded, words_of
from relay.web.html_words import html_text
from relay.web.mail_parts import read_message, written_out

_MAX_DEPTH: Final = 20
"""Multiparts within multiparts that are opened."""
_MAX_ADDRESSES: Final = 65_536
"""Characters in which addresses are looked for."""
_SNIPPET: Final = 250
_FOLD: Final = re.compile(r"\r?\n[ \t]*")
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class MailPart:
    """A part with content; `content_id` has no brackets, `disposition` is in lower case."""

    id: str
    content_type: str
    disposition: str
    file_name: str
    content_id: str
    content: bytes

    @property
    def json(self) -> Json:
        """The part as Mailpit lists it."""
        return {
            "PartID": self.id,
            "FileName": self.file_name,
            "ContentType": self.content_type,
            "ContentID": self.content_id,
            "Size": len(self.content),
            "Checksums": {
                "MD5": md5(self.content, usedforsecurity=False).hexdigest(),
                "SHA1": sha1(self.content, usedforsecurity=False).hexdigest(),
                "SHA256": sha256(self.content).hexdigest(),
            },
        }


class MailMessage:
    """A message read; parts are decoded when they are asked for."""

    def __init__(self, content: bytes) -> None:
        self._addresses: dict[str, list[Json]] = {}
        self._message = read_message(content)

    @cached_property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Names and values in their order, unfolded, encoded words as they stand."""
        return tuple((name, _unfolded(value)) for name, value in self._message.raw_items())

    @cached_property
    def _values(self) -> dict[str, list[str]]:
        values: dict[str, list[str]] = {}
        for name, value in self.headers:
            values.setdefault(name.lower(), []).append(value)
        return values

    def header(self, name: str) -> str:
        """Return a header's first value with encoded words decoded, empty where there is none."""
        return next((_decoded(value) for value in self._values.get(name.lower(), ())), "")

    def addresses(self, name: str) -> list[Json]:
        """Return the addresses of all headers of a name, as Mailpit has them."""
        found = self._addresses.get(name)
        if found is None:
            text = ", ".join(self._values.get(name.lower(), ()))
            try:
                pairs = getaddresses([text[:_MAX_ADDRESSES]]) if text else []
            except RecursionError:
                # Comments within comments without end.
                pairs = []
            found = [
                {"Name": _decoded(shown), "Address": address} for shown, address in pairs if address
            ]
            self._addresses[name] = found
        return list(found)

    @property
    def sender(self) -> Json:
        """The first address of From; its words as the name where there is none."""
        found = self.addresses("From")
        return found[0] if found else {"Name": self.header("From"), "Address": ""}

    @property
    def date(self) -> datetime | None:
        """The Date header, in UTC where it names no zone."""
        try:
            at = parsedate_to_datetime(self.header("Date"))
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
        return at if at.tzinfo else at.replace(tzinfo=UTC)

    @cached_property
    def parts(self) -> tuple[MailPart, ...]:
        """Every part that is no multipart, in order."""
        return tuple(_leaves(self._message, "0", 0))

    @cached_property
    def text(self) -> str:
        """The plain text; the HTML's own where there is no plain text."""
        found = "\n".join(_as_text(p) for p in self._bodies("text/plain"))
        return found or (html_text(self.html) if self.html else "")

    @cached_property
    def html(self) -> str:
        """The HTML, empty where there is none."""
        return "\n".join(_as_text(p) for p in self._bodies("text/html"))

    @cached_property
    def attachments(self) -> tuple[MailPart, ...]:
        """Parts to keep."""
        return tuple(p for p in self.parts if not _is_body(p) and not _is_inline(p))

    @cached_property
    def inline(self) -> tuple[MailPart, ...]:
        """Parts that the HTML shows, or may show."""
        return tuple(p for p in self.parts if not _is_body(p) and _is_inline(p))

    @property
    def snippet(self) -> str:
        """The beginning of the text on one line."""
        words = " ".join(((html_text(self.html) if self.html else "") or self.text).split())
        return words if len(words) <= _SNIPPET else f"{words[: _SNIPPET - 3]}..."

    def _bodies(self, content_type: str) -> Iterator[MailPart]:
        for part in self.parts:
            if _is_body(part) and _base_type(part) == content_type:
                yield part


def canonical_name(name: str) -> str:
    """Return a header's name as Mailpit spells it: `Message-Id`, `Mime-Version`."""
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))


def _leaves(part: Message, number: str, depth: int) -> Iterator[MailPart]:
    if part.get_content_maintype() == "multipart" and part.is_multipart() and depth < _MAX_DEPTH:
        prefix = "" if number == "0" else f"{number}."
        for index, child in enumerate(part.get_payload(), 1):
            if isinstance(child, Message):
                yield from _leaves(child, f"{prefix}{index}", depth + 1)
        return
    yield MailPart(
        id=number,
        content_type=part.get_content_type() + _charset(part),
        disposition=(part.get_content_disposition() or "").lower(),
        file_name=_file_name(part),
        content_id=_UNSAFE.sub("", str(part.get("Content-ID", ""))).strip().strip("<>"),
        content=_content(part),
    )


def _content(part: Message) -> bytes:
    if part.is_multipart():
        # message/rfc822, message/delivery-status: what stands inside, written out again.
        return b"\n".join(written_out(p) for p in part.get_payload() if isinstance(p, Message))
    decoded = part.get_payload(decode=True)
    return decoded if isinstance(decoded, bytes) else b""


def _charset(part: Message) -> str:
    try:
        charset = part.get_content_charset()
    except (LookupError, ValueError, TypeError):
        return ""
    named = part.get_content_maintype() == "text" and charset and charset.isascii()
    return f"; charset={charset}" if named and not _UNSAFE.search(charset or "") else ""


def _file_name(part: Message) -> str:
    try:
        return _UNSAFE.sub("", _decoded(_unfolded(part.get_filename() or "")))
    except (ValueError, LookupError, TypeError):
        return ""


def _base_type(part: MailPart) -> str:
    return part.content_type.partition(";")[0]


def _is_body(part: MailPart) -> bool:
    return (
        part.disposition != "attachment"
        and not part.file_name
        and _base_type(part) in {"text/plain", "text/html"}
    )


def _is_inline(part: MailPart) -> bool:
    return part.disposition == "inline" or (not part.disposition and bool(part.content_id))


def _as_text(part: MailPart) -> str:
    charset = part.content_type.partition("charset=")[2] or "utf-8"
    try:
        return decoded(part.content, charset)
    except (LookupError, ValueError):
        return part.content.decode("utf-8", "replace")


def _unfolded(value: object) -> str:
    text = str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return _FOLD.sub(" ", text).strip()


def _decoded(value: str) -> str:
    """Decode encoded words (RFC 2047); what can't be decoded stays as it is."""
    if "=?" not in value:
        return value
    try:
        parts = [
            word if isinstance(word, str) else word.decode(charset or "ascii", "replace")
            for word, charset in words_of(value)
        ]
    except (LookupError, ValueError):
        return value
    return _UNSAFE.sub("", "".join(parts))

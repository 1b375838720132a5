"""A message's header and MIME parts, read by the standard library when somebody asks for them.

Whatever octets were accepted are read without an error; the parser takes what it can. Parts are
numbered from 1 in the order of the message, nested ones too; a multipart itself has no content and
no number.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from typing import Final

from relay.formats.charsets import decoded
from relay.formats.mime import BoundedMessage

MAX_PARTS: Final = 1000
"""Parts of one message that are told of."""
_HEAD: Final = re.compile(rb"(?:[!-9;-~]+:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*)+\r\n")
"""A head in which every line is of a header (RFC 5322), to the empty line."""
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderField:
    """One field of a header, in its order, unfolded and otherwise as it was written."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSummary:
    """One part; `size` is in octets, decoded. `filename` is the sender's word for it."""

    number: int
    content_type: str
    charset: str | None
    filename: str | None
    disposition: str | None
    content_id: str | None
    size: int


def read_message(content: bytes) -> Message:
    """Return a message parsed; of one that the library can't take apart, its head alone."""
    try:
        return _parsed(content)
    except (RecursionError, ValueError):
        # Thousands of parts inside one another, or a boundary whose continuation has no number.
        message = _head_of(content)
        del message["Content-Type"]
        return message


def _parsed(content: bytes) -> Message:
    """Return what the library does, without a look at each line of a body that is one part."""
    head = _HEAD.match(content)
    if head is not None:
        message = message_from_bytes(head[0], BoundedMessage, policy=compat32)
        if message.get_content_maintype() not in {"multipart", "message"}:
            message.set_payload(content[head.end() :].decode("ascii", "surrogateescape"))
            return message
    return message_from_bytes(content, BoundedMessage, policy=compat32)


def written_out(message: Message, *, line_end: str = "\n") -> bytes:
    """Return a message as octets again, empty where the library can't write it."""
    try:
        return message.as_bytes(policy=compat32.clone(linesep=line_end))
    except (RecursionError, LookupError, ValueError, TypeError):
        return b""


def header_fields(content: bytes) -> tuple[HeaderField, ...]:
    """Return a message's header fields."""
    return tuple(
        HeaderField(name=_printable(name), value=_printable(_unfolded(str(value))))
        for name, value in _head_of(content).raw_items()
    )


def part_summaries(content: bytes) -> tuple[PartSummary, ...]:
    """Return a message's parts that have content of their own."""
    return tuple(_summary(number, part) for number, part in _parts(content))


def part_content(content: bytes, number: int) -> tuple[PartSummary, bytes] | None:
    """Return a part and its decoded octets, None where the message has no such part."""
    for own, part in _parts(content):
        if own == number:
            return _summary(own, part), _decoded(part)
    return None


def part_text(content: bytes, number: int) -> str | None:
    """Return a part as text, by its character set; what can't be read is replaced."""
    found = part_content(content, number)
    if found is None:
        return None
    summary, octets = found
    try:
        return decoded(octets, summary.charset or "utf-8")
    except (LookupError, ValueError):
        return octets.decode("utf-8", "replace")


def _parts(content: bytes) -> Iterator[tuple[int, Message]]:
    number = 0
    for part in read_message(content).walk():
        if not part.is_multipart() or part.get_content_maintype() == "message":
            number += 1
            yield number, part
        if number == MAX_PARTS:
            return


def _head_of(content: bytes) -> Message:
    return BytesHeaderParser(BoundedMessage, policy=compat32).parsebytes(
        _HEAD_END.split(content, maxsplit=1)[0]
    )


def _summary(number: int, part: Message) -> PartSummary:
    return PartSummary(
        number=number,
        content_type=_printable(part.get_content_type()),
        charset=_word(part, "charset"),
        filename=_word(part, "name"),
        disposition=_disposition(part),
        content_id=_field(part, "Content-ID"),
        size=len(_decoded(part)),
    )


def _word(part: Message, what: str) -> str | None:
    """Return a parameter that a sender may have written in any way, RFC 2231's included."""
    try:
        found = part.get_content_charset() if what == "charset" else part.get_filename()
    except (LookupError, ValueError, TypeError, UnicodeError):
        return None
    return None if found is None else _printable(found)


def _disposition(part: Message) -> str | None:
    found = _field(part, "Content-Disposition")
    return None if found is None else found.partition(";")[0].strip().lower()


def _field(part: Message, name: str) -> str | None:
    value = part.get(name)
    return None if value is None else _printable(_unfolded(str(value)))


def _decoded(part: Message) -> bytes:
    if part.is_multipart():
        # A message within the message, such as a notification brings back.
        return b"".join(
            written_out(inner, line_end="\r\n")
            for inner in part.get_payload()
            if isinstance(inner, Message)
        )
    try:
        payload = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError):
        payload = None
    return payload if isinstance(payload, bytes) else b""


def _unfolded(value: str) -> str:
    return "".join(value.splitlines())


def _printable(text: str) -> str:
    """Return the text without what JSON's readers could not hold: lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")

"""Reads what comes back: delivery status notifications, and bounces in other mail servers' words.

    message/delivery-status (RFC 3464) ... the standard library's email package
    anything else ........................ flufl.bounce names the addresses; the code is sought in
                                           the text that stands behind each

Pure, and never raises for what a message says. Nothing found is an empty result. A message made to
be slow to read takes seconds, so an event loop leaves it to a thread.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.utils import parseaddr
from itertools import islice
from typing import Final

from relay.core.records import Reading
from relay.core.replies import Reply, StatusCode
from relay.formats.mime import BoundedMessage

MAX_TEXT: Final = 400
"""Characters kept of a host's words."""
MAX_READ: Final = 262_144
"""Octets that are read of a message; a report comes before the message that it returns."""
MAX_PARTS: Final = 100
"""Parts of a message in other servers' words; one with more is nobody's bounce."""
MAX_WORDS: Final = 65_536
"""Octets of text that are read in other servers' words."""
MAX_LINE: Final = 300
"""Octets of one line of it. The detectors' patterns take a time that grows with its third power."""
MAX_RECIPIENTS: Final = 1000
"""Reports read from one notification."""

_log: Final = logging.getLogger("relay.formats")

_ACTIONS: Final = {
    "failed": Reading.FAILED,
    "delayed": Reading.DELAYED,
    "delivered": Reading.DELIVERED,
    "relayed": Reading.DELIVERED,
    "expanded": Reading.DELIVERED,
}
_STATUS: Final = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})")
_REPLY: Final = re.compile(r"(?<![\d.])([245]\d\d)[ -]+(?=\S)(.*)", re.DOTALL)
_REPLY_IN_TEXT: Final = re.compile(r"(?<![\d.:\[])([45]\d\d)(?:[ -]+|-)(?=[45]\.\d|[A-Za-z<#])")
_ENHANCED_IN_TEXT: Final = re.compile(r"(?<![\d.])([45]\.\d{1,2}\.\d{1,3})(?![\d.])")
_RETURNED_COPY: Final = re.compile(
    # Possessive: a line of dashes alone would be looked through once for each of them.
    r"^-{3,}+.*\b(?:copy|original|below)\b",
    re.MULTILINE | re.IGNORECASE,
)
_ESCAPED: Final = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedRecipient:
    """What a notification says of one recipient.

    `addresses` are the names that it gives the recipient, the original one first. `status` and
    `text` are the refusing host's, as far as they are told. `host` is that host, None where the
    reporting server itself refused or nothing is said.
    """

    addresses: tuple[str, ...]
    reading: Reading
    status: StatusCode
    text: str
    host: str | None


def read_report(content: bytes) -> tuple[ReportedRecipient, ...]:
    """Read a message that came back; empty where it can't be understood."""
    try:
        message = message_from_bytes(content[:MAX_READ], BoundedMessage)
        found = tuple(_standard(message))[:MAX_RECIPIENTS]
        return found or tuple(_others(message))[:MAX_RECIPIENTS]
    except Exception as error:
        # Two parsers of what anybody may send: whatever breaks them is unreadable, not an error.
        _log.warning("a message that came back can't be read: %s", type(error).__name__)
        return ()


def _standard(message: Message) -> Iterator[ReportedRecipient]:
    for part in message.walk():
        if part.get_content_type() != "message/delivery-status" or not part.is_multipart():
            continue
        for block in part.get_payload():
            if isinstance(block, Message) and (found := _block(block)) is not None:
                yield found
        return


def _block(block: Message) -> ReportedRecipient | None:
    addresses = tuple(
        dict.fromkeys(
            address
            for name in ("Original-Recipient", "Final-Recipient")
            if (address := _address(block.get(name)))
        )
    )
    reading = _ACTIONS.get(_flat(block.get("Action")).lower())
    if not addresses or reading is None:
        return None
    status, text = _code(reading, _flat(block.get("Status")), block.get("Diagnostic-Code"))
    return ReportedRecipient(
        addresses=addresses,
        reading=reading,
        status=status,
        text=text,
        host=_bounded(_typed(block.get("Remote-MTA"))[1]) or None,
    )


def _code(reading: Reading, status: str, diagnostic: object) -> tuple[StatusCode, str]:
    """Return the code and the words: the host's own reply where there is one, else the status.

    An action that differs in class from the status keeps the status: what was tried in vain for too
    long has failed with a code of class 4.
    """
    kind, words = _typed(diagnostic)
    found = _STATUS.match(status)
    enhanced = found[1] if found else None
    reply = _REPLY.search(words) if kind.lower() == "smtp" else None
    if reply is not None:
        own = Reply(code=int(reply[1]), text=reply[2])
        if enhanced is None or enhanced[0] != reply[1][0] or own.status.enhanced[1:] != ".0.0":
            return own.status, _bounded(own.words)
        return StatusCode(own.code, _plain(enhanced)), _bounded(own.words)
    if enhanced is None:
        enhanced = {Reading.FAILED: "5.0.0", Reading.DELAYED: "4.0.0"}.get(reading, "2.0.0")
    return _of_class(enhanced), _bounded(words)


def _of_class(enhanced: str) -> StatusCode:
    """Complete an enhanced code by the reply code that says least."""
    return StatusCode({"2": 250, "4": 450, "5": 550}[enhanced[0]], _plain(enhanced))


def _plain(enhanced: str) -> str:
    return ".".join(str(int(part)) for part in enhanced.split("."))


def _typed(value: object) -> tuple[str, str]:
    """Split a typed field ('smtp; 550 ...') into its type and the rest."""
    kind, separator, rest = _flat(value).partition(";")
    return (kind.strip(), rest.strip()) if separator else ("", kind.strip())


def _address(value: object) -> str:
    kind, address = _typed(value)
    if kind.lower() == "utf-8":
        # RFC 6533 section 3: characters outside ASCII are escaped by number.
        address = _ESCAPED.sub(_character, address)
    return address.removeprefix("<").removesuffix(">")


def _character(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    return chr(number) if number <= 0x10FFFF else found[0]


def _others(message: Message) -> Iterator[ReportedRecipient]:
    from flufl.bounce import all_failures

    if sum(1 for _ in islice(message.walk(), MAX_PARTS + 1)) > MAX_PARTS:
        return
    _shorten(message)
    # Some of its detectors take for granted that there is a sender with a domain.
    sender = parseaddr(str(message.get("From", "")))[1]
    if "@" not in sender:
        del message["From"]
        message["From"] = f"<{sender.strip() or 'unknown'}@unknown.invalid>"
    temporary, permanent = all_failures(message)
    text = _text_of(message)
    for raw, lasting in [(a, False) for a in temporary] + [(a, True) for a in permanent]:
        address = raw.decode("utf-8", "replace")
        status, words = _sought(text, address, lasting=lasting)
        yield ReportedRecipient(
            addresses=(address,),
            reading=Reading.FAILED if lasting else Reading.DELAYED,
            status=status,
            text=words,
            host=None,
        )


def _shorten(message: Message) -> None:
    """Leave of a message its text alone, decoded, with short lines and not too much of it."""
    left = MAX_WORDS
    for part in message.walk():
        if part.is_multipart():
            continue
        text = ""
        if part.get_content_maintype() == "text":
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes)
            lines = payload.decode("ascii", "surrogateescape").split("\n")
            text = "\n".join(line[:MAX_LINE] for line in lines)[:left]
        left -= len(text)
        del part["Content-Transfer-Encoding"]
        part.set_payload(text)


def _sought(text: str, address: str, *, lasting: bool) -> tuple[StatusCode, str]:
    """Find the code that stands behind an address; without one, the class alone is known."""
    # What is returned of the message itself is no part of the report.
    copy = _RETURNED_COPY.search(text)
    report = text[: copy.start()] if copy else text
    behind = report[max(report.lower().find(address.lower()), 0) :]
    reply = _REPLY_IN_TEXT.search(behind)
    if reply is not None:
        # The words end with the paragraph.
        own = Reply(
            code=int(reply[1]), text=re.split(r"\n\s*\n", behind[reply.end() :], maxsplit=1)[0]
        )
        return own.status, _bounded(own.words)
    enhanced = _ENHANCED_IN_TEXT.search(behind)
    if enhanced is not None:
        line = behind[enhanced.end() :].partition("\n")[0]
        return _of_class(enhanced[1]), _bounded(line.strip(" )]:-"))
    return _of_class("5.0.0" if lasting else "4.0.0"), "the notification names no code"


def _text_of(message: Message) -> str:
    """Return the text for people: the first plain text in the message."""
    for part in message.walk():
        if part.get_content_type() == "text/plain":
            payload = part.get_payload(decode=True)
            return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    return ""


def _flat(value: object) -> str:
    return " ".join(str(value or "").split())


def _bounded(text: str) -> str:
    flat = " ".join(text.split())
    return "".join(c if c.isprintable() else "?" for c in flat)[:MAX_TEXT]

"""The replies of the listeners: every one with its enhanced status code (RFC 2034, RFC 3463).

None carries a word of what the client said: what a client can put into a reply it can use against
whoever reads it.
"""

from __future__ import annotations

import textwrap
from typing import Final

from relay.core.codebook import CodeEntry
from relay.core.replies import StatusCode
from relay.inbound.content import ContentProblem

_WIDTH: Final = 400
"""Characters of text in one reply line; RFC 5321 section 4.5.3.1.5 allows 512 with all."""

_BARE: Final = frozenset({334, 354})
"""Intermediate replies carry no enhanced code (RFC 2034 section 4)."""


def _entry(line: str) -> CodeEntry:
    return CodeEntry.parse(line)


OK: Final = _entry("250 2.0.0 Ok")
SENDER_OK: Final = _entry("250 2.1.0 Sender ok")
RECIPIENT_OK: Final = _entry("250 2.1.5 Recipient ok")
BYE: Final = _entry("221 2.0.0 Bye")
READY_FOR_TLS: Final = _entry("220 2.0.0 Ready to start TLS")
LOGGED_IN: Final = _entry("235 2.7.0 Authentication succeeded")
CANNOT_VERIFY: Final = _entry("252 2.0.0 Addresses are not verified; send mail and see")

SHUTTING_DOWN: Final = _entry("421 4.3.2 Service is closing")
TOO_MANY_SESSIONS: Final = _entry("421 4.3.2 Too many sessions, try again later")
TIMED_OUT: Final = _entry("421 4.4.2 Timeout, closing")
TOO_MANY_ERRORS: Final = _entry("421 4.7.0 Too many errors, closing")
TOO_MANY_LOGINS: Final = _entry("421 4.7.0 Too many failed logins, closing")
NO_ROOM: Final = _entry("452 4.3.1 Too much mail at one time, try again later")
TOO_MANY_RECIPIENTS: Final = _entry("452 4.5.3 Too many recipients")

LINE_TOO_LONG: Final = _entry("500 5.5.2 Command line too long")
LINE_END: Final = _entry("500 5.5.2 Lines end in CR LF, and in nothing else")
BAD_OCTETS: Final = _entry("500 5.5.2 Control characters, or text that is not UTF-8")
UNKNOWN_COMMAND: Final = _entry("500 5.5.1 Command not recognized")
NOT_IMPLEMENTED: Final = _entry("502 5.5.1 Command not implemented")
NO_PARAMETERS: Final = _entry("501 5.5.4 This command takes no parameters")
NO_HELLO: Final = _entry("503 5.5.1 Send EHLO first")
NO_MAIL: Final = _entry("503 5.5.1 Send MAIL first")
NO_RECIPIENT: Final = _entry("503 5.5.1 Send RCPT first")
NESTED_MAIL: Final = _entry("503 5.5.1 A message is in progress already")
TLS_ACTIVE: Final = _entry("503 5.5.1 TLS is active already")
LOGGED_IN_ALREADY: Final = _entry("503 5.5.1 Authenticated already")
AUTH_AFTER_MAIL: Final = _entry("503 5.5.1 AUTH comes before MAIL")

NEEDS_STARTTLS: Final = _entry("530 5.7.0 Must issue a STARTTLS command first")
NEEDS_AUTH: Final = _entry("530 5.7.0 Authentication required")
AUTH_NEEDS_TLS: Final = _entry("538 5.7.11 Encryption required for authentication")
BAD_LOGIN: Final = _entry("535 5.7.8 Authentication credentials invalid")
BAD_MECHANISM: Final = _entry("504 5.5.4 Authentication mechanism not supported")
BAD_BASE64: Final = _entry("501 5.5.2 Can not decode the authentication exchange")
AUTH_CANCELLED: Final = _entry("501 5.7.0 Authentication cancelled")

BAD_HELLO: Final = _entry("501 5.5.4 A host name or an address literal must follow")
MAIL_SYNTAX: Final = _entry("501 5.5.4 Syntax: MAIL FROM:<address> [parameters]")
RCPT_SYNTAX: Final = _entry("501 5.5.4 Syntax: RCPT TO:<address>")
BAD_SENDER: Final = _entry("501 5.1.7 Bad sender address syntax")
BAD_RECIPIENT: Final = _entry("501 5.1.3 Bad recipient address syntax")
BAD_BODY: Final = _entry("501 5.5.4 BODY is 7BIT or 8BITMIME")
BAD_SIZE: Final = _entry("501 5.5.4 SIZE is a number of octets")
BAD_SMTPUTF8: Final = _entry("501 5.5.4 SMTPUTF8 takes no value")
TWICE: Final = _entry("501 5.5.4 A parameter stands twice")
UNKNOWN_PARAMETER: Final = _entry("555 5.5.4 A parameter is not recognized")
NEEDS_SMTPUTF8: Final = _entry("553 5.6.7 An address with UTF-8 needs the SMTPUTF8 parameter")
TOO_BIG: Final = _entry("552 5.3.4 Message is bigger than the size that EHLO announced")

CONTENT_PROBLEMS: Final = {
    ContentProblem.TOO_BIG: TOO_BIG,
    ContentProblem.LINE_TOO_LONG: _entry("500 5.6.0 A line of the message is too long"),
    ContentProblem.BARE_LINE_END: _entry("550 5.5.2 A bare CR or LF stands in the message"),
    ContentProblem.NO_ROOM: NO_ROOM,
}

_DEFAULT_ENHANCED: Final = {
    211: "2.0.0",
    214: "2.0.0",
    250: "2.0.0",
    500: "5.5.2",
    501: "5.5.4",
    502: "5.5.1",
    503: "5.5.1",
}


def local_error(reference: str) -> CodeEntry:
    """Return the reply to whatever broke on our side; the log has the rest under `reference`."""
    return CodeEntry(StatusCode(451, "4.3.0"), f"Local error, reference {reference}")


def with_enhanced(reply: str) -> str:
    """Return a library's one-line reply with an enhanced status code, if it lacks one."""
    code, _, text = reply.partition(" ")
    if not code.isdigit() or int(code) in _BARE or (text[:1] == code[:1] and text[1:2] == "."):
        return reply
    enhanced = _DEFAULT_ENHANCED.get(int(code), f"{code[0]}.0.0")
    return f"{code} {enhanced} {text}"


def reply_lines(entry: CodeEntry) -> tuple[str, ...]:
    """Return a reply as the lines to send, without CRLF: printable ASCII, 512 octets at most.

    A peer's refusal may be handed on in it, hence the care.
    """
    printable = "".join(c if c.isascii() and c.isprintable() else "?" for c in entry.text)
    parts = textwrap.wrap(printable, _WIDTH, break_on_hyphens=False) or [""]
    code, enhanced = entry.status.code, entry.status.enhanced
    return (
        *(f"{code}-{enhanced} {part}" for part in parts[:-1]),
        f"{code} {enhanced} {parts[-1]}".rstrip(),
    )

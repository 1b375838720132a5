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


def _entry(line: str) -> CodeEntry:
    return CodeEntry.parse(line)


OK: Final = _entry("250 2.0.0 Ok")
SENDER_OK: Final = _entry("250 2.1.0 Sender ok")
RECIPIENT_OK: Final = _entry("250 2.1.5 Recipient ok")
BYE: Final = _entry("221 2.0.0 Bye")
READY_FOR_TLS: Final = _entry("220 2.0.0 Ready to start TLS")
LOGGED_IN: Final = _entry("235 2.7.0 Authentication succeeded")
COMMANDS: Final = _entry(
    "214 2.0.0 RFC 5321: EHLO HELO STARTTLS AUTH MAIL RCPT DATA RSET NOOP QUIT"
)
CANNOT_VERIFY: Final = _entry("252 2.0.0 Addresses are not verified; send mail and see")

SHUTTING_DOWN: Final = _entry("421 4.3.2 Service is closing")
TOO_MANY_SESSIONS: Final = _entry("421 4.3.2 Too many sessions, try again later")
TOO_MANY_OF_CLIENT: Final = _entry("421 4.7.0 Too many sessions from this address")
TIMED_OUT: Final = _entry("421 4.4.2 Timeout, closing")
TOO_LONG_SESSION: Final = _entry("421 4.4.2 The session has lasted too long, closing")
NO_PROGRESS: Final = _entry("421 4.7.0 Too many commands without a message, closing")
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
BAD_EXCHANGE: Final = _entry("501 5.5.2 Can not decode the authentication exchange")
EXCHANGE_TOO_LONG: Final = _entry("500 5.5.6 Authentication exchange line is too long")
AUTH_CANCELLED: Final = _entry("501 5.7.0 Authentication cancelled")

BAD_HELLO: Final = _entry("501 5.5.4 A host name or an address literal must follow")
MAIL_SYNTAX: Final = _entry("501 5.5.4 Syntax: MAIL FROM:<address> [parameters]")
RCPT_SYNTAX: Final = _entry("501 5.5.4 Syntax: RCPT TO:<address> [parameters]")
BAD_SENDER: Final = _entry("501 5.1.7 Bad sender address syntax")
BAD_RECIPIENT: Final = _entry("501 5.1.3 Bad recipient address syntax")
BAD_BODY: Final = _entry("501 5.5.4 BODY is 7BIT or 8BITMIME")
BAD_SIZE: Final = _entry("501 5.5.4 SIZE is a number of octets")
BAD_SMTPUTF8: Final = _entry("501 5.5.4 SMTPUTF8 takes no value")
BAD_RET: Final = _entry("501 5.5.4 RET is FULL or HDRS")
BAD_ENVID: Final = _entry("501 5.5.4 ENVID is xtext, 100 characters at most")
BAD_NOTIFY: Final = _entry("501 5.5.4 NOTIFY is NEVER, or some of SUCCESS,FAILURE,DELAY")
BAD_ORCPT: Final = _entry("501 5.5.4 ORCPT is type;xtext, 500 characters at most")
TWICE: Final = _entry("501 5.5.4 A parameter stands twice")
UNKNOWN_PARAMETER: Final = _entry("555 5.5.4 A parameter is not recognized")
NEEDS_SMTPUTF8: Final = _entry("553 5.6.7 An address with UTF-8 needs the SMTPUTF8 parameter")
TOO_BIG: Final = _entry("552 5.3.4 Message is bigger than the size that EHLO announced")

CONTENT_PROBLEMS: Final = {
    ContentProblem.TOO_BIG: TOO_BIG,
    ContentProblem.LINE_TOO_LONG: _entry("500 5.6.0 A line of the message is too long"),
    ContentProblem.BARE_LINE_END: _entry("550 5.5.2 A bare CR or LF stands in the message"),
    ContentProblem.NUL_END: _entry("550 5.5.2 A line of NUL and a dot stands in the message"),
    ContentProblem.TOO_MANY_HOPS: _entry("554 5.4.6 Too many hops, the message may be in a loop"),
    ContentProblem.NO_ROOM: NO_ROOM,
}

_DEFAULT_ENHANCED: Final = {500: "5.5.2", 501: "5.5.4", 502: "5.5.1", 503: "5.5.1"}


def local_error(reference: str) -> CodeEntry:
    """Return the reply to whatever broke on our side; the log has the rest under `reference`."""
    return CodeEntry(StatusCode(451, "4.3.0"), f"Local error, reference {reference}")


def with_enhanced(reply: str) -> CodeEntry:
    """Return a library's own one-line reply with the enhanced status code that it lacks."""
    code, _, text = reply.partition(" ")
    enhanced = _DEFAULT_ENHANCED.get(int(code), f"{code[0]}.0.0")
    return CodeEntry(StatusCode(int(code), enhanced), text)


class LastWord(Exception):  # noqa: N818
    """The session ends with this reply."""

    def __init__(self, entry: CodeEntry) -> None:
        super().__init__(str(entry))
        self.entry = entry


def plain_line(entry: CodeEntry) -> str | None:
    """Return a reply as its only line, with its code and without CRLF.

    None where its text takes `reply_texts`.
    """
    if entry.text and _is_plain(entry.text):
        return f"{entry.status.code} {entry.status.enhanced} {entry.text}".rstrip()
    return None


def _is_plain(text: str) -> bool:
    return len(text) <= _WIDTH and text.isascii() and text.isprintable()


def reply_texts(entry: CodeEntry) -> list[str]:
    """Return a reply's lines without reply code and CRLF: enhanced code and printable ASCII.

    A peer's refusal may be handed on in it, hence the care. A long text is parted, so that no line
    has more than 512 octets.
    """
    text, enhanced = entry.text, entry.status.enhanced
    if _is_plain(text):
        return [f"{enhanced} {text}".rstrip()]
    printable = "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
    parts = textwrap.wrap(printable, _WIDTH, break_on_hyphens=False) or [""]
    return [f"{enhanced} {part}".rstrip() for part in parts]


_OF_EVERY_MESSAGE: Final = {id(entry): plain_line(entry) for entry in (SENDER_OK, RECIPIENT_OK)}


def known_line(entry: CodeEntry) -> str | None:
    """Return the `plain_line` of a reply that every message has; None for any other reply."""
    # By identity: these live as long as the program, and their values take long to compare.
    return _OF_EVERY_MESSAGE.get(id(entry))

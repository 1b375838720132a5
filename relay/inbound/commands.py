"""The arguments of EHLO, MAIL and RCPT, read strictly: the result is a value or a refusal.

aiosmtpd's own parser takes `<a@b` without its end, blanks and NUL inside an address, and
`RCPT TO:<>`. Here a path is RFC 5321's, in angle brackets; source routes are declined, as section
3.3 allows. A blank after the colon is tolerated: many clients send one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

from relay.core.addresses import parse_address
from relay.core.codebook import CodeEntry
from relay.core.dsn import RecipientRequest, ReturnContent
from relay.core.records import BodyType
from relay.inbound import replies
from relay.inbound.dsn_parameters import (
    parse_envelope_id,
    parse_notify,
    parse_original_recipient,
    parse_ret,
)
from relay.inbound.fast_addresses import plain_mail, plain_rcpt

_HELLO: Final = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_PATH: Final = re.compile(r' *<((?:"(?:[^"\\]|\\.)*"|[^"<>])*)>(?: +(\S.*))?')
_PARAMETER: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^\x00-\x20=\x7f]+))?")
_SIZE: Final = re.compile(r"[0-9]{1,20}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_MAIL_PARAMETERS: Final = frozenset({"SIZE", "BODY", "SMTPUTF8", "RET", "ENVID"})
_RCPT_PARAMETERS: Final = frozenset({"NOTIFY", "ORCPT"})
_REMEMBERED: Final = 1024
"""Lines and arguments whose reading is kept: applications write to the same addresses again."""
_LINE_REMEMBERED: Final = 512
"""Octets of such a line, RFC 5321 section 4.5.3.1.4."""
_OF_EVERY_MESSAGE: Final = frozenset({b"MAIL ", b"RCPT ", b"DATA\r"})


class Command(NamedTuple):
    """A command line without its end; the verb in upper case, what follows the blank behind it."""

    text: str
    verb: str
    argument: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """What MAIL says; `reverse_path` is empty for `<>`, `envelope_id` is ENVID as it came."""

    reverse_path: str
    body: BodyType
    smtputf8: bool
    ret: ReturnContent | None = None
    envelope_id: str | None = None


def parse_command(line: bytes) -> Command | CodeEntry:
    """Read a line with its line end, which must be CR LF; no other control character may stand."""
    if not line.endswith(b"\r\n"):
        return replies.LINE_END
    try:
        text = line[:-2].decode("utf-8")
    except UnicodeDecodeError:
        return replies.BAD_OCTETS
    if not text.isprintable() and _CONTROL.search(text):
        return replies.BAD_OCTETS
    verb, _, argument = text.rstrip(" ").partition(" ")
    if not (verb.isascii() and verb.isalnum()):
        return replies.UNKNOWN_COMMAND
    return Command(text, verb.upper(), argument.lstrip(" "))


def remembered_command(line: bytes) -> Command | None:
    """Return MAIL, RCPT or DATA as `parse_command` does, and faster; None where that must look.

    None of these has a secret, and their text is printable and short.
    """
    if line[:5] in _OF_EVERY_MESSAGE and len(line) <= _LINE_REMEMBERED:
        return _command_of_message(line)
    return None


@lru_cache(_REMEMBERED)
def _command_of_message(line: bytes) -> Command | None:
    command = parse_command(line)
    return command if isinstance(command, Command) and command.text.isprintable() else None


def parse_hello(argument: str) -> str | CodeEntry:
    """Return the name that a client gives itself: a domain or an address literal, roughly."""
    return argument if _HELLO.fullmatch(argument) else replies.BAD_HELLO


def parse_mail(
    argument: str, *, size_limit: int, esmtp: bool, auth_offered: bool
) -> Mail | CodeEntry:
    """Read what follows MAIL, as `parse_mail_fully` does, and nearly all of it faster."""
    plain = _plain_mail(argument)
    if plain is None or not (esmtp or argument.endswith(">")):
        return parse_mail_fully(
            argument, size_limit=size_limit, esmtp=esmtp, auth_offered=auth_offered
        )
    mail, octets = plain
    return replies.TOO_BIG if octets > size_limit else mail


@lru_cache(_REMEMBERED)
def _plain_mail(argument: str) -> tuple[Mail, int] | None:
    """Return what MAIL says and its SIZE; None where the full parser must look."""
    plain = plain_mail(argument)
    if plain is None:
        return None
    path, octets, eight_bit = plain
    body = BodyType.EIGHT_BIT if eight_bit else BodyType.SEVEN_BIT
    return Mail(reverse_path=path, body=body, smtputf8=False), octets


def parse_mail_fully(
    argument: str, *, size_limit: int, esmtp: bool, auth_offered: bool
) -> Mail | CodeEntry:
    """Read what follows MAIL.

    Parameters are those of the extensions that EHLO announced: SIZE (RFC 1870), BODY (RFC 6152),
    SMTPUTF8 (RFC 6531), RET and ENVID (RFC 3461), and AUTH, taken and not trusted (RFC 4954
    section 5).
    """
    found = _path(argument, "FROM:")
    if found is None:
        return replies.MAIL_SYNTAX
    path, rest = found
    parameters = _parameters(rest)
    if isinstance(parameters, CodeEntry):
        return parameters
    if parameters and not esmtp:
        return replies.UNKNOWN_PARAMETER
    if "SMTPUTF8" in parameters and parameters["SMTPUTF8"] is not None:
        return replies.BAD_SMTPUTF8
    smtputf8 = "SMTPUTF8" in parameters
    if path and (problem := _address_problem(path, replies.BAD_SENDER, smtputf8=smtputf8)):
        return problem
    size = parameters.get("SIZE", "0")
    if size is None or not _SIZE.fullmatch(size):
        return replies.BAD_SIZE
    if int(size) > size_limit:
        return replies.TOO_BIG
    try:
        body = BodyType((parameters.get("BODY", "7BIT") or "").lower())
    except ValueError:
        return replies.BAD_BODY
    ret = parse_ret(parameters["RET"]) if "RET" in parameters else None
    if isinstance(ret, CodeEntry):
        return ret
    envelope_id = parse_envelope_id(parameters["ENVID"]) if "ENVID" in parameters else None
    if isinstance(envelope_id, CodeEntry):
        return envelope_id
    known = _MAIL_PARAMETERS | ({"AUTH"} if auth_offered else set())
    if parameters.keys() - known:
        return replies.UNKNOWN_PARAMETER
    return Mail(reverse_path=path, body=body, smtputf8=smtputf8, ret=ret, envelope_id=envelope_id)


def parse_rcpt(
    argument: str, *, hostname: str, esmtp: bool, smtputf8: bool
) -> RecipientRequest | CodeEntry:
    """Read what follows RCPT, as `parse_rcpt_fully` does, and nearly all of it faster."""
    plain = _plain_rcpt(argument)
    if plain is None:
        return parse_rcpt_fully(argument, hostname=hostname, esmtp=esmtp, smtputf8=smtputf8)
    return plain


@lru_cache(_REMEMBERED)
def _plain_rcpt(argument: str) -> RecipientRequest | None:
    """Return what RCPT says; None where the full parser must look."""
    path = plain_rcpt(argument)
    return None if path is None else RecipientRequest(recipient=path)


def parse_rcpt_fully(
    argument: str, *, hostname: str, esmtp: bool, smtputf8: bool
) -> RecipientRequest | CodeEntry:
    """Read what follows RCPT; return the address as written, and what is asked for it.

    Parameters are NOTIFY and ORCPT (RFC 3461). `Postmaster` without a domain must be taken (RFC
    5321 section 4.5.1) and gets `hostname`.
    """
    found = _path(argument, "TO:")
    if found is None:
        return replies.RCPT_SYNTAX
    path, rest = found
    if path.lower() == "postmaster":
        path = f"{path}@{hostname}"
    if problem := _address_problem(path, replies.BAD_RECIPIENT, smtputf8=smtputf8):
        return problem
    parameters = _parameters(rest)
    if isinstance(parameters, CodeEntry):
        return parameters
    if parameters and not esmtp:
        return replies.UNKNOWN_PARAMETER
    notify = parse_notify(parameters["NOTIFY"]) if "NOTIFY" in parameters else None
    if isinstance(notify, CodeEntry):
        return notify
    original = (
        parse_original_recipient(parameters["ORCPT"], smtputf8=smtputf8)
        if "ORCPT" in parameters
        else None
    )
    if isinstance(original, CodeEntry):
        return original
    if parameters.keys() - _RCPT_PARAMETERS:
        return replies.UNKNOWN_PARAMETER
    return RecipientRequest(recipient=path, notify=notify, original=original)


def _path(argument: str, keyword: str) -> tuple[str, str] | None:
    if argument[: len(keyword)].upper() != keyword:
        return None
    found = _PATH.fullmatch(argument, len(keyword))
    return (found[1], found[2] or "") if found else None


def _address_problem(path: str, bad: CodeEntry, *, smtputf8: bool) -> CodeEntry | None:
    try:
        parse_address(path)
    except ValueError:
        return bad
    return None if smtputf8 or path.isascii() else replies.NEEDS_SMTPUTF8


def _parameters(text: str) -> dict[str, str | None] | CodeEntry:
    parameters: dict[str, str | None] = {}
    for word in filter(None, text.split(" ")):
        found = _PARAMETER.fullmatch(word)
        if not found:
            return replies.UNKNOWN_PARAMETER
        name = found[1].upper()
        if name in parameters:
            return replies.TWICE
        parameters[name] = found[2]
    return parameters

"""The arguments of MAIL and RCPT (RFC 5321 section 4.1.2, RFC 1870, 3461, 6152, 6531)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from relay.core.addresses import parse_address
from relay.core.replies import Reply

_ARGUMENT: Final = re.compile(
    r'(?P<keyword>FROM|TO):\s?<(?P<path>(?:"(?:[^"\\]|\\.)*"|[^<>"])*)>'
    r"(?P<parameters>(?: +\S+)*) *",
    re.IGNORECASE,
)
_MAIL_PARAMETERS: Final = {
    "SIZE": "SIZE",
    "BODY": "8BITMIME",
    "SMTPUTF8": "SMTPUTF8",
    "RET": "DSN",
    "ENVID": "DSN",
    "AUTH": "AUTH",
}
"""Parameters of MAIL, and the extension that each one needs."""
_RCPT_PARAMETERS: Final = {"NOTIFY": "DSN", "ORCPT": "DSN"}


class CommandRefusedError(Exception):
    """The command can't be obeyed; `reply` says why."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.reply = Reply(code=code, text=text)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailPath:
    """The path of a MAIL or RCPT command, empty for the null reverse path."""

    path: str
    size: int = 0
    smtputf8: bool = False


def parse_mail(argument: str, extensions: Collection[str]) -> MailPath:
    """Read what follows MAIL, with parameters of these extensions; raise CommandRefusedError."""
    path, parameters = _split(argument, "FROM", _MAIL_PARAMETERS, extensions)
    smtputf8 = "SMTPUTF8" in parameters
    if path:
        _check(path, "5.1.7", smtputf8=smtputf8)
    size = parameters.get("SIZE", "0")
    if not re.fullmatch(r"[0-9]{1,20}", size):
        raise CommandRefusedError(501, "5.5.4 SIZE is a number")
    return MailPath(path=path, size=int(size), smtputf8=smtputf8)


def parse_rcpt(argument: str, extensions: Collection[str], *, smtputf8: bool) -> MailPath:
    """Read what follows RCPT, with parameters of these extensions; raise CommandRefusedError."""
    path, _ = _split(argument, "TO", _RCPT_PARAMETERS, extensions)
    _check(path, "5.1.3", smtputf8=smtputf8)
    return MailPath(path=path)


def _split(
    argument: str, keyword: str, known: Mapping[str, str], extensions: Collection[str]
) -> tuple[str, dict[str, str]]:
    found = _ARGUMENT.fullmatch(argument)
    if not found or found["keyword"].upper() != keyword:
        raise CommandRefusedError(501, f"5.5.4 Syntax: {keyword}:<address>")
    parameters = {}
    for parameter in found["parameters"].split():
        name, _, value = parameter.partition("=")
        if known.get(name.upper()) not in extensions:
            raise CommandRefusedError(555, "5.5.4 Parameter not recognized")
        parameters[name.upper()] = value
    return found["path"], parameters


def _check(path: str, enhanced: str, *, smtputf8: bool) -> None:
    if not path.isascii() and not smtputf8:
        raise CommandRefusedError(553, "5.6.7 Address needs SMTPUTF8")
    try:
        parse_address(path)
    except ValueError:
        raise CommandRefusedError(501, f"{enhanced} Bad address syntax") from None

"""The AUTH exchange (RFC 4954): from the command to a user and a password."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from relay.core.codebook import CodeEntry
from relay.inbound import replies, sasl

Ask = Callable[[str], Awaitable[str]]
"""Sends a challenge, in clear text, and returns the client's line without its line end."""


async def exchange(argument: str, ask: Ask) -> sasl.Login | CodeEntry:
    """Carry out what follows AUTH: mechanism and, perhaps, an initial response."""
    mechanism, _, initial = argument.partition(" ")
    match mechanism.upper():
        case "PLAIN":
            response = _decoded(initial or await ask(""))
            if isinstance(response, CodeEntry):
                return response
            return sasl.plain_login(response) or replies.BAD_EXCHANGE
        case "LOGIN":
            user = _decoded(initial or await ask("Username:"))
            if isinstance(user, CodeEntry):
                return user
            password = _decoded(await ask("Password:"))
            if isinstance(password, CodeEntry):
                return password
            return sasl.login(user, password) or replies.BAD_EXCHANGE
        case _:
            return replies.BAD_MECHANISM


def _decoded(line: str) -> bytes | CodeEntry:
    if line == "*":
        return replies.AUTH_CANCELLED
    decoded = sasl.decode(line)
    return replies.BAD_EXCHANGE if decoded is None else decoded

"""Logging in at a host (RFC 4954), by PLAIN or LOGIN.

Called for a session whose certificate was verified, by nobody but `Admitted`.
"""

from __future__ import annotations

import base64
import re
from typing import Final, assert_never

from relay.core.email_relays import AuthMechanism, Credentials
from relay.core.outcomes import Failure, LocalProblem, LocalRefusal, Stage
from relay.core.replies import Reply
from relay.outbound.answers import Answer, Broken, failure_of
from relay.outbound.exchange import Exchange

_GO_ON: Final = 334
_DONE: Final = 235
_MECHANISM: Final = re.compile(r"[A-Za-z0-9_-]{1,20}")
"""RFC 4422 section 3.1, in any case."""
_LONGEST_LINE: Final = 510
"""Octets of a command; a longer response waits for the host's 334 (RFC 4954 section 4)."""


async def log_in(client: Exchange, credentials: Credentials) -> Failure | None:
    """Log in; return why that did not succeed.

    Nothing is said to a host that does not offer the mechanism. An unwelcome answer is the host's
    own refusal; behind one that makes no sense the connection is cut.
    """
    mechanism = credentials.mechanism
    offered = client.extensions.get("auth")
    if offered is None or mechanism.value not in offered.upper().split():
        return LocalRefusal(
            problem=LocalProblem.AUTH_UNAVAILABLE,
            detail=_not_offered(mechanism, offered),
            stage=Stage.AUTH,
        )
    user, password = credentials.username.encode(), credentials.password.reveal().encode()
    both = _encoded(b"\0" + user + b"\0" + password)
    # Hosts have been seen to repeat what they refuse.
    client.hide(credentials.password.reveal(), _encoded(password).decode(), both.decode())
    match mechanism:
        case AuthMechanism.PLAIN:
            answer = await _plain(client, both)
        case AuthMechanism.LOGIN:
            answer = await _login(client, _encoded(user), _encoded(password))
        case _:
            assert_never(mechanism)
    if isinstance(answer, Reply) and answer.code == _DONE:
        return None
    if isinstance(answer, Broken) or not answer.code >= 400:
        client.abort()
    return failure_of(answer, Stage.AUTH)


async def _plain(client: Exchange, response: bytes) -> Answer:
    if len(b"AUTH PLAIN ") + len(response) <= _LONGEST_LINE:
        return await client.command(b"AUTH", b"PLAIN", response)
    answer = await client.command(b"AUTH", b"PLAIN")
    return await client.command(response) if _goes_on(answer) else answer


async def _login(client: Exchange, *responses: bytes) -> Answer:
    answer = await client.command(b"AUTH", b"LOGIN")
    for response in responses:
        if not _goes_on(answer):
            break
        answer = await client.command(response)
    return answer


def _goes_on(answer: Answer) -> bool:
    return isinstance(answer, Reply) and answer.code == _GO_ON


def _encoded(octets: bytes) -> bytes:
    return base64.b64encode(octets)


def _not_offered(mechanism: AuthMechanism, offered: str | None) -> str:
    if offered is None:
        return "the host does not offer AUTH"
    # Words of any other shape are no mechanisms, and a host may put anything there.
    offers = " ".join(word for word in offered.split() if _MECHANISM.fullmatch(word)) or "none"
    return f"the host does not offer AUTH {mechanism.value}; mechanisms: {offers}"

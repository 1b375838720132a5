"""Which answer a recipient gets, where a script does not give the same one to all."""

from __future__ import annotations

import re
from typing import Final

from relay.core.addresses import parse_address
from relay.core.replies import Reply, StatusCode
from relay.lab.scripts import (
    RECIPIENT_OK,
    Answer,
    AsAddressed,
    FirstTry,
    LastReply,
    LocalPartsFrom,
    RecipientScript,
)

MAX_TRIES: Final = 10_000
"""Tries that a receiver remembers; the oldest are forgotten first."""

_BOUNCE: Final = re.compile(
    r"bounce\+(?P<code>[45]\d\d)(?:\+(?P<enhanced>[45]\.\d{1,3}\.\d{1,3}))?", re.IGNORECASE
)
_BAD_REQUEST: Final = Reply(
    code=501, text="5.1.3 Write bounce+CODE or bounce+CODE+ENHANCED, as in bounce+550+5.2.1"
)


class Tries:
    """Remembers who tried to reach whom: client address, reverse path, recipient."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, str], None] = {}

    def is_first(self, client: str, reverse_path: str, recipient: str) -> bool:
        """Remember a try; return whether it is the first of its kind."""
        known = (client, reverse_path.lower(), recipient.lower())
        if known in self._seen:
            return False
        self._seen[known] = None
        if len(self._seen) > MAX_TRIES:
            del self._seen[next(iter(self._seen))]
        return True

    def clear(self) -> None:
        """Forget every try."""
        self._seen.clear()


def recipient_answer(
    script: RecipientScript, recipient: str, *, reverse_path: str, client: str, tries: Tries
) -> Answer:
    """Return the answer to RCPT for an address that is well formed."""
    match script:
        case FirstTry(answer=answer):
            return answer if tries.is_first(client, reverse_path, recipient) else RECIPIENT_OK
        case LocalPartsFrom(prefix=prefix, answer=answer):
            wanted = parse_address(recipient).local.lower().startswith(prefix)
            return answer if wanted else RECIPIENT_OK
        case AsAddressed():
            return _as_addressed(parse_address(recipient).local)
        case _:
            return script


def _as_addressed(local: str) -> Answer:
    if not local.lower().startswith("bounce+"):
        return RECIPIENT_OK
    found = _BOUNCE.fullmatch(local)
    if found is None:
        return _BAD_REQUEST
    try:
        status = StatusCode(int(found["code"]), found["enhanced"] or f"{found['code'][0]}.0.0")
    except ValueError:
        return _BAD_REQUEST
    reply = Reply(code=status.code, text=f"{status.enhanced} As the address asks for")
    # RFC 5321 section 3.8: 421 announces that the host closes the connection.
    return LastReply(reply=reply) if status.code == 421 else reply

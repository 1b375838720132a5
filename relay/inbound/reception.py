"""Receives a message's content from a client, within every limit."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from relay.core.delivery import BareLineEnds
from relay.inbound import replies
from relay.inbound.content import ContentProblem, ContentReader, Share
from relay.inbound.limits import InboundLimits
from relay.inbound.line_ends import LineEnds
from relay.inbound.lines import ClientInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """The content, or why it is refused; `line_ends` as the client sent them."""

    content: bytes | ContentProblem
    line_ends: LineEnds

    def __str__(self) -> str:
        """Say what came, in words for the session's record."""
        if isinstance(self.content, bytes):
            what = f"a message of {len(self.content)} octets"
            return what if self.line_ends.proper else f"{what}; made CR LF: {self.line_ends}"
        what = f"a message was refused, {self.content.value}"
        return what if self.line_ends.proper else f"{what}: {self.line_ends}"


async def receive_content(
    client: ClientInput, *, limits: InboundLimits, share: Share, bare_line_ends: BareLineEnds
) -> Reception:
    """Read up to the final dot.

    Raises LastWord where the client is too slow, or sends on and on after its message was too big;
    EOFError where it goes away.
    """
    reader = ContentReader(
        size_limit=limits.message_size,
        line_limit=limits.line_length,
        hop_limit=limits.hops,
        bare_line_ends=bare_line_ends,
    )
    rest: bytes | None = None
    try:
        async with asyncio.timeout(limits.data_seconds):
            while rest is None:
                rest = reader.feed(await client.some())
                if not share.hold(reader.held):
                    reader.give_up(ContentProblem.NO_ROOM)
                if reader.runs_away:
                    raise replies.LastWord(replies.TOO_BIG)
    except TimeoutError:
        raise replies.LastWord(replies.TIMED_OUT) from None
    client.give_back(rest)
    content = reader.finish()
    # Normalised, a message may be twice as big as it came.
    if isinstance(content, bytes) and not share.hold(len(content)):
        content = ContentProblem.NO_ROOM
    return Reception(content=content, line_ends=reader.line_ends)

"""Receives a message's content from a client, within every limit."""

from __future__ import annotations

import asyncio

from relay.inbound import replies
from relay.inbound.content import ContentProblem, ContentReader, Share
from relay.inbound.limits import InboundLimits
from relay.inbound.lines import ClientInput


async def receive_content(
    client: ClientInput, *, limits: InboundLimits, share: Share
) -> bytes | ContentProblem:
    """Read up to the final dot; return the content, or why it is refused.

    Raises LastWord where the client is too slow, or sends on and on after its message was too big;
    EOFError where it goes away.
    """
    reader = ContentReader(size_limit=limits.message_size, line_limit=limits.line_length)
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
    return reader.finish()

"""Receives a message's content from a client, within every limit."""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.content import ContentFacts
from relay.core.delivery import BareLineEnds
from relay.inbound import replies
from relay.inbound.content import ContentProblem, ContentReader, Share
from relay.inbound.limits import InboundLimits
from relay.inbound.line_ends import LineEnds
from relay.inbound.lines import ClientInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Reception:
    """The content, or why it is refused; `line_ends` as the client sent them.

    `facts` are of the content as it is here, None where it is refused.
    """

    content: bytes | ContentProblem
    line_ends: LineEnds
    facts: ContentFacts | None

    def __str__(self) -> str:
        """Say what came, in words for the session's record."""
        if isinstance(self.content, bytes):
            what = f"a message of {len(self.content)} octets"
            return what if self.line_ends.proper else f"{what}; made CR LF: {self.line_ends}"
        what = f"a message was refused, {self.content.value}"
        return what if self.line_ends.proper else f"{what}: {self.line_ends}"


class Receiving:
    """One message's content, between 354 and the final dot; `share` counts what is held of it."""

    def __init__(
        self, *, limits: InboundLimits, share: Share, bare_line_ends: BareLineEnds
    ) -> None:
        self.share = share
        self._reader = ContentReader(
            size_limit=limits.message_size,
            line_limit=limits.line_length,
            hop_limit=limits.hops,
            bare_line_ends=bare_line_ends,
        )

    def take(self, client: ClientInput) -> Reception | None:
        """Read what is there, up to the final dot; None where that has not come yet.

        Raises LastWord where the client sends on and on after its message was too big.
        """
        reader = self._reader
        rest = reader.feed(client.some())
        if not self.share.hold(reader.held):
            reader.give_up(ContentProblem.NO_ROOM)
        if reader.runs_away:
            raise replies.LastWord(replies.TOO_BIG)
        if rest is None:
            return None
        if rest:
            client.give_back(rest)
        content = reader.finish()
        # Normalised, a message may be twice as big as it came.
        if isinstance(content, bytes) and not self.share.hold(len(content)):
            content = ContentProblem.NO_ROOM
        return Reception(content=content, line_ends=reader.line_ends, facts=reader.facts)

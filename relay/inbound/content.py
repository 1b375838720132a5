"""The content of a message, from 354 to the final dot, in bounded memory.

Only CR LF . CR LF ends it (RFC 5321 section 4.1.1.4): whatever else some server takes for an end
(LF . LF, CR . CR LF ...) is content with bare line ends, and such a message is refused whole, or
its line ends become CR LF, and then its dots are stuffed like all others on the way out. That is
the defence against SMTP smuggling.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import Final, Self

from relay.core.delivery import BareLineEnds
from relay.inbound.hops import received_fields
from relay.inbound.line_ends import LineEnds, all_plain, has_nul_end, line_ends, normalised

_END: Final = b"\r\n.\r\n"
_DRAIN_SLACK: Final = 1_048_576
_PROPER: Final = LineEnds()


@unique
class ContentProblem(Enum):
    """Why a message's content is refused; told after its end, when the client listens again."""

    TOO_BIG = "too-big"
    LINE_TOO_LONG = "line-too-long"
    BARE_LINE_END = "bare-line-end"
    NUL_END = "nul-end"
    TOO_MANY_HOPS = "too-many-hops"
    NO_ROOM = "no-room"


class ContentReader:
    """Takes octets as they come; holds at most four thirds of `size_limit`.

    `size_limit` and `line_limit` are octets of the message itself, CRLF counted, dot-stuffing not;
    `hop_limit` counts `Received:` fields. `line_ends` are known when `finish` has been called.
    """

    def __init__(
        self, *, size_limit: int, line_limit: int, hop_limit: int, bare_line_ends: BareLineEnds
    ) -> None:
        self._size_limit = size_limit
        self._line_limit = line_limit
        self._hop_limit = hop_limit
        self._bare_line_ends = bare_line_ends
        self.line_ends = _PROPER
        # An invisible line end in front makes the first line one like the others.
        self._kept = bytearray(b"\r\n")
        self._dropped = 0
        self._problem: ContentProblem | None = None

    @property
    def held(self) -> int:
        """Octets in memory."""
        return len(self._kept)

    @property
    def runs_away(self) -> bool:
        """Whether the client keeps sending long after the message was too big."""
        return self._dropped > 2 * self._size_limit + _DRAIN_SLACK

    def give_up(self, problem: ContentProblem) -> None:
        """Keep nothing more and only look for the end; the first problem stands."""
        self._problem = self._problem or problem
        surplus = len(self._kept) - (len(_END) - 1)
        if surplus > 0:
            self._dropped += surplus
            del self._kept[:surplus]

    def feed(self, octets: bytes | bytearray) -> bytes | None:
        """Take octets; return those behind the end once it was seen, None before."""
        start = max(0, len(self._kept) - len(_END) + 1)
        self._kept += octets
        # An attachment in base64 has no dot, and one octet is found much faster than five.
        end = self._kept.find(_END, start) if self._kept.find(b".", start) >= 0 else -1
        if end >= 0:
            rest = bytes(self._kept[end + len(_END) :])
            del self._kept[end + 2 :]
            return rest
        if self._problem is not None or self._outgrows(len(self._kept)):
            self.give_up(ContentProblem.TOO_BIG)
        return None

    def _outgrows(self, octets: int) -> bool:
        """Whether so many octets are too many even when all dot-stuffing is undone."""
        # Stuffing adds one octet to three at most, to lines of a single dot.
        return octets > self._size_limit * 4 // 3 + len(_END)

    def finish(self) -> bytes | ContentProblem:
        """Return the content, dot-stuffing undone, or why it is refused; empties the reader.

        Where line ends are normalised, stuffing is undone after it: a client that ends its lines in
        LF stuffs those lines.
        """
        lines, self._kept = self._kept, bytearray()
        if self._problem is not None:
            return self._problem
        plain = all_plain(lines)
        if not plain:
            self.line_ends = line_ends(lines)
        normalises = self._bare_line_ends is BareLineEnds.NORMALISE
        if normalises and not self.line_ends.proper:
            if self._outgrows(len(lines) + self.line_ends.bare_cr + self.line_ends.bare_lf):
                return ContentProblem.TOO_BIG
            lines = normalised(lines)
        if not plain and b"\r\n." in lines:
            lines = lines.replace(b"\r\n.", b"\r\n")
        if len(lines) - 2 > self._size_limit:
            return ContentProblem.TOO_BIG
        if not (normalises or self.line_ends.proper):
            return ContentProblem.BARE_LINE_END
        if has_nul_end(lines):
            return ContentProblem.NUL_END
        if received_fields(lines) > self._hop_limit:
            return ContentProblem.TOO_MANY_HOPS
        if _has_longer_line(lines, self._line_limit):
            return ContentProblem.LINE_TOO_LONG
        with memoryview(lines) as view:
            return bytes(view[2:])


def _has_longer_line(lines: bytearray, limit: int) -> bool:
    position = 0
    while len(lines) - position > limit:
        last = lines.rfind(b"\n", position, position + limit)
        if last < 0:
            return True
        position = last + 1
    return False


class Buffered:
    """Counts the octets of content that all sessions together hold."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.octets = 0

    def share(self) -> Share:
        """Return one message's part, to be used as a context."""
        return Share(self)


class Share:
    """One message's part of what may be held; given back when its context ends."""

    def __init__(self, of: Buffered) -> None:
        self._of = of
        self._octets = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.give_back()

    def give_back(self) -> None:
        """Hold nothing any more."""
        self._of.octets -= self._octets
        self._octets = 0

    def hold(self, octets: int) -> bool:
        """Count so many octets as held by this message; False, and unchanged, beyond the limit."""
        if self._of.octets - self._octets + octets > self._of.limit:
            return False
        self._of.octets += octets - self._octets
        self._octets = octets
        return True

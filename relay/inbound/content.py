"""The content of a message, from 354 to the final dot, in bounded memory.

Only CR LF . CR LF ends it (RFC 5321 section 4.1.1.4): whatever else some server takes for an end
(LF . LF, CR . CR LF ...) is content with bare line ends, and such a message is refused whole, or
its line ends become CR LF, and then its dots are stuffed like all others on the way out. That is
the defence against SMTP smuggling.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import Final, Self

from relay.core.content import PLAIN, ContentFacts, find_leading_dot, only_crlf
from relay.core.delivery import BareLineEnds
from relay.inbound.hops import received_fields
from relay.inbound.line_ends import LineEnds, has_nul_end, line_ends, normalised

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
    `hop_limit` counts `Received:` fields. `line_ends` are known when `finish` has been called, and
    `facts` when it has returned content.
    """

    def __init__(
        self, *, size_limit: int, line_limit: int, hop_limit: int, bare_line_ends: BareLineEnds
    ) -> None:
        self._size_limit = size_limit
        self._line_limit = line_limit
        self._hop_limit = hop_limit
        self._bare_line_ends = bare_line_ends
        self.line_ends = _PROPER
        self.facts: ContentFacts | None = None
        # An invisible line end in front makes the first line one like the others.
        self._kept = bytearray(b"\r\n")
        self._stuffed = False
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
        end = self._end_from(start)
        if end >= 0:
            rest = bytes(self._kept[end + len(_END) :])
            del self._kept[end + 2 :]
            return rest
        if self._problem is not None or self._outgrows(len(self._kept)):
            self.give_up(ContentProblem.TOO_BIG)
        return None

    def _end_from(self, start: int) -> int:
        """Return where the end of data begins, -1 where it has not come; note a stuffed line."""
        kept = self._kept
        if not self._stuffed:
            start = find_leading_dot(kept, start)
            if start < 0 or kept.startswith(_END, start):
                return start
            # What stands at the very end may yet become the end of data.
            self._stuffed = not _END.startswith(kept[start : start + len(_END)])
        return kept.find(_END, start)

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
        if not only_crlf(lines):
            self.line_ends = line_ends(lines)
        normalises = self._bare_line_ends is BareLineEnds.NORMALISE
        if normalises and not self.line_ends.proper:
            if self._outgrows(len(lines) + self.line_ends.bare_cr + self.line_ends.bare_lf):
                return ContentProblem.TOO_BIG
            lines = normalised(lines)
            self._stuffed = True
        if self._stuffed:
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
        self.facts = _facts(lines, may_lead=self._stuffed)
        with memoryview(lines) as view:
            return bytes(view[2:])


def _facts(lines: bytearray, *, may_lead: bool) -> ContentFacts:
    """Return the facts of whole lines; `may_lead`: a dot may begin one of them."""
    leading_dot = may_lead and find_leading_dot(lines, 0) >= 0
    if lines.isascii() and not leading_dot:
        return PLAIN
    return ContentFacts(whole_lines=True, leading_dot=leading_dot, eight_bit=not lines.isascii())


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

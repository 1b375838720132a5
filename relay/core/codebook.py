"""Code books: the code and text that a failure is reported with.

A book is data (`relay.core.codebook_data`); a policy chooses one and may override entries. A peer's
own refusal is never rewritten: its code and words are passed on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from relay.core.failure_kinds import FailureKind, failure_kind
from relay.core.faults import FaultKind, TlsFault
from relay.core.outcomes import Failure, PeerRefusal, TlsRefusal
from relay.core.replies import Reply, StatusCode
from relay.core.salesforce import RefusedStarttls


@dataclass(frozen=True, slots=True)
class CodeEntry:
    """A code and the text behind it, without the code."""

    status: StatusCode
    text: str

    def __str__(self) -> str:
        return f"{self.status} {self.text}"

    @classmethod
    def parse(cls, line: str) -> CodeEntry:
        """Read '451 4.7.5 some text'; raise ValueError for anything else."""
        parts = line.split(maxsplit=2)
        if len(parts) != 3:
            raise ValueError(f"{line!r} does not have the form '451 4.7.5 text'")
        if not parts[2].isascii() or not parts[2].isprintable():
            raise ValueError("the text of a reply must be printable ASCII on one line")
        return cls(StatusCode.parse(f"{parts[0]} {parts[1]}"), parts[2])


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeBook:
    """A named, complete table of entries.

    `refused_starttls` tells whether a host's refusal of STARTTLS is such a refusal of its own.
    """

    name: str
    entries: Mapping[FailureKind, CodeEntry]
    refused_starttls: RefusedStarttls = RefusedStarttls.NO_GO_AHEAD

    def __post_init__(self) -> None:
        missing = [kind.value for kind in FailureKind if kind not in self.entries]
        if missing:
            raise ValueError(f"code book {self.name} has no entry for {', '.join(missing)}")

    def entry(self, failure: Failure) -> CodeEntry:
        """Return the code and text for a failure."""
        if (reply := self._starttls_refusal(failure)) is not None:
            return CodeEntry(reply.status, reply.words)
        if isinstance(failure, PeerRefusal):
            # A positive reply in the wrong place (RFC 3463: protocol error) must not read as one.
            status = StatusCode(451, "4.5.0") if failure.reply.positive else failure.reply.status
            return CodeEntry(status, failure.reply.words)
        kind = failure_kind(failure)
        assert kind is not None
        return self.entries[kind]

    def _starttls_refusal(self, failure: Failure) -> Reply | None:
        """Return the host's refusal of STARTTLS where its own words are to be passed on."""
        if self.refused_starttls is RefusedStarttls.NO_GO_AHEAD:
            return None
        match failure:
            case TlsRefusal(faults=(TlsFault(kind=FaultKind.STARTTLS_REFUSED), *_)):
                return failure.peer_reply
            case _:
                return None

    def overridden(self, changes: Mapping[FailureKind, CodeEntry]) -> CodeBook:
        """Return this book with single entries replaced."""
        if not changes:
            return self
        return replace(self, entries=MappingProxyType({**self.entries, **changes}))

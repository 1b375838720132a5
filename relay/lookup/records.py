"""MX and address records of names, by dnspython: the records, or why there are none.

dnspython is loaded with the first question: most policies ask none.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from relay.core.outcomes import DnsProblem
from relay.core.routing import Dns

if TYPE_CHECKING:
    from dns.rdatatype import RdataType
    from dns.resolver import Answer

TRY_SECONDS: Final = 2.0
"""How long one server is waited for before it, or the next one, is asked again."""
MOST_ADDRESSES: Final = 20
"""How many addresses of one host are tried; an answer of DNS has room for thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MxRecord:
    """A mail exchanger; `exchange` has no trailing dot, so that the root is empty."""

    preference: int
    exchange: str


async def load() -> None:
    """Load what asks, beside the event loop: it takes long, and mail for other hosts goes on."""
    await asyncio.to_thread(_load)


class Records:
    """The questions of one look-up, which together take no longer than `dns` allows from now on.

    Nothing is kept from one look-up to the next: in a lab, records change between two messages.
    CNAMEs are followed.
    """

    def __init__(self, dns: Dns) -> None:
        self._server = dns.server
        self._deadline = asyncio.get_running_loop().time() + dns.timeout.total_seconds()

    async def exchangers(self, domain: str) -> tuple[MxRecord, ...] | DnsProblem:
        """Return the MX records of `domain` as they come; none if it exists without any."""
        from dns.rdatatype import RdataType
        from dns.rdtypes.ANY.MX import MX

        answer = await self._ask(domain, RdataType.MX)
        if isinstance(answer, DnsProblem):
            return answer
        return tuple(
            MxRecord(
                preference=record.preference,
                exchange=record.exchange.to_text(omit_final_dot=True).removesuffix("."),
            )
            for record in answer or ()
            if isinstance(record, MX)
        )

    async def addresses(self, host: str) -> tuple[str, ...] | DnsProblem:
        """Return the addresses of `host`, at least one and `MOST_ADDRESSES` at most.

        IPv4 comes first: a machine without a way into the IPv6 network would spend a client's
        patience on finding that out.
        """
        from dns.rdatatype import RdataType
        from dns.rdtypes.IN.A import A
        from dns.rdtypes.IN.AAAA import AAAA

        answers = await asyncio.gather(
            self._ask(host, RdataType.A), self._ask(host, RdataType.AAAA)
        )
        found = dict.fromkeys(
            record.address
            for answer in answers
            if not isinstance(answer, DnsProblem)
            for record in answer or ()
            if isinstance(record, A | AAAA)
        )
        if found:
            return tuple(found)[:MOST_ADDRESSES]
        failed = DnsProblem.LOOKUP_FAILED in answers
        return DnsProblem.LOOKUP_FAILED if failed else DnsProblem.NO_HOST

    async def _ask(self, name: str, kind: RdataType) -> Answer | DnsProblem | None:
        """Return an answer, None where the name exists without such records, or what is wrong."""
        import dns.asyncbackend
        import dns.asyncresolver
        import dns.exception
        import dns.name
        import dns.resolver

        left = self._deadline - asyncio.get_running_loop().time()
        if left <= 0:
            return DnsProblem.LOOKUP_FAILED
        try:
            asked = dns.name.from_text(name, origin=dns.name.root)
        except dns.exception.DNSException:
            return DnsProblem.NO_HOST
        try:
            resolver = dns.asyncresolver.Resolver(configure=self._server is None)
            if self._server is not None:
                resolver.nameservers = [self._server.address]
                resolver.port = self._server.port
            resolver.timeout = min(TRY_SECONDS, left)
            return await resolver.resolve(
                asked,
                kind,
                lifetime=left,
                search=False,
                backend=dns.asyncbackend.get_backend("asyncio"),
            )
        except dns.resolver.NXDOMAIN:
            return DnsProblem.NO_HOST
        except dns.resolver.NoAnswer:
            return None
        except (dns.exception.DNSException, OSError):
            return DnsProblem.LOOKUP_FAILED


def _load() -> None:
    import dns.asyncbackend
    import dns.asyncresolver
    import dns.rdtypes.ANY.MX
    import dns.rdtypes.IN.A
    import dns.rdtypes.IN.AAAA

    # The library loads this one itself, with the first question.
    dns.asyncbackend.get_backend("asyncio")

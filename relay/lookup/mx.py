"""The mail exchangers of a domain (RFC 5321 section 5.1), in the order in which they are tried."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Final

from relay.core.addresses import Domain, parse_domain
from relay.core.destinations import ToMailDomain
from relay.core.outcomes import DnsFailure, DnsProblem, Failure, LocalProblem, LocalRefusal
from relay.core.routing import Dns, HostAddress, NameServer
from relay.core.settings import TlsMode
from relay.lookup.locality import stays_local
from relay.lookup.records import MxRecord, Records, load

MOST_EXCHANGERS: Final = 20
"""How many of a domain's mail exchangers are looked at, the preferred ones first."""
LOOKUPS_AT_ONCE: Final = 50
"""Look-ups of domains that run at the same time.

Each takes sockets and time of this process: with a thousand at once, as one message with a thousand
recipients asks for, half of them would run out of their own time.
"""


class MxResolver:
    """Finds the hosts of mail domains.

    `dns` is asked for with each domain, so that it may change. `own_name` is this relay's host
    name: an exchanger of that name would bring the message back. `chance` decides among exchangers
    of equal preference. Without `allow_external` a policy's own name server must be on this machine
    or its private network; the system's is the system's business.
    """

    def __init__(
        self,
        *,
        dns: Callable[[], Dns],
        own_name: str,
        chance: random.Random,
        allow_external: bool = False,
    ) -> None:
        self._dns = dns
        self._allow_external = allow_external
        self._own_name = own_name.lower().removesuffix(".")
        self._chance = chance
        self._loaded = False
        self._slots = asyncio.Semaphore(LOOKUPS_AT_ONCE)

    async def resolve(
        self, to: ToMailDomain, *, server: NameServer | None = None
    ) -> tuple[HostAddress, ...] | Failure:
        """Return the addresses of the domain's exchangers, the preferred ones first.

        A domain without MX records is its own exchanger. One that can't be found is left out; the
        addresses of one host stay together. `server` is asked instead of the policy's.
        """
        dns = self._dns()
        if server is not None:
            dns = replace(dns, server=server)
        if dns.server and not self._allow_external and not stays_local(dns.server.address):
            return LocalRefusal(
                problem=LocalProblem.HOST_NOT_ALLOWED,
                detail=f"the policy's name server {dns.server} is off this machine's networks",
            )
        async with self._asking(dns) as records:
            return await self._hosts(to, records)

    async def _hosts(
        self, to: ToMailDomain, records: Records
    ) -> tuple[HostAddress, ...] | DnsFailure:
        exchangers = await records.exchangers(to.domain)
        if isinstance(exchangers, DnsProblem):
            return DnsFailure(problem=exchangers, name=to.domain)
        hosts = self._in_order(exchangers or (MxRecord(preference=0, exchange=to.domain),))
        if isinstance(hosts, DnsProblem):
            return DnsFailure(problem=hosts, name=to.domain)
        found = await asyncio.gather(*(records.addresses(host.exchange) for host in hosts))
        answers = tuple(
            HostAddress(
                name=host.exchange,
                address=address,
                port=to.port,
                mode=TlsMode.STARTTLS,
                preference=host.preference,
            )
            for host, addresses in zip(hosts, found, strict=True)
            if not isinstance(addresses, DnsProblem)
            for address in addresses
        )
        if answers:
            return answers
        failed = DnsProblem.LOOKUP_FAILED in found
        problem = DnsProblem.LOOKUP_FAILED if failed else DnsProblem.NO_HOST
        return DnsFailure(problem=problem, name=to.domain)

    async def has_exchangers(self, domain: Domain) -> bool:
        """Whether `domain` has MX records, wherever they lead."""
        async with self._asking(self._dns()) as records:
            exchangers = await records.exchangers(domain)
        return isinstance(exchangers, tuple) and len(exchangers) > 0

    @contextlib.asynccontextmanager
    async def _asking(self, dns: Dns) -> AsyncIterator[Records]:
        """Give what asks, when it is this look-up's turn: its time begins then."""
        async with self._slots:
            if not self._loaded:
                await load()
                self._loaded = True
            yield Records(dns)

    def _in_order(self, exchangers: tuple[MxRecord, ...]) -> list[MxRecord] | DnsProblem:
        """Return the exchangers as they are to be tried, at least one, or why there is none."""
        if not any(record.exchange for record in exchangers):
            return DnsProblem.NULL_MX
        named = [record for record in exchangers if _is_host(record.exchange)]
        if not named:
            return DnsProblem.NO_HOST
        own = [r.preference for r in named if r.exchange.lower() == self._own_name]
        hosts = [record for record in named if not own or record.preference < min(own)]
        if not hosts:
            return DnsProblem.LOOPS_BACK
        # Sorted first, because name servers rotate records: a seed then gives one order.
        hosts.sort(key=lambda record: record.exchange)
        self._chance.shuffle(hosts)
        hosts.sort(key=lambda record: record.preference)
        return hosts[:MOST_EXCHANGERS]


def _is_host(exchange: str) -> bool:
    try:
        parse_domain(exchange)
    except ValueError:
        return False
    return True

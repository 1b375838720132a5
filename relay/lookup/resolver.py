"""From a destination to numeric addresses, each with the name that its certificate must bear.

A destination of the policy is a host, several of them, a mail domain, a receiver of the lab, or the
capture receiver. Hosts are looked up by the system; the lab answers for its own through
`LabAddresses` and `LabNames`, because this room lies below it. Nobody raises for a name that leads
nowhere: the answer is then the failure itself.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import random
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final, Protocol, assert_never

from relay.core.addresses import Domain
from relay.core.destinations import (
    Destination,
    ToCapture,
    ToHost,
    ToHosts,
    ToMailDomain,
    ToMxOrHost,
    ToNowhere,
    ToScenario,
)
from relay.core.outcomes import DnsFailure, DnsProblem, Failure, LocalProblem, LocalRefusal
from relay.core.routing import LAB_DOMAIN, HostAddress, NameServer
from relay.lookup.mx import MxResolver
from relay.lookup.records import MOST_ADDRESSES

log = logging.getLogger("relay.lookup")

Answers = tuple[HostAddress, ...]

AddressLookup = Callable[[str, int], Awaitable[tuple[str, ...]]]
"""Turns a host name and a port into numeric addresses; raises OSError as getaddrinfo does."""

LOOKUP_TIMEOUT = timedelta(seconds=5)

_THREADS: Final = ThreadPoolExecutor(32, thread_name_prefix="lookup")
"""For the system's resolver alone: where no name server answers, it keeps a thread for seconds, and
asyncio's own, a few more than there are processors, are what the journal and the pages live by."""

_NO_HOST_ERRORS = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


class Resolver(Protocol):
    """Whoever answers where a destination is."""

    async def resolve(self, to: Destination) -> Answers | Failure:
        """Return the addresses of `to`, the preferred one first, or why there are none."""
        ...


class HostResolver(Protocol):
    """Whoever answers where a host is."""

    async def resolve(self, to: ToHost) -> Answers | Failure:
        """Return the addresses of `to`, the preferred one first, or why there are none."""
        ...


class LabAddresses(Protocol):
    """The lab, as far as a resolver needs it; a receiver starts when it is first asked for."""

    async def address(self, name: str) -> HostAddress:
        """Return where the receiver of scenario `name` listens.

        LookupError: there is no such scenario. Any other exception: it can't be started.
        """
        ...

    async def capture_address(self) -> HostAddress:
        """Return where the capture receiver listens."""
        ...


class LabNames(Protocol):
    """The lab's name server, as far as a resolver needs it; it starts when it is first needed."""

    async def name_server(self, scenario: str) -> NameServer | None:
        """Return whom to ask for the hosts of a scenario, None for one that is a receiver itself.

        Any exception: the name server can't be started.
        """
        ...

    async def host(self, name: str) -> HostAddress:
        """Return where the receiver listens that a record calls `name`: DNS has no ports.

        LookupError: no receiver is called so. Any other exception: it can't be started.
        """
        ...


async def system_lookup(host: str, port: int) -> tuple[str, ...]:
    """Ask the system's resolver (`getaddrinfo`, RFC 6724 order); raise OSError where it fails."""
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_THREADS, ask)
    return tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class SystemResolver:
    """Answers for hosts: a numeric address stands for itself, a name is looked up.

    The name's address records are used, not its MX records.
    """

    def __init__(
        self, *, timeout: timedelta = LOOKUP_TIMEOUT, lookup: AddressLookup = system_lookup
    ) -> None:
        self._timeout = timeout
        self._lookup = lookup

    async def resolve(self, to: ToHost) -> Answers | Failure:
        """Return the host's addresses in the system's order, or why there are none."""
        name = to.host.removesuffix(".")
        if _is_numeric(name):
            addresses: tuple[str, ...] = (name,)
        else:
            try:
                async with asyncio.timeout(self._timeout.total_seconds()):
                    addresses = await self._lookup(name, to.port)
            except socket.gaierror as error:
                known = error.errno in _NO_HOST_ERRORS
                problem = DnsProblem.NO_HOST if known else DnsProblem.LOOKUP_FAILED
                return DnsFailure(problem=problem, name=name)
            except UnicodeError:
                # The codec of host names refuses what no name server could be asked for.
                return DnsFailure(problem=DnsProblem.NO_HOST, name=name)
            except OSError:
                return DnsFailure(problem=DnsProblem.LOOKUP_FAILED, name=name)
        if not addresses:
            return DnsFailure(problem=DnsProblem.NO_HOST, name=name)
        return tuple(
            HostAddress(name=name, address=address, port=to.port, mode=to.mode)
            for address in addresses[:MOST_ADDRESSES]
        )


class ChainedResolver:
    """Answers for every destination: the lab's own by the lab, hosts by `system`, domains by `mx`.

    Without a lab its destinations have no host. Without `names` every scenario is taken for a
    receiver. `chance` decides among hosts of equal preference.
    """

    def __init__(
        self,
        *,
        lab: LabAddresses | None,
        names: LabNames | None = None,
        system: HostResolver,
        mx: MxResolver,
        chance: random.Random,
    ) -> None:
        self._lab = lab
        self._names = names
        self._system = system
        self._mx = mx
        self._chance = chance

    async def resolve(self, to: Destination) -> Answers | Failure:
        match to:
            case ToHost():
                return await self._system.resolve(to)
            case ToHosts():
                return await self._several(to)
            case ToMailDomain():
                return await self._mx.resolve(to)
            case ToMxOrHost():
                return await self._mx_or_host(to)
            case ToNowhere():
                return DnsFailure(problem=DnsProblem.NO_HOST, name=str(to))
            case ToScenario(scenario=scenario):
                name = f"{scenario}.{LAB_DOMAIN}"
                return await _ask_lab(self._scenario(scenario, Domain(name)), name)
            case ToCapture():
                name = f"{to}.{LAB_DOMAIN}"
                if self._lab is None:
                    return DnsFailure(problem=DnsProblem.NO_HOST, name=name)
                return await _ask_lab(_only(self._lab.capture_address()), name)
            case _:
                assert_never(to)

    async def _mx_or_host(self, to: ToMxOrHost) -> Answers | Failure:
        """Ask for MX records and the addresses by DNS; where there are none, ask the system.

        It knows names that DNS does not: of containers, of /etc/hosts. A name of one label is not
        asked about in DNS at all, for it is no mail domain, and localhost is not (RFC 6761 section
        6.3). Whoever has MX records, or may have, is not to get mail elsewhere (RFC 5321 section
        5.1).
        """
        itself = ToHost(host=to.domain, port=to.port)
        if "." not in to.domain or to.domain.endswith(".localhost"):
            return await self._system.resolve(itself)
        found = await self._mx.resolve(ToMailDomain(domain=to.domain, port=to.port))
        if not _is_no_host(found) or await self._mx.has_exchangers(to.domain):
            return found
        return await self._system.resolve(itself)

    async def _scenario(self, scenario: str, domain: Domain) -> Answers | Failure:
        """Return where a scenario's mail goes; raise as the lab does."""
        if self._lab is None:
            return DnsFailure(problem=DnsProblem.NO_HOST, name=domain)
        server = await self._names.name_server(scenario) if self._names else None
        if self._names is None or server is None:
            return await _only(self._lab.address(scenario))
        answers = await self._mx.resolve(ToMailDomain(domain=domain), server=server)
        if not isinstance(answers, tuple):
            return answers
        listening = [await self._names.host(answer.name) for answer in answers]
        return tuple(
            replace(answer, port=there.port, mode=there.mode)
            for answer, there in zip(answers, listening, strict=True)
        )

    async def _several(self, to: ToHosts) -> Answers | Failure:
        """Return the addresses of all that can be found; those of one host stay together."""
        hosts = list(to.hosts)
        self._chance.shuffle(hosts)
        hosts.sort(key=lambda host: host.preference)
        found = await asyncio.gather(*(self.resolve(host.to) for host in hosts))
        failures = [answer for answer in found if not isinstance(answer, tuple)]
        if len(failures) == len(found):
            # "Try again later" outweighs "no such host", whatever the order.
            return next((f for f in failures if not _is_no_host(f)), failures[0])
        return tuple(
            replace(answer, preference=host.preference)
            for host, answers in zip(hosts, found, strict=True)
            if isinstance(answers, tuple)
            for answer in answers
        )


async def _only(asked: Awaitable[HostAddress]) -> Answers:
    return (await asked,)


async def _ask_lab(asked: Awaitable[Answers | Failure], name: str) -> Answers | Failure:
    try:
        return await asked
    except LookupError:
        return DnsFailure(problem=DnsProblem.NO_HOST, name=name)
    except Exception as error:
        # Whatever keeps a receiver from starting, the message is only deferred by it.
        log.warning("the lab's receiver for %s does not start: %s", name, error)
        return LocalRefusal(
            problem=LocalProblem.INTERNAL, detail=f"the lab's receiver for {name} does not start"
        )


def _is_no_host(failure: Answers | Failure) -> bool:
    return isinstance(failure, DnsFailure) and failure.problem is DnsProblem.NO_HOST


def _is_numeric(host: str) -> bool:
    if ":" not in host and not host[-1:].isdigit():
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

"""A check of what mail servers offer: one result for each target, whatever came of it.

    Target ── resolve ── each host ── HostChecker.check ──> HostCheck
                                                              │
    Check <── verdicts for the whole target, by `forecast` <──┘

Nothing is ever mailed. Where no host was reached nothing is known, and that is what the result
says: a network that blocks port 25 is no fault of the server's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique

from relay.audit.check_host import HostCheck, HostChecker
from relay.audit.check_target import Target
from relay.audit.check_verdicts import Expectation, SettingVerdict, verdicts
from relay.audit.on_record import DomainRecord
from relay.core.addresses import Domain
from relay.core.destinations import SMTP_PORT
from relay.core.outcomes import (
    ConnectionFailure,
    ConnectionProblem,
    DnsFailure,
    DnsProblem,
    Failure,
    LocalProblem,
    LocalRefusal,
    Stage,
)
from relay.core.routing import Hop, HostAddress
from relay.core.tls_policy import TrustAnchors
from relay.lookup.resolver import Resolver


@unique
class Reached(Enum):
    """How far a check came."""

    HOST = "host"
    """A host was reached; what it offers is known."""
    DNS = "dns"
    """The domain says that it takes no mail, or leads nowhere: that is the answer."""
    NOBODY = "nobody"
    """No host was reached, or none was found: nothing is known of the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """One expectation and whether it was met; None where the verdict is unknown, or nobody's."""

    expectation: Expectation
    met: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The result for one target.

    `resolve_seconds` is how long it took to find the hosts. `problem` says why there are none.
    `verdicts` are those for mail to the target: to its hosts in their order.
    """

    target: str
    destination: str
    domain: Domain
    at: datetime
    resolve_seconds: float
    reached: Reached
    problem: Failure | None
    hosts: tuple[HostCheck, ...]
    verdicts: tuple[SettingVerdict, ...]
    expected: tuple[Expected, ...]
    trust: TrustAnchors
    book: str

    @property
    def record(self) -> DomainRecord:
        """What a forecast of another policy may be made from, elsewhere too."""
        return _record(self.domain, [host.hop for host in self.hosts], self.problem, self.hosts)

    @property
    def determined(self) -> bool:
        """Whether the target gave an answer at all."""
        return self.reached is not Reached.NOBODY

    @property
    def failed(self) -> bool:
        """Whether an expectation is known not to be met."""
        return any(expected.met is False for expected in self.expected)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Checks targets; `checker_for` gives the one for a target's hosts, as trust may differ."""

    resolver: Resolver
    checker_for: Callable[[Target], HostChecker]
    expectations: Sequence[Expectation]
    now: Callable[[], datetime]

    async def check(self, target: Target, slots: asyncio.Semaphore) -> Check:
        """Check one target, its hosts side by side; a host takes one of `slots` meanwhile."""
        began = self.now()
        answers = await self.resolver.resolve(target.to)
        resolved = self.now()
        checker = self.checker_for(target)

        async def one(answer: HostAddress) -> HostCheck:
            hop = Hop(
                host=target.name or answer.name,
                address=answer.address,
                port=answer.port,
                mode=answer.mode,
            )
            async with slots:
                return await checker.check(hop, preference=answer.preference, domain=target.domain)

        hosts: tuple[HostCheck, ...] = ()
        problem: Failure | None = None
        if isinstance(answers, tuple):
            ordered = sorted(answers, key=lambda answer: answer.preference)
            hosts = tuple(await asyncio.gather(*map(one, ordered)))
        else:
            problem = answers
        record = _record(target.domain, [host.hop for host in hosts], problem, hosts)
        told = verdicts(record, checker.terms, checker.stores)
        by_setting = {verdict.setting: verdict for verdict in told}
        reached = _reached(hosts, problem)
        return Check(
            target=target.text,
            destination=str(target.to),
            domain=target.domain,
            at=began,
            resolve_seconds=round((resolved - began).total_seconds(), 4),
            reached=reached,
            problem=problem,
            hosts=hosts,
            verdicts=told,
            expected=tuple(
                Expected(
                    expectation=each,
                    met=(
                        None if reached is Reached.NOBODY else each.met_by(by_setting[each.setting])
                    ),
                )
                for each in self.expectations
            ),
            trust=checker.terms.trust,
            book=checker.terms.book.name,
        )


async def check_all(
    checker: Checker,
    targets: Sequence[Target],
    *,
    at_once: int,
    progress: Callable[[Check], None] = lambda _: None,
) -> tuple[Check, ...]:
    """Check targets side by side; results in the order of the targets.

    At most `at_once` targets are under way, and at most so many hosts: a long list of domains does
    not ask for all of them at once, which name servers and this machine's sockets would not take.
    `progress` is told of each target as it is ready.
    """
    under_way, slots = asyncio.Semaphore(at_once), asyncio.Semaphore(at_once)

    async def one(target: Target) -> Check:
        async with under_way:
            check = await checker.check(target, slots)
        progress(check)
        return check

    async with asyncio.TaskGroup() as tasks:
        checking = [tasks.create_task(one(target)) for target in targets]
    return tuple(task.result() for task in checking)


def _record(
    domain: Domain, hops: Sequence[Hop], problem: Failure | None, hosts: Sequence[HostCheck]
) -> DomainRecord:
    """Return what was seen; where no host was reached, nothing was.

    As soon as one was, the others' failures count as they do for a relay here: it goes on to the
    next host.
    """
    any_reached = any(host.reached for host in hosts)
    return DomainRecord(
        domain=domain,
        route=None,
        hosts=tuple(hops),
        problem=problem,
        seen=tuple(host.record for host in hosts) if any_reached else (),
    )


def _reached(hosts: Sequence[HostCheck], problem: Failure | None) -> Reached:
    if any(host.reached for host in hosts):
        return Reached.HOST
    match problem:
        case DnsFailure(problem=DnsProblem.NULL_MX | DnsProblem.LOOPS_BACK):
            return Reached.DNS
        case _:
            return Reached.NOBODY


_REASONS: Mapping[ConnectionProblem, str] = {
    ConnectionProblem.REFUSED: "nothing accepts connections there",
    ConnectionProblem.UNREACHABLE: "there is no way there from this network",
    ConnectionProblem.TIMEOUT: "no connection came about in time",
    ConnectionProblem.LOST: "the connection was cut",
}


def why_not_reached(failure: Failure, hop: Hop | None) -> str:
    """Say why nothing is known of a host or domain, in sentences for whoever asked."""
    match failure:
        case ConnectionFailure(problem=problem, stage=Stage.NOT_CONNECTED) if hop is not None:
            start = f"{hop}: {_REASONS[problem]} ({failure.detail})."
            if problem in {ConnectionProblem.TIMEOUT, ConnectionProblem.UNREACHABLE}:
                start += f" {_blocked(hop.port)}"
            return start
        case LocalRefusal(problem=LocalProblem.HOST_NOT_ALLOWED):
            return (
                f"{failure.detail}. Nothing was sent: hosts off this machine and its private "
                "networks need --allow-external."
            )
        case DnsFailure(problem=DnsProblem.NO_HOST, name=name):
            return f"{name}: neither MX records nor an address were found."
        case DnsFailure(problem=DnsProblem.LOOKUP_FAILED, name=name):
            return f"{name}: the look-up failed; that says nothing of its mail servers."
        case DnsFailure(problem=DnsProblem.NULL_MX, name=name):
            return f"{name} says by its MX record that it takes no mail (RFC 7505)."
        case DnsFailure(problem=DnsProblem.LOOPS_BACK, name=name):
            return f"{name}: its best MX record leads back to this relay."
        case ConnectionFailure() | LocalRefusal():
            return f"{hop or ''}: {failure.detail}".removeprefix(": ")
        case _:
            raise ValueError("a failure with a host that was reached")


def _blocked(port: int) -> str:
    if port == SMTP_PORT:
        return (
            "This network may block port 25, as many do: that is not the server's verdict. Run the "
            "check from a machine that may send mail, with --save."
        )
    return "A firewall may be in the way: that is not the server's verdict."

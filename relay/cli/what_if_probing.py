"""`relay what-if --probe`: gathers what the record lacks, and keeps it for the next time."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from relay.cli.console import console, fail
from relay.cli.progress import progress_bar

if TYPE_CHECKING:
    from relay.audit.on_record import DomainRecord
    from relay.audit.probe import Probed
    from relay.audit.what_if import WhatIf
    from relay.cli.state import StateDir
    from relay.core.delivery import Policy
    from relay.core.destinations import Destination
    from relay.core.settings import TlsVersion

HOSTNAME: Final = "relay-what-if.test"
"""What EHLO says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probes:
    """What probing brought: records to judge by, and domains without one, with the reason."""

    records: tuple[DomainRecord, ...]
    not_reached: tuple[str, ...]


def wanted(result: WhatIf, policies: Sequence[Policy]) -> dict[tuple[str, str | None], Probed]:
    """Return what to probe, so that nothing stays unknown under any of the policies."""
    from relay.audit.forecast import Unknown
    from relay.audit.probe import Probed

    found: dict[tuple[str, str | None], Probed] = {}
    for row in result.rows:
        for policy, told in zip(policies, (row.now, row.then), strict=True):
            if isinstance(told, Unknown):
                way = policy.way(row.asked.domain, sender=row.asked.sender)
                probed = Probed.by(row.asked.domain, way.route)
                found[probed.domain, probed.route] = probed
    return found


def run(
    asked: Sequence[Probed],
    policies: Sequence[Policy],
    where: StateDir,
    *,
    allow_external: bool,
    as_json: bool,
) -> Probes:
    """Probe domains side by side, with progress on a terminal; keep what was found in the cache."""
    err = console(stderr=True)
    with progress_bar(err, "probing", total=len(asked), hidden=as_json) as update:
        records = asyncio.run(
            _probe(
                asked,
                policies,
                where,
                allow_external=allow_external,
                tick=lambda r: update(advance=1, description=f"probing {r.domain}"),
            )
        )
    failures = {record.domain: _not_reached(record) for record in records}
    told = tuple(record for record in records if failures[record.domain] is None)
    _keep(where, told)
    return Probes(
        records=told,
        not_reached=tuple(f"{domain}: {why}" for domain, why in failures.items() if why),
    )


async def _probe(
    asked: Sequence[Probed],
    policies: Sequence[Policy],
    where: StateDir,
    *,
    allow_external: bool,
    tick: Callable[[DomainRecord], None],
) -> tuple[DomainRecord, ...]:
    from relay.audit.probe import Prober
    from relay.lookup.mx import MxResolver
    from relay.lookup.resolver import ChainedResolver, SystemResolver
    from relay.outbound.session import SessionOptions
    from relay.tls.contexts import ClientContexts
    from relay.tls.trust import TrustStores

    then = policies[-1]
    chance = random.Random(0)  # noqa: S311 - every host is probed, whatever the order
    async with contextlib.AsyncExitStack() as stack:
        lab, names = None, None
        if any(_in_lab(each.to) for each in asked):
            # The receivers of a running relay are that process's own: these are their like, with
            # the same authority.
            from relay.lab.authority import LabAuthority
            from relay.lab.lab import Lab
            from relay.lab.lookups import LabLookups

            lab = Lab(LabAuthority(where.certificates), now=lambda: datetime.now(UTC))
            await stack.enter_async_context(lab)
            names = await stack.enter_async_context(LabLookups(lab, client=HOSTNAME))
        prober = Prober(
            resolver=ChainedResolver(
                lab=lab,
                names=names,
                system=SystemResolver(),
                mx=MxResolver(
                    dns=lambda: then.routing.dns,
                    own_name=HOSTNAME,
                    chance=chance,
                    allow_external=allow_external,
                ),
                chance=chance,
            ),
            minimum_tls=_lowest(policies),
            options=SessionOptions(
                local_hostname=HOSTNAME,
                connect_timeout=then.delivery.connect_timeout,
                command_timeout=then.delivery.command_timeout,
                allow_external=allow_external,
            ),
            contexts=ClientContexts(TrustStores()),
            now=lambda: datetime.now(UTC),
        )
        return await prober.domains(asked, progress=tick)


def _in_lab(to: Destination) -> bool:
    from relay.core.destinations import ToCapture, ToHosts, ToScenario

    match to:
        case ToHosts(hosts=hosts):
            return any(_in_lab(host.to) for host in hosts)
        case _:
            return isinstance(to, ToScenario | ToCapture)


def _lowest(policies: Sequence[Policy]) -> TlsVersion:
    """Return the lowest TLS version that any of the policies takes from anyone."""
    from relay.core.settings import TlsVersion

    order = list(TlsVersion)
    rules = (rule.policy for policy in policies for rule in policy.tls.rules.values())
    relays = (r.tls for p in policies for r in p.routing.email_relays.relays.values())
    return min((tls.minimum_tls for tls in (*rules, *relays)), key=order.index)


def _not_reached(record: DomainRecord) -> str | None:
    """Say why a probe tells nothing of a domain; None where it tells something.

    That this machine did not get through says nothing of a relay elsewhere.
    """
    from relay.core.bounces import explain_failure
    from relay.core.outcomes import LocalProblem, LocalRefusal, Stage

    if record.problem is not None:
        return explain_failure(record.problem).cause
    for host in record.seen:
        match host.failure:
            case LocalRefusal(problem=LocalProblem.HOST_NOT_ALLOWED):
                return f"{host.hop} is off this machine; --allow-external lets it be probed"
            case None:
                pass
            case failure if failure.stage is Stage.NOT_CONNECTED:
                return f"{explain_failure(failure).cause} Port 25 may be blocked here"
            case _:
                pass
    return None


def cached(where: StateDir, *, max_age: timedelta) -> tuple[DomainRecord, ...]:
    """Return what earlier probes found, as far as it is young enough."""
    from relay.audit.evidence_file import EvidenceFileError, load_evidence
    from relay.audit.on_record import newest

    oldest = datetime.now(UTC) - max_age
    try:
        return tuple(r for r in load_evidence(where.probes) if newest(r) >= oldest)
    except FileNotFoundError:
        return ()
    except OSError as error:
        fail(f"can't read {where.probes}: {error.strerror}")
    except EvidenceFileError as error:
        fail(f"{error.problems[0]}", hint="Remove the file: it only saves probing again.")


def _keep(where: StateDir, records: Sequence[DomainRecord]) -> None:
    from relay.audit.evidence_file import save_evidence

    if not records:
        return
    kept = {(r.domain, r.route): r for r in (*cached(where, max_age=_FOR_EVER), *records)}
    try:
        where.path.mkdir(parents=True, exist_ok=True)
        save_evidence(where.probes, kept.values())
    except OSError as error:
        fail(f"can't write {where.probes}: {error.strerror}")


_FOR_EVER: Final = timedelta(days=3650)

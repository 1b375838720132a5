"""Checks of the lab's receivers, as the tests of `relay check` make them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from relay.audit.check import Check, Checker, check_all
from relay.audit.check_host import HostChecker
from relay.audit.check_target import Target, parse_target
from relay.audit.check_verdicts import Expectation, Terms
from relay.core.codebook import CodeBook
from relay.core.codebook_data import SALESFORCE
from relay.core.routing import Dns
from relay.core.settings import TlsVersion
from relay.core.tls_policy import NamePolicy, TrustAnchors
from relay.lab.authority import LabAuthority
from relay.lab.lab import Lab
from relay.lab.lookups import LabLookups
from relay.lab.received import ReceivedSession
from relay.lookup.mx import MxResolver
from relay.lookup.resolver import ChainedResolver, Resolver, SystemResolver
from relay.outbound.session import SessionOptions
from relay.tls.trust import TrustStores

OWN_NAME = "relay.lab.test"
PATIENCE = timedelta(seconds=3)
"""For those that never answer; the others answer at once."""


def now() -> datetime:
    return datetime.now(UTC)


def options(timeout: timedelta = PATIENCE, *, allow_external: bool = False) -> SessionOptions:
    return SessionOptions(
        local_hostname=OWN_NAME,
        connect_timeout=timeout,
        command_timeout=timeout,
        allow_external=allow_external,
    )


def terms(
    *, lab: bool = True, names: NamePolicy | None = None, book: CodeBook = SALESFORCE
) -> Terms:
    return Terms(
        trust=TrustAnchors(lab=lab),
        names=names or NamePolicy(),
        minimum_tls=TlsVersion.TLS1_2,
        book=book,
    )


@dataclass(frozen=True)
class CheckedLab:
    """A lab, and a way to check what is in it."""

    lab: Lab
    resolver: Resolver
    stores: TrustStores

    async def check(
        self,
        *names: str,
        versions: bool = False,
        suites: bool = False,
        judged_by: Terms | None = None,
        expectations: Sequence[Expectation] = (),
    ) -> Mapping[str, Check]:
        """Check scenarios side by side."""
        targets = [parse_target(f"lab/{name}") for name in names]
        checks = await self.check_targets(
            targets,
            versions=versions,
            suites=suites,
            judged_by=judged_by or terms(),
            expectations=expectations,
        )
        return dict(zip(names, checks, strict=True))

    async def check_targets(
        self,
        targets: Sequence[Target],
        *,
        judged_by: Terms,
        versions: bool = False,
        suites: bool = False,
        expectations: Sequence[Expectation] = (),
        session_options: SessionOptions | None = None,
    ) -> Sequence[Check]:
        host_checker = HostChecker(
            terms=judged_by,
            options=session_options or options(),
            stores=self.stores,
            now=now,
            versions=versions,
            suites=suites,
        )
        checker = Checker(
            resolver=self.resolver,
            checker_for=lambda _: host_checker,
            expectations=expectations,
            now=now,
        )
        return await check_all(checker, targets, at_once=8)

    async def received(self) -> Mapping[str, tuple[ReceivedSession, ...]]:
        """Return what each receiver that was started has on record, once all sessions are over."""
        for name in self.lab.endpoints:
            await self.lab.wait_until_idle(name, within=10)
        return {name: self.lab.received(name) for name in self.lab.endpoints}


@asynccontextmanager
async def checked_lab(certificates: Path) -> AsyncIterator[CheckedLab]:
    authority = LabAuthority(certificates)
    chance = random.Random(1)
    async with Lab(authority, now=now) as lab, LabLookups(lab, client=OWN_NAME) as names:
        mx = MxResolver(dns=Dns, own_name=OWN_NAME, chance=chance)
        resolver = ChainedResolver(
            lab=lab, names=names, system=SystemResolver(), mx=mx, chance=chance
        )
        stores = TrustStores(
            lambda: authority.root_pem, lab_intermediates=lambda: authority.intermediates_pem
        )
        yield CheckedLab(lab=lab, resolver=resolver, stores=stores)

"""Runs `relay check`: the lab beside it where a target needs one, and all targets side by side.

Only the standard library and light modules at import time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from relay.cli.console import ExitCode, fail
from relay.cli.state import ELSEWHERE

if TYPE_CHECKING:
    from relay.audit.check import Check
    from relay.audit.check_target import Target
    from relay.audit.check_verdicts import Expectation, Terms
    from relay.core.codebook import CodeBook
    from relay.core.settings import TlsVersion
    from relay.core.tls_policy import TrustAnchors
    from relay.lab.authority import LabAuthority
    from relay.tls.trust import TrustStores


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line asked for, read and checked."""

    targets: Sequence[Target]
    expectations: Sequence[Expectation]
    trust: TrustAnchors | None
    book: CodeBook
    minimum_tls: TlsVersion
    also_match_domain: bool
    versions: bool
    suites: bool
    timeout: timedelta
    at_once: int
    hostname: str
    allow_external: bool
    certificates: Path

    def terms(self, target: Target) -> Terms:
        """Return what a target is judged by: the lab's root counts for its own receivers."""
        from relay.audit.check_verdicts import Terms
        from relay.core.tls_policy import NamePolicy, TrustAnchors

        trust = self.trust or TrustAnchors(lab=target.in_lab, system=True)
        names = NamePolicy(recipient_domain=self.also_match_domain)
        return Terms(trust=trust, names=names, minimum_tls=self.minimum_tls, book=self.book)


def run_checks(wanted: Wanted, progress: Callable[[Check], None]) -> Sequence[Check]:
    """Check everything; ends the command where it can't be begun."""
    from relay.tls.trust import TrustError

    authority = _authority(wanted)
    stores = _stores(authority)
    for target in wanted.targets:
        try:
            stores.store(wanted.terms(target).trust)
        except TrustError as error:
            fail(str(error), hint="--trust takes lab, system, and files in PEM.")
    try:
        return asyncio.run(_checked(wanted, authority, stores, progress))
    except* ValueError as errors:
        fail(str(errors.exceptions[0]))


def _authority(wanted: Wanted) -> LabAuthority | None:
    """Return the lab's authority where a target or `--trust` needs it: that of this machine."""
    from relay.lab.authority import AuthorityError, LabAuthority

    if not any(wanted.terms(target).trust.lab or target.in_lab for target in wanted.targets):
        return None
    try:
        return LabAuthority(wanted.certificates)
    except AuthorityError as error:
        fail(str(error), hint=ELSEWHERE, code=ExitCode.UNDETERMINED)


def _stores(authority: LabAuthority | None) -> TrustStores:
    from relay.tls.trust import TrustStores

    if authority is None:
        return TrustStores()
    return TrustStores(
        lambda: authority.root_pem, lab_intermediates=lambda: authority.intermediates_pem
    )


async def _checked(
    wanted: Wanted,
    authority: LabAuthority | None,
    stores: TrustStores,
    progress: Callable[[Check], None],
) -> Sequence[Check]:
    """Check all targets; receivers of the lab are started here, on free ports, and end with it."""
    import random

    from relay.audit.check import Checker, check_all
    from relay.audit.check_host import HostChecker
    from relay.core.routing import Dns
    from relay.lab.lab import Lab
    from relay.lab.lookups import LabLookups
    from relay.lookup.mx import MxResolver
    from relay.lookup.resolver import ChainedResolver, SystemResolver
    from relay.outbound.session import SessionOptions

    now = _clock()
    options = SessionOptions(
        local_hostname=wanted.hostname,
        connect_timeout=wanted.timeout,
        command_timeout=wanted.timeout,
        allow_external=wanted.allow_external,
    )

    def checker_for(target: Target) -> HostChecker:
        return HostChecker(
            terms=wanted.terms(target),
            options=options,
            stores=stores,
            now=now,
            versions=wanted.versions,
            suites=wanted.suites,
        )

    async with contextlib.AsyncExitStack() as stack:
        lab = names = None
        if authority is not None and any(target.in_lab for target in wanted.targets):
            lab = await stack.enter_async_context(Lab(authority, now=now))
            names = await stack.enter_async_context(LabLookups(lab, client=wanted.hostname))
        chance = random.Random()  # noqa: S311 - the order of equal hosts is no secret
        mx = MxResolver(
            dns=Dns,
            own_name=wanted.hostname,
            chance=chance,
            allow_external=wanted.allow_external,
        )
        resolver = ChainedResolver(
            lab=lab, names=names, system=SystemResolver(), mx=mx, chance=chance
        )
        checker = Checker(
            resolver=resolver,
            checker_for=checker_for,
            expectations=wanted.expectations,
            now=now,
        )
        return await check_all(checker, wanted.targets, at_once=wanted.at_once, progress=progress)


def _clock() -> Callable[[], datetime]:
    """Return a clock whose steps are those of the machine's steady one, to time stages by."""
    began, start = datetime.now(UTC), time.perf_counter()
    return lambda: began + timedelta(seconds=time.perf_counter() - start)

"""OpenSSL's and Postfix's own tools are asked what `relay check` is asked, and must agree."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from check_lab import CheckedLab, checked_lab
from judge_programs import Ended, run

from relay.audit.check_host import HostCheck
from relay.audit.check_versions import Accepted
from relay.core.faults import FaultKind
from relay.core.routing import HostAddress
from relay.core.scenarios import Family, ReachedBy
from relay.core.settings import TlsMode, TlsVersion
from relay.lab.availability import why_unavailable
from relay.lab.catalogue import LAB_SCENARIOS
from relay.tls.probing import known_suites

BY_TURNS = {"rotates"}
CERTIFICATES = [
    name
    for name, scenario in LAB_SCENARIOS.items()
    if scenario.card.family is Family.CERTIFICATE
    and scenario.card.reached_by is ReachedBy.NAME
    and name not in BY_TURNS
]
LENIENT = {
    "openssl": {FaultKind.CERTIFICATE_NAME_MISMATCH: {"common-name-only"}},
    "posttls-finger": {
        FaultKind.CERTIFICATE_NAME_MISMATCH: {"common-name-only"},
        FaultKind.CERTIFICATE_WEAK_KEY: {"rsa-1024"},
    },
}
"""What these tools accept and we do not: a common name (RFC 9525 section 2 forbids it), and, for
Postfix, a short key, because it works at a lower security level."""
VERSIONS = {
    TlsVersion.TLS1_0: "-tls1",
    TlsVersion.TLS1_1: "-tls1_1",
    TlsVersion.TLS1_2: "-tls1_2",
    TlsVersion.TLS1_3: "-tls1_3",
}


@pytest_asyncio.fixture
async def lab(tmp_path: Path) -> AsyncIterator[CheckedLab]:
    async with checked_lab(tmp_path) as checked:
        yield checked


async def openssl(where: HostAddress, *words: str) -> Ended:
    start = ("-starttls", "smtp") if where.mode is TlsMode.STARTTLS else ()
    address = f"{where.address}:{where.port}"
    return await run("openssl", "s_client", *start, "-connect", address, *words)


async def posttls_finger(where: HostAddress, host: str, root: Path) -> Ended:
    address = f"[{where.address}]:{where.port}"
    return await run("posttls-finger", "-c", "-l", "secure", "-F", str(root), address, host)


async def check(
    lab: CheckedLab, name: str, *, versions: bool = False, suites: bool = False
) -> HostCheck:
    checks = await lab.check(name, versions=versions, suites=suites)
    host: HostCheck
    (host,) = checks[name].hosts
    return host


def accepted(host: HostCheck, program: str, name: str) -> bool:
    lenient = {kind for kind, names in LENIENT[program].items() if name in names}
    return not ({fault.kind for fault in host.faults} - lenient)


@pytest.mark.judge("openssl")
@pytest.mark.parametrize("name", CERTIFICATES)
async def test_openssl_accepts_the_certificates_that_check_accepts(
    name: str, lab: CheckedLab, tmp_path: Path
) -> None:
    host = await check(lab, name)
    root = tmp_path / "root.pem"
    root.write_bytes(lab.lab.authority.root_pem)
    ended = await openssl(
        lab.lab.endpoints[name],
        "-CAfile", str(root), "-verify_return_error",
        "-verify_hostname", host.hop.host, "-servername", host.hop.host,
    )  # fmt: skip
    assert (ended.code == 0) is accepted(host, "openssl", name), ended.output


@pytest.mark.judge("posttls-finger")
@pytest.mark.parametrize("name", CERTIFICATES)
async def test_postfix_verifies_the_certificates_that_check_accepts(
    name: str, lab: CheckedLab, tmp_path: Path
) -> None:
    host = await check(lab, name)
    root = tmp_path / "root.pem"
    root.write_bytes(lab.lab.authority.root_pem)
    ended = await posttls_finger(lab.lab.endpoints[name], host.hop.host, root)
    verified = "Verified TLS connection established" in ended.output
    assert verified is accepted(host, "posttls-finger", name), ended.output


@pytest.mark.judge("openssl")
@pytest.mark.parametrize(
    "name",
    ["good", "tls12", "tls13", "tls10-only", "tls11-only", "null-cipher", "weak-dh", "rc4-only",
     "3des-only", "no-common-cipher", "implicit-tls"],
)  # fmt: skip
async def test_openssl_speaks_the_versions_that_check_finds(name: str, lab: CheckedLab) -> None:
    if why_unavailable(LAB_SCENARIOS[name]):
        return
    host = await check(lab, name, versions=True)
    where = lab.lab.endpoints[name]
    widest = ("-cipher", "ALL:COMPLEMENTOFALL:!aNULL:@SECLEVEL=0", "-servername", host.hop.host)
    for result in host.versions:
        ended = await openssl(where, VERSIONS[result.version], *widest)
        spoken = "Cipher is (NONE)" not in ended.output and "New, " in ended.output
        assert spoken is isinstance(result.answer, Accepted), (result, ended.output)


@pytest.mark.judge("openssl")
@pytest.mark.parametrize("name", ["tls12", "rsa", "weak-dh"])
async def test_openssl_finds_the_same_suites(name: str, lab: CheckedLab) -> None:
    host = await check(lab, name, versions=True, suites=True)
    where = lab.lab.endpoints[name]
    (found,) = [r.suites for r in host.versions if r.suites is not None]
    assert found.complete

    async def accepts(suite: str) -> bool:
        words = ("-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0", "-servername", host.hop.host)
        ended = await openssl(where, *words)
        return f"Cipher is {suite}" in ended.output

    slots = asyncio.Semaphore(2)

    async def one(suite: str) -> bool:
        async with slots:
            return await accepts(suite)

    offered = known_suites(TlsVersion.TLS1_2)
    answers = await asyncio.gather(*map(one, offered))
    assert {s for s, yes in zip(offered, answers, strict=True) if yes} == set(found.names)

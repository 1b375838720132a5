"""Every certificate of the lab before outside judges, over SMTP: OpenSSL's and GnuTLS's clients."""

from __future__ import annotations

import re

import pytest
from lab_judgements import JUDGEMENTS
from lab_programs import run

from relay.core.routing import HostAddress
from relay.core.scenarios import Family
from relay.core.settings import TlsMode
from relay.lab.authority import LabAuthority
from relay.lab.catalogue import SCENARIOS
from relay.lab.lab import Lab


async def s_client(host: HostAddress, authority: LabAuthority, *more: str) -> set[int]:
    """Return every verify error that OpenSSL's client reports."""
    wanted = (
        ("-verify_ip", host.name)
        if host.name == host.address
        else ("-verify_hostname", host.name, "-servername", host.name)
    )
    _, output = await run(
        *("openssl", "s_client", "-connect", f"{host.address}:{host.port}", *wanted),
        *(("-starttls", "smtp") if host.mode is TlsMode.STARTTLS else ()),
        *("-CAfile", str(authority.root_path), "-x509_strict", *more),
        *("-purpose", "sslserver", "-cipher", "DEFAULT:@SECLEVEL=2"),
    )
    assert "BEGIN CERTIFICATE" in output, output
    return {int(number) for number in re.findall(r"verify error:num=(\d+)", output)}


def test_the_table_names_both_families() -> None:
    families = {Family.HONEST, Family.CERTIFICATE}
    assert set(JUDGEMENTS) == {name for name, c in SCENARIOS.items() if c.family in families}


@pytest.mark.judge("openssl")
@pytest.mark.parametrize("name", JUDGEMENTS)
async def test_openssl_finds_what_is_meant_and_nothing_else(
    lab: Lab, authority: LabAuthority, name: str
) -> None:
    assert await s_client(await lab.address(name), authority) == JUDGEMENTS[name][0]


@pytest.mark.judge("gnutls-cli")
@pytest.mark.parametrize("name", JUDGEMENTS)
async def test_gnutls_finds_what_is_meant_and_nothing_else(
    lab: Lab, authority: LabAuthority, name: str
) -> None:
    host = await lab.address(name)
    _, output = await run(
        *("gnutls-cli", "--x509cafile", str(authority.root_path), "--port", str(host.port)),
        *(("--starttls-proto", "smtp") if host.mode is TlsMode.STARTTLS else ()),
        *("--verify-hostname", host.name, host.address),
    )
    (status,) = re.findall(r"Status: The certificate is (.*)", output)
    reasons = {f"{r.strip()}" for r in status.removeprefix("NOT trusted.").split(". ") if r.strip()}
    expected = JUDGEMENTS[name][1]
    if not expected:
        assert reasons == {"trusted"}
    assert all(any(words in reason for reason in reasons) for words in expected), reasons
    assert len(reasons) == max(1, len(expected)), reasons


@pytest.mark.judge("openssl")
async def test_the_revocation_list_tells_the_revoked_one_from_the_good_one(
    lab: Lab, authority: LabAuthority
) -> None:
    ask = ("-crl_check", "-CRL", str(authority.crl_path))
    assert await s_client(await lab.address("revoked"), authority, *ask) == {23}
    assert await s_client(await lab.address("good"), authority, *ask) == set()
    # The list is the intermediate's; for what another authority issued there is none: 3.
    assert await s_client(await lab.address("long-chain"), authority, *ask) == {3}


@pytest.mark.judge("openssl")
async def test_rotation_shows_each_certificate_in_its_turn(
    lab: Lab, authority: LabAuthority
) -> None:
    host = await lab.address("rotates")
    turns = [await s_client(host, authority) for _ in range(5)]
    assert turns == [set(), {10}, set(), {10}, set()]
    assert await s_client(host, authority) == {10}
    lab.reset()
    assert await s_client(host, authority) == set()

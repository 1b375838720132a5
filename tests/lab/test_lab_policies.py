"""Scenarios whose verdict a policy's own words change: a list, a name, a version, a root."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lab_opening import open_session

from relay.core.addresses import parse_domain
from relay.core.faults import FaultKind
from relay.core.settings import Protection, TlsSetting, TlsVersion
from relay.core.tls_policy import CommonName, NamePolicy, TlsPolicy, TrustAnchors
from relay.core.verdicts import Deliver, Verdict
from relay.lab.authority import LabAuthority
from relay.lab.catalogue import SCENARIOS
from relay.lab.lab import Lab

VERIFY = TlsPolicy.for_setting(TlsSetting.REQUIRED_VERIFY)


async def verdict_on(
    lab: Lab, authority: LabAuthority, name: str, policy: TlsPolicy
) -> tuple[Verdict, tuple[FaultKind, ...]]:
    session, stores = await open_session(lab, authority, name, policy)
    domain = parse_domain(SCENARIOS[name].mail_domain)
    judged = await session.admit(policy, recipient_domain=domain, store=stores.store(policy.trust))
    await session.close()
    return judged.verdict, tuple(fault.kind for fault in session.record().faults)


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("revoked", (FaultKind.CERTIFICATE_REVOKED,)),
        ("good", ()),
        # There is no list of the subordinates of a recipe.
        ("long-chain", (FaultKind.CERTIFICATE_REVOCATION_UNKNOWN,)),
    ],
)
async def test_with_the_labs_revocation_list(
    lab: Lab, authority: LabAuthority, name: str, faults: tuple[FaultKind, ...]
) -> None:
    trust = TrustAnchors(crl_files=(str(authority.crl_path),))
    verdict, found = await verdict_on(lab, authority, name, replace(VERIFY, trust=trust))
    assert found == faults
    assert isinstance(verdict, Deliver) is (not faults)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("domain-not-host", NamePolicy(recipient_domain=True)),
        ("common-name-only", NamePolicy(common_name=CommonName.FALLBACK)),
        ("wrong-host", NamePolicy(extra=(parse_domain("mail.elsewhere.test"),))),
        ("ip-address-host", NamePolicy(extra=(parse_domain("mx.ip-address-host.lab.test"),))),
        ("wildcard-too-deep", NamePolicy(extra=(parse_domain("mx.lab.test"),))),
    ],
)
async def test_with_another_name_allowed(
    lab: Lab, authority: LabAuthority, name: str, names: NamePolicy
) -> None:
    verdict, found = await verdict_on(lab, authority, name, replace(VERIFY, names=names))
    assert found == ()
    assert verdict == Deliver(protection=Protection.VERIFIED)


@pytest.mark.parametrize(("name", "delivered"), [("tls12", False), ("tls13", True), ("good", True)])
async def test_with_tls_1_3_demanded(
    lab: Lab, authority: LabAuthority, name: str, delivered: bool
) -> None:
    policy = replace(VERIFY, minimum_tls=TlsVersion.TLS1_3)
    verdict, found = await verdict_on(lab, authority, name, policy)
    assert isinstance(verdict, Deliver) is delivered
    assert found == (() if delivered else (FaultKind.HANDSHAKE_PROTOCOL_VERSION,))


async def test_rotation_is_good_and_expired_in_turn(lab: Lab, authority: LabAuthority) -> None:
    expired = (FaultKind.CERTIFICATE_EXPIRED,)
    found = [(await verdict_on(lab, authority, "rotates", VERIFY))[1] for _ in range(4)]
    assert found == [(), expired, (), expired]
    await verdict_on(lab, authority, "rotates", VERIFY)
    lab.reset()
    assert (await verdict_on(lab, authority, "rotates", VERIFY))[1] == ()

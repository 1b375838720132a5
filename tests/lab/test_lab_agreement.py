"""The cards tell the truth: a session with each receiver finds the card's faults, no others."""

from __future__ import annotations

from datetime import timedelta

import pytest
from lab_opening import open_session

from relay.core.addresses import parse_domain
from relay.core.advisories import AdvisoryKind
from relay.core.outcomes import DnsProblem, Stage
from relay.core.scenarios import Scenario
from relay.core.settings import TlsSetting
from relay.core.tls_policy import TlsPolicy
from relay.lab.authority import LabAuthority
from relay.lab.catalogue import LAB_SCENARIOS
from relay.lab.lab import Lab
from relay.lab.outlook import foretell
from relay.outbound.session import NotAdmitted

PATIENCE = timedelta(seconds=2)
"""The only wait that is ever used up is that for a receiver which says nothing, or too slowly."""
BEFORE_TLS = {Stage.BANNER, Stage.EHLO}
"""Where a session ends before there is anything to judge."""


def expected_advisories(card: Scenario, policy: TlsPolicy) -> list[AdvisoryKind]:
    """The card's, in a session under TLS; what verification refuses is not reported besides."""
    if policy.setting is TlsSetting.OFF:
        return []
    refused = {AdvisoryKind.PLAINTEXT_BEHIND_GO_AHEAD} if policy.verifies else set()
    return [kind for kind in card.advisories if kind not in refused]


@pytest.mark.parametrize("setting", TlsSetting, ids=lambda setting: setting.value)
@pytest.mark.parametrize("name", LAB_SCENARIOS)
async def test_a_session_finds_what_the_card_says(
    lab: Lab, authority: LabAuthority, name: str, setting: TlsSetting
) -> None:
    card, policy = LAB_SCENARIOS[name].card, TlsPolicy.for_setting(setting)
    session, stores = await open_session(lab, authority, name, policy, patience=PATIENCE)
    if card.stage in BEFORE_TLS:
        await session.close()
        assert session.failure is not None
        assert session.failure.stage is card.stage
        return
    judged = await session.admit(
        policy, recipient_domain=parse_domain(card.mail_domain), store=stores.store(policy.trust)
    )
    await session.close()
    faults = tuple(fault.kind for fault in session.record().faults)
    assert faults == (() if setting is TlsSetting.OFF else card.faults)
    advisories = [advisory.kind for advisory in session.record().advisories]
    assert advisories == expected_advisories(card, policy)
    foretold = foretell(card, setting)
    assert not isinstance(foretold, DnsProblem)
    assert judged.verdict.kind == foretold.kind
    assert getattr(judged.verdict, "protection", None) == getattr(foretold, "protection", None)
    await lab.wait_until_idle(name)
    (received,) = lab.received(name)
    assert received.data_octets == 0
    if isinstance(judged, NotAdmitted):
        assert judged.failure.stage is card.stage
        assert set(received.commands) <= {"EHLO", "HELO", "STARTTLS", "QUIT"}

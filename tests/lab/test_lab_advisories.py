"""Which scenarios bring a report, typed by hand; that sessions do bring it: test_lab_agreement."""

from __future__ import annotations

import pytest

from relay.core.advisories import ADVISORY_ORDER, AdvisoryKind
from relay.core.scenarios import Family, ScenarioClass
from relay.lab.catalogue import SCENARIOS

REPORTED = {
    "starttls-injection": (AdvisoryKind.PLAINTEXT_BEHIND_GO_AHEAD,),
    "starttls-offered-again": (AdvisoryKind.STARTTLS_OFFERED_UNDER_TLS,),
    "expires-soon": (AdvisoryKind.CERTIFICATE_EXPIRES_SOON,),
    "wrong-order-chain": (AdvisoryKind.CHAIN_OUT_OF_ORDER,),
    "must-staple": (AdvisoryKind.MUST_STAPLE_NOT_CHECKED,),
    "ca-as-leaf": (AdvisoryKind.AUTHORITY_AS_HOST,),
}
UNSEEN = {
    "revoked": "nothing in the session shows it",
    "sni-required": "can't see that the host demands it",
}
"""Advisory scenarios of which a session shows nothing, and how their cards say so."""

TLS_FAMILIES = {Family.HONEST, Family.STARTTLS, Family.HANDSHAKE, Family.CERTIFICATE}


def test_the_cards_name_these_reports_and_no_others() -> None:
    found = {name: card.advisories for name, card in SCENARIOS.items() if card.advisories}
    assert found == REPORTED
    for kinds in found.values():
        assert list(kinds) == sorted(kinds, key=ADVISORY_ORDER.__getitem__)


def test_an_advisory_of_tls_is_reported_or_its_card_says_that_it_can_not_be() -> None:
    advisory = {
        name
        for name, card in SCENARIOS.items()
        if card.scenario_class is ScenarioClass.ADVISORY and card.family in TLS_FAMILIES
    }
    assert advisory == (set(REPORTED) - {"starttls-injection"}) | set(UNSEEN)


@pytest.mark.parametrize("name", UNSEEN)
def test_what_can_not_be_seen_is_said(name: str) -> None:
    assert UNSEEN[name] in SCENARIOS[name].in_the_wild

"""What is worth a report, and what is not; no policy of trust plays a part."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tls_authority import CA, DAY, HOST, NOW, Issued, Recipe, authority, issue
from tls_cases import WORLD

from relay.core.addresses import Domain
from relay.core.advisories import Advisory, AdvisoryKind
from relay.core.advisory_cards import ADVISORIES, advisory_card
from relay.core.evidence import HandshakeDone, TlsEvidence
from relay.core.settings import TlsMode, TlsSetting
from relay.core.tls_policy import CommonName, NamePolicy, TlsPolicy
from relay.tls.advise import advise

K = AdvisoryKind
SECOND = timedelta(seconds=1)
DONE = TlsEvidence(
    mode=TlsMode.STARTTLS,
    observed_at=NOW,
    starttls_offered=True,
    starttls_sent=True,
    handshake=HandshakeDone(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384"),
    starttls_offered_under_tls=False,
)
REQUIRED = TlsPolicy.for_setting(TlsSetting.REQUIRED)
STAPLE = x509.TLSFeature([x509.TLSFeatureType.status_request])
SEVENTH = x509.TLSFeature([x509.TLSFeatureType.status_request_v2])


def advised(
    evidence: TlsEvidence, policy: TlsPolicy = REQUIRED, *, at: datetime = NOW
) -> tuple[Advisory, ...]:
    return advise(evidence, policy, host=HOST, recipient_domain=Domain("partner.test"), at=at)


def shown(*chain: Issued) -> TlsEvidence:
    return replace(DONE, chain=tuple(issued.pem for issued in chain))


def kinds(found: Sequence[Advisory]) -> list[AdvisoryKind]:
    return [advisory.kind for advisory in found]


def below(recipe: Recipe) -> TlsEvidence:
    return shown(issue(recipe, WORLD.intermediate), WORLD.intermediate)


@pytest.mark.parametrize("setting", TlsSetting)
def test_an_honest_host_brings_no_report(setting: TlsSetting) -> None:
    honest = below(Recipe())
    assert advised(honest, TlsPolicy.for_setting(setting)) == ()
    assert advised(replace(DONE, starttls_offered_under_tls=None)) == ()


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (TlsSetting.PREFERRED, [K.PLAINTEXT_BEHIND_GO_AHEAD]),
        (TlsSetting.REQUIRED, [K.PLAINTEXT_BEHIND_GO_AHEAD]),
        (TlsSetting.PREFERRED_VERIFY, []),
        (TlsSetting.REQUIRED_VERIFY, []),
    ],
)
def test_an_injection_is_reported_where_it_is_not_refused(
    setting: TlsSetting, expected: list[AdvisoryKind]
) -> None:
    injected = replace(DONE, plaintext_after_go_ahead=12)
    found = advised(injected, TlsPolicy.for_setting(setting))
    assert kinds(found) == expected
    assert all("12 octets" in advisory.detail for advisory in found)


def test_starttls_offered_once_more() -> None:
    assert kinds(advised(replace(DONE, starttls_offered_under_tls=True))) == [
        K.STARTTLS_OFFERED_UNDER_TLS
    ]


@pytest.mark.parametrize(
    ("life", "left", "soon"),
    [
        (90 * DAY, 14 * DAY, False),
        (90 * DAY, 14 * DAY - SECOND, True),
        (365 * DAY, 14 * DAY, False),
        (365 * DAY, 14 * DAY - SECOND, True),
        (6 * DAY, DAY, False),
        (6 * DAY, DAY - SECOND, True),
        (90 * DAY, timedelta(0), True),
        (90 * DAY, -SECOND, False),
    ],
)
def test_a_certificate_near_its_end(life: timedelta, left: timedelta, soon: bool) -> None:
    """Two weeks, or a sixth of a shorter life; one that has run out is a fault instead."""
    evidence = below(Recipe(begins=NOW - life, ends=NOW))
    assert kinds(advised(evidence, at=NOW - left)) == [K.CERTIFICATE_EXPIRES_SOON] * soon


def test_a_certificate_that_is_not_valid_yet_does_not_expire_soon() -> None:
    evidence = below(Recipe(begins=NOW + DAY, ends=NOW + 90 * DAY))
    assert advised(evidence) == ()


def test_an_intermediate_near_its_end_is_named_and_a_root_is_not() -> None:
    ends = NOW + 2 * DAY
    root = authority("Old Root", 20, ends=ends)
    old = authority("Old Intermediate", 21, root, ends=ends)
    (advisory,) = advised(shown(issue(Recipe(), old), old, root))
    assert advisory.kind is K.CERTIFICATE_EXPIRES_SOON
    assert advisory.detail == f"CN=Old Intermediate: ends {ends:%Y-%m-%d %H:%M} UTC, in 2 days"


def test_the_order_of_a_chain() -> None:
    leaf = issue(Recipe(), WORLD.intermediate)
    assert advised(shown(leaf, WORLD.intermediate, WORLD.root)) == ()
    for chain in (
        (leaf, WORLD.root, WORLD.intermediate),
        (leaf, leaf, WORLD.intermediate),
        (leaf, WORLD.intermediate, WORLD.stranger),
    ):
        assert kinds(advised(shown(*chain))) == [K.CHAIN_OUT_OF_ORDER]
    (advisory,) = advised(shown(leaf, WORLD.root, WORLD.intermediate))
    assert advisory.detail == (
        "certificate 2 of 3, CN=Trusted Root, did not issue the one before it"
    )


@pytest.mark.parametrize(("feature", "expected"), [(STAPLE, True), (SEVENTH, False)])
def test_a_demand_for_a_stapled_response(feature: x509.TLSFeature, *, expected: bool) -> None:
    found = advised(below(Recipe(more=[(feature, False)])))
    assert kinds(found) == [K.MUST_STAPLE_NOT_CHECKED] * expected


def test_an_authority_as_the_host() -> None:
    found = advised(below(Recipe(constraints=CA)))
    assert kinds(found) == [K.AUTHORITY_AS_HOST]
    assert advised(below(Recipe(constraints=None))) == ()


@pytest.mark.parametrize(
    ("subject", "dns", "common_name", "expected"),
    [
        (HOST, (), CommonName.FALLBACK, [K.NAME_IN_COMMON_NAME_ONLY]),
        (HOST, (), CommonName.IGNORE, []),
        (HOST, (HOST,), CommonName.FALLBACK, []),
        ("elsewhere.test", (), CommonName.FALLBACK, []),
        (HOST, ("elsewhere.test",), CommonName.FALLBACK, []),
    ],
)
def test_a_common_name_is_reported_where_the_policy_takes_it(
    subject: str, dns: tuple[str, ...], common_name: CommonName, expected: list[AdvisoryKind]
) -> None:
    policy = TlsPolicy.for_setting(
        TlsSetting.REQUIRED_VERIFY, names=NamePolicy(common_name=common_name)
    )
    assert kinds(advised(below(Recipe(subject=subject, dns=dns)), policy)) == expected


def test_several_come_in_the_order_of_the_kinds() -> None:
    leaf = issue(Recipe(constraints=CA, ends=NOW + DAY, more=[(STAPLE, False)]), WORLD.intermediate)
    evidence = replace(
        shown(leaf, WORLD.root), starttls_offered_under_tls=True, plaintext_after_go_ahead=1
    )
    assert kinds(advised(evidence)) == [k for k in K if k is not K.NAME_IN_COMMON_NAME_ONLY]


def with_unreadable_subject(issued: Issued) -> str:
    der = issued.certificate.public_bytes(Encoding.DER)
    name = issued.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    assert isinstance(name, str)
    bad = der.replace(name.encode(), b"\xff" * len(name))
    assert bad != der
    return ssl.DER_cert_to_PEM_cert(bad)


def test_what_can_not_be_read_brings_no_report_and_no_error() -> None:
    leaf = issue(Recipe(ends=NOW + DAY), WORLD.intermediate)
    garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    unreadable = with_unreadable_subject(issue(Recipe(subject="abc.test", dns=()), WORLD.root))
    for bad in (garbage, unreadable):
        assert advised(replace(DONE, chain=(bad,))) == ()
        found = advised(replace(DONE, chain=(leaf.pem, bad, WORLD.root.pem)))
        assert kinds(found) == [K.CERTIFICATE_EXPIRES_SOON]


def test_every_advisory_has_a_card_that_says_something() -> None:
    assert list(ADVISORIES) == list(AdvisoryKind)
    for kind, card in ADVISORIES.items():
        assert advisory_card(Advisory(kind=kind, detail="x")) is card
        for text in (card.meaning, card.remedy):
            assert text[0].isupper()
            assert text.endswith(".")
            assert "  " not in text

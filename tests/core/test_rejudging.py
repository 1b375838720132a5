"""What recorded evidence doesn't contain: each row of the module's table, and the property."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.evidence import (
    ClientOffer,
    Handshake,
    HandshakeDone,
    HandshakeFailed,
    HandshakeProblem,
    NotTried,
    TlsEvidence,
)
from relay.core.faults import FaultKind, TlsFault
from relay.core.rejudging import Unseen, unseen_in
from relay.core.replies import Reply
from relay.core.settings import TlsMode, TlsSetting, TlsVersion
from relay.core.tls_policy import TlsPolicy

AT = datetime(2026, 3, 4, tzinfo=UTC)
DONE = HandshakeDone(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384")
REFUSED = HandshakeFailed(
    problem=HandshakeProblem.CERTIFICATE_REFUSED, detail="expired", verify_code=10
)
OLD = HandshakeFailed(problem=HandshakeProblem.PROTOCOL_VERSION, detail="protocol version")
EXPIRED = (TlsFault(kind=FaultKind.CERTIFICATE_EXPIRED, detail="expired"),)
PEM = ("-----BEGIN CERTIFICATE-----",)

OFF, PREFERRED, PREFERRED_VERIFY, REQUIRED, REQUIRED_VERIFY = TlsSetting
PLAIN = (PREFERRED, REQUIRED)
VERIFYING = (PREFERRED_VERIFY, REQUIRED_VERIFY)


def policy(setting: TlsSetting, minimum: TlsVersion = TlsVersion.TLS1_2) -> TlsPolicy:
    return TlsPolicy.for_setting(setting, minimum_tls=minimum)


def evidence(
    handshake: Handshake = DONE,
    *,
    under: TlsSetting = PREFERRED,
    minimum: TlsVersion = TlsVersion.TLS1_2,
    chain: tuple[str, ...] = PEM,
) -> TlsEvidence:
    """A session over STARTTLS that tried a handshake."""
    return TlsEvidence(
        mode=TlsMode.STARTTLS,
        observed_at=AT,
        offer=ClientOffer(minimum_tls=minimum, verifying=under.verifies, server_name="mx.test"),
        starttls_offered=True,
        starttls_sent=True,
        starttls_reply=Reply(code=220, text="go"),
        handshake=handshake,
        chain=chain,
    )


IN_CLEAR = TlsEvidence(mode=TlsMode.STARTTLS, observed_at=AT, starttls_offered=True)
NOT_OFFERED = TlsEvidence(mode=TlsMode.STARTTLS, observed_at=AT, starttls_offered=False)


@pytest.mark.parametrize("setting", [s for s in TlsSetting if s is not OFF])
def test_in_clear_although_offered_lacks_the_handshake(setting: TlsSetting) -> None:
    assert unseen_in(IN_CLEAR, policy(setting), ()) is Unseen.HANDSHAKE


@pytest.mark.parametrize("setting", TlsSetting)
def test_what_offers_no_tls_is_known_under_every_setting(setting: TlsSetting) -> None:
    assert unseen_in(NOT_OFFERED, policy(setting), ()) is None


@pytest.mark.parametrize("seen", [IN_CLEAR, NOT_OFFERED, evidence(), evidence(REFUSED)])
def test_off_needs_no_evidence_of_tls(seen: TlsEvidence) -> None:
    assert unseen_in(seen, policy(OFF), ()) is None


@pytest.mark.parametrize("code", [454, 500, 421, None])
@pytest.mark.parametrize("setting", TlsSetting)
def test_a_refused_starttls_is_known_under_every_setting(
    code: int | None, setting: TlsSetting
) -> None:
    seen = TlsEvidence(
        mode=TlsMode.STARTTLS,
        observed_at=AT,
        starttls_offered=True,
        starttls_sent=True,
        starttls_reply=Reply(code=code, text="no") if code else None,
    )
    assert unseen_in(seen, policy(setting), ()) is None


@pytest.mark.parametrize(
    ("floor", "asked", "unseen"),
    [
        (TlsVersion.TLS1_2, TlsVersion.TLS1_0, Unseen.TLS_VERSION),
        (TlsVersion.TLS1_3, TlsVersion.TLS1_2, Unseen.TLS_VERSION),
        (TlsVersion.TLS1_2, TlsVersion.TLS1_2, None),
        (TlsVersion.TLS1_0, TlsVersion.TLS1_3, None),
    ],
)
def test_a_failed_handshake_says_nothing_of_lower_versions(
    floor: TlsVersion, asked: TlsVersion, unseen: Unseen | None
) -> None:
    seen = evidence(OLD, minimum=floor, chain=())
    assert unseen_in(seen, policy(REQUIRED, asked), ()) is unseen


@pytest.mark.parametrize("setting", PLAIN)
def test_our_own_verification_hides_what_is_behind_it(setting: TlsSetting) -> None:
    seen = evidence(REFUSED, under=REQUIRED_VERIFY)
    assert unseen_in(seen, policy(setting), EXPIRED) is Unseen.BEHIND_VERIFICATION


@pytest.mark.parametrize("setting", VERIFYING)
def test_our_own_verification_is_known_where_the_chain_fails_again(setting: TlsSetting) -> None:
    seen = evidence(REFUSED, under=REQUIRED_VERIFY)
    assert unseen_in(seen, policy(setting), EXPIRED) is None


@pytest.mark.parametrize("setting", VERIFYING)
def test_under_other_trust_the_chain_may_pass(setting: TlsSetting) -> None:
    seen = evidence(REFUSED, under=REQUIRED_VERIFY)
    assert unseen_in(seen, policy(setting), ()) is Unseen.BEHIND_VERIFICATION


def test_our_own_verification_hides_the_version() -> None:
    seen = evidence(REFUSED, under=REQUIRED_VERIFY)
    asked = policy(REQUIRED_VERIFY, TlsVersion.TLS1_3)
    assert unseen_in(seen, asked, EXPIRED) is Unseen.TLS_VERSION


@pytest.mark.parametrize("setting", VERIFYING)
def test_a_handshake_that_failed_behind_a_bad_chain_leaves_open_what_fails_first(
    setting: TlsSetting,
) -> None:
    alert = HandshakeFailed(problem=HandshakeProblem.ALERT, detail="handshake failure")
    assert unseen_in(evidence(alert), policy(setting), EXPIRED) is Unseen.BEHIND_VERIFICATION
    assert unseen_in(evidence(alert), policy(setting), ()) is None
    verified = evidence(alert, under=REQUIRED_VERIFY)
    assert unseen_in(verified, policy(setting), EXPIRED) is None


@pytest.mark.parametrize("setting", VERIFYING)
def test_without_a_chain_nothing_can_be_verified(setting: TlsSetting) -> None:
    assert unseen_in(evidence(chain=()), policy(setting), ()) is Unseen.CERTIFICATE


@pytest.mark.parametrize("setting", PLAIN)
def test_without_a_chain_the_others_are_known(setting: TlsSetting) -> None:
    assert unseen_in(evidence(chain=()), policy(setting), ()) is None


@pytest.mark.parametrize("setting", TlsSetting)
def test_implicit_tls_without_a_handshake_is_unknown(setting: TlsSetting) -> None:
    seen = TlsEvidence(mode=TlsMode.IMPLICIT, observed_at=AT)
    assert unseen_in(seen, policy(setting), ()) is Unseen.HANDSHAKE


FAILURES = st.sampled_from(HandshakeProblem)


@given(
    setting=st.sampled_from([s for s in TlsSetting if s is not OFF]),
    minimum=st.sampled_from(TlsVersion),
    problem=FAILURES | st.none(),
    bad_chain=st.booleans(),
)
def test_the_very_policy_that_evidence_was_gathered_under_is_never_unknown(
    setting: TlsSetting, minimum: TlsVersion, problem: HandshakeProblem | None, bad_chain: bool
) -> None:
    refused_by_us = problem is HandshakeProblem.CERTIFICATE_REFUSED
    if refused_by_us and not setting.verifies:
        # A setting that accepts any certificate never ends a handshake for one.
        return
    handshake: Handshake = DONE if problem is None else HandshakeFailed(problem=problem, detail="d")
    seen = evidence(handshake, under=setting, minimum=minimum)
    faults = EXPIRED if bad_chain or refused_by_us else ()
    assert unseen_in(seen, policy(setting, minimum), faults) is None


def test_every_unseen_has_a_meaning() -> None:
    meanings = {what.meaning for what in Unseen}
    assert len(meanings) == len(Unseen)
    assert not any(meaning.endswith(".") for meaning in meanings)


def test_a_handshake_not_tried_after_the_go_ahead_is_unknown() -> None:
    assert unseen_in(evidence(NotTried()), policy(REQUIRED), ()) is Unseen.HANDSHAKE

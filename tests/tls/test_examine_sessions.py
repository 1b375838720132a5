"""Faults of a session that are not about a certificate, and re-judging recorded evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tls_authority import HOST, NOW, Recipe, issue
from tls_cases import WORLD

from relay.core.addresses import Domain
from relay.core.evidence import (
    Handshake,
    HandshakeDone,
    HandshakeFailed,
    HandshakeProblem,
    NotTried,
    TlsEvidence,
)
from relay.core.fault_cards import FAULTS
from relay.core.faults import FaultClass, FaultKind, TlsFault
from relay.core.replies import Reply
from relay.core.settings import TlsMode, TlsSetting, TlsVersion
from relay.core.tls_policy import TlsPolicy
from relay.tls.examine import examine
from relay.tls.trust import TrustStores

F = FaultKind
STORES = TrustStores(WORLD.root.pem.encode)
GOOD_CHAIN = (issue(Recipe(), WORLD.root).pem,)
SELF_SIGNED = (issue(Recipe(), None).pem,)
DONE = HandshakeDone(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384")
STARTTLS = TlsEvidence(mode=TlsMode.STARTTLS, observed_at=NOW)
STARTED = replace(
    STARTTLS,
    starttls_offered=True,
    starttls_sent=True,
    starttls_reply=Reply(code=220, text="go ahead"),
)
IMPLICIT = TlsEvidence(mode=TlsMode.IMPLICIT, observed_at=NOW)


def examined(
    evidence: TlsEvidence,
    setting: TlsSetting = TlsSetting.REQUIRED_VERIFY,
    minimum: TlsVersion = TlsVersion.TLS1_2,
) -> tuple[TlsFault, ...]:
    policy = TlsPolicy.for_setting(setting, minimum_tls=minimum)
    return examine(
        evidence,
        policy,
        host=HOST,
        recipient_domain=Domain("partner.test"),
        at=NOW,
        store=STORES.store(policy.trust),
    )


def kinds(faults: Sequence[TlsFault]) -> list[FaultKind]:
    return [fault.kind for fault in faults]


def failed(problem: HandshakeProblem, code: int | None = None) -> HandshakeFailed:
    return HandshakeFailed(problem=problem, detail="words", verify_code=code)


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        (STARTTLS, []),
        (replace(STARTTLS, starttls_offered=False), [F.STARTTLS_NOT_OFFERED]),
        (replace(STARTTLS, starttls_offered=True), []),
        (replace(STARTED, starttls_reply=None), [F.STARTTLS_NO_ANSWER]),
        (replace(STARTED, starttls_reply=Reply(code=421, text="bye")), [F.STARTTLS_NO_ANSWER]),
        (replace(STARTED, starttls_reply=Reply(code=-1, text="what")), [F.STARTTLS_NO_ANSWER]),
        (replace(STARTED, starttls_reply=Reply(code=454, text="later")), [F.STARTTLS_REFUSED]),
        (replace(STARTED, starttls_reply=Reply(code=502, text="no")), [F.STARTTLS_REFUSED]),
        (replace(STARTED, starttls_reply=Reply(code=250, text="fine")), [F.STARTTLS_REFUSED]),
        (STARTED, []),
        (replace(STARTED, plaintext_after_go_ahead=12), [F.STARTTLS_INJECTION]),
        (
            replace(STARTED, plaintext_after_go_ahead=12, handshake=DONE, chain=SELF_SIGNED),
            [F.STARTTLS_INJECTION, F.CERTIFICATE_SELF_SIGNED],
        ),
        (IMPLICIT, []),
    ],
)
def test_starttls(evidence: TlsEvidence, expected: list[FaultKind]) -> None:
    assert kinds(examined(evidence)) == expected


def test_the_reply_is_in_the_detail() -> None:
    refused = replace(STARTED, starttls_reply=Reply(code=454, text="4.7.0 no entropy"))
    assert "454 4.7.0 no entropy" in examined(refused)[0].detail


@pytest.mark.parametrize(
    "problem", [p for p in HandshakeProblem if p is not HandshakeProblem.CERTIFICATE_REFUSED]
)
@pytest.mark.parametrize("begun", [STARTED, IMPLICIT])
def test_each_handshake_problem_is_one_fault_of_its_class(
    problem: HandshakeProblem, begun: TlsEvidence
) -> None:
    (fault,) = examined(replace(begun, handshake=failed(problem)))
    assert FAULTS[fault.kind].fault_class is FaultClass.HANDSHAKE
    assert fault.kind.value.removeprefix("handshake-") == {"other": "failed"}.get(
        problem.value, problem.value
    )
    assert fault.detail == "words"


def test_a_failed_handshake_with_a_chain_has_the_faults_of_both() -> None:
    evidence = replace(STARTED, handshake=failed(HandshakeProblem.ALERT), chain=SELF_SIGNED)
    assert kinds(examined(evidence)) == [F.HANDSHAKE_ALERT, F.CERTIFICATE_SELF_SIGNED]


@pytest.mark.parametrize(
    ("version", "minimum", "expected"),
    [
        ("TLSv1.3", TlsVersion.TLS1_3, []),
        ("TLSv1.2", TlsVersion.TLS1_3, [F.HANDSHAKE_PROTOCOL_VERSION]),
        ("TLSv1.2", TlsVersion.TLS1_2, []),
        ("TLSv1.1", TlsVersion.TLS1_2, [F.HANDSHAKE_PROTOCOL_VERSION]),
        ("TLSv1", TlsVersion.TLS1_0, []),
        ("SSLv3", TlsVersion.TLS1_0, [F.HANDSHAKE_PROTOCOL_VERSION]),
    ],
)
def test_recorded_version_is_judged_by_the_policy(
    version: str, minimum: TlsVersion, expected: list[FaultKind]
) -> None:
    done = HandshakeDone(version=version, cipher="any")
    evidence = replace(STARTED, handshake=done, chain=GOOD_CHAIN)
    assert kinds(examined(evidence, minimum=minimum)) == expected


@pytest.mark.parametrize("setting", TlsSetting)
def test_faults_are_recorded_whatever_the_setting_but_off(setting: TlsSetting) -> None:
    evidence = replace(STARTED, handshake=DONE, chain=SELF_SIGNED)
    expected = [] if setting is TlsSetting.OFF else [F.CERTIFICATE_SELF_SIGNED]
    assert kinds(examined(evidence, setting)) == expected


def test_off_still_examines_implicit_tls() -> None:
    evidence = replace(IMPLICIT, handshake=DONE, chain=SELF_SIGNED)
    assert kinds(examined(evidence, TlsSetting.OFF)) == [F.CERTIFICATE_SELF_SIGNED]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [(TlsSetting.REQUIRED_VERIFY, [F.CERTIFICATE_UNAVAILABLE]), (TlsSetting.REQUIRED, [])],
)
def test_a_chain_that_never_came_is_a_fault_where_it_matters(
    setting: TlsSetting, expected: list[FaultKind]
) -> None:
    assert kinds(examined(replace(STARTED, handshake=DONE), setting)) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (62, F.CERTIFICATE_NAME_MISMATCH),
        (10, F.CERTIFICATE_EXPIRED),
        (20, F.CERTIFICATE_UNTRUSTED_ROOT),
        (3, F.CERTIFICATE_REVOCATION_UNKNOWN),
        (66, F.CERTIFICATE_WEAK_KEY),
        (79, F.CERTIFICATE_ISSUER_INVALID),
        (50, F.CERTIFICATE_INVALID),
        (None, F.CERTIFICATE_INVALID),
    ],
)
@pytest.mark.parametrize("chain", [(), GOOD_CHAIN])
def test_a_refusal_that_nothing_explains_is_a_fault_by_its_code(
    code: int | None, expected: FaultKind, chain: tuple[str, ...]
) -> None:
    handshake = failed(HandshakeProblem.CERTIFICATE_REFUSED, code)
    (fault,) = examined(replace(STARTED, handshake=handshake, chain=chain))
    assert fault.kind is expected
    assert "words" in fault.detail


def test_a_refusal_that_is_explained_adds_nothing() -> None:
    handshake = failed(HandshakeProblem.CERTIFICATE_REFUSED, 18)
    evidence = replace(STARTED, handshake=handshake, chain=SELF_SIGNED)
    assert kinds(examined(evidence)) == [F.CERTIFICATE_SELF_SIGNED]


@pytest.mark.parametrize("handshake", [NotTried(), DONE])
def test_an_unreadable_certificate_is_invalid(handshake: Handshake) -> None:
    nonsense = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    evidence = replace(STARTED, handshake=handshake, chain=(nonsense,))
    assert kinds(examined(evidence)) == [F.CERTIFICATE_INVALID]


def test_an_unreadable_certificate_above_the_leaf_is_passed_over() -> None:
    nonsense = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    evidence = replace(STARTED, handshake=DONE, chain=(*GOOD_CHAIN, nonsense))
    assert examined(evidence) == ()

"""`judge` against the decision table that people typed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typed_tables import rows

from relay.core.codebook_data import SALESFORCE
from relay.core.evidence import (
    ClientOffer,
    Handshake,
    HandshakeDone,
    HandshakeFailed,
    HandshakeProblem,
    NotTried,
    TlsEvidence,
)
from relay.core.fault_cards import FAULTS
from relay.core.faults import FaultClass, FaultKind, TlsFault
from relay.core.outcomes import Stage, TlsRefusal
from relay.core.replies import Reply
from relay.core.settings import OnBadCertificate, Protection, TlsMode, TlsSetting, TlsVersion
from relay.core.tls_policy import TlsPolicy
from relay.core.verdicts import Deliver, RetryInClear, Terminate, judge

HERE = Path(__file__).parent
AT = datetime(2026, 1, 2, tzinfo=UTC)
DONE = HandshakeDone(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384")


def read(name: str) -> list[list[str]]:
    return rows((HERE / name).read_text())


def evidence(
    handshake: Handshake = NotTried(),  # noqa: B008
    *,
    offered: bool = True,
    reply: int | None = 220,
    mode: TlsMode = TlsMode.STARTTLS,
) -> TlsEvidence:
    return TlsEvidence(
        mode=mode,
        observed_at=AT,
        offer=ClientOffer(minimum_tls=TlsVersion.TLS1_2, verifying=False, server_name="mx.test"),
        starttls_offered=offered,
        starttls_sent=offered,
        starttls_reply=None if reply is None else Reply(code=reply, text="x"),
        handshake=handshake,
    )


def failed(problem: HandshakeProblem) -> TlsEvidence:
    return evidence(HandshakeFailed(problem=problem, detail="x"))


def faults(*kinds: FaultKind) -> tuple[TlsFault, ...]:
    return tuple(TlsFault(kind=kind, detail="x") for kind in kinds)


K = FaultKind
P = HandshakeProblem
HOSTS: dict[str, tuple[TlsEvidence, tuple[TlsFault, ...]]] = {
    "no-starttls": (evidence(offered=False), faults(K.STARTTLS_NOT_OFFERED)),
    "starttls-454": (evidence(reply=454), faults(K.STARTTLS_REFUSED)),
    "starttls-554": (evidence(reply=554), faults(K.STARTTLS_REFUSED)),
    "starttls-421": (evidence(reply=421), faults(K.STARTTLS_NO_ANSWER)),
    "starttls-closes": (evidence(reply=None), faults(K.STARTTLS_NO_ANSWER)),
    "handshake-version": (failed(P.PROTOCOL_VERSION), faults(K.HANDSHAKE_PROTOCOL_VERSION)),
    "handshake-cipher": (failed(P.NO_SHARED_CIPHER), faults(K.HANDSHAKE_NO_SHARED_CIPHER)),
    "handshake-alert": (failed(P.ALERT), faults(K.HANDSHAKE_ALERT)),
    "handshake-closed": (failed(P.CLOSED), faults(K.HANDSHAKE_CLOSED)),
    "handshake-not-tls": (failed(P.NOT_TLS), faults(K.HANDSHAKE_NOT_TLS)),
    "handshake-timeout": (failed(P.TIMEOUT), faults(K.HANDSHAKE_TIMEOUT)),
    "starttls-injection": (evidence(DONE), faults(K.STARTTLS_INJECTION)),
    "untrusted": (evidence(DONE), faults(K.CERTIFICATE_UNTRUSTED_ROOT)),
    "missing-intermediate": (evidence(DONE), faults(K.CERTIFICATE_MISSING_INTERMEDIATE)),
    "self-signed": (evidence(DONE), faults(K.CERTIFICATE_SELF_SIGNED)),
    "expired": (evidence(DONE), faults(K.CERTIFICATE_EXPIRED)),
    "not-yet-valid": (evidence(DONE), faults(K.CERTIFICATE_NOT_YET_VALID)),
    "wrong-name": (evidence(DONE), faults(K.CERTIFICATE_NAME_MISMATCH)),
    "expired-and-wrong-name": (
        evidence(DONE),
        faults(K.CERTIFICATE_EXPIRED, K.CERTIFICATE_NAME_MISMATCH),
    ),
    "all-good": (evidence(DONE), ()),
}
COLUMNS = {
    "off": TlsPolicy.for_setting(TlsSetting.OFF),
    "preferred": TlsPolicy.for_setting(TlsSetting.PREFERRED),
    "preferred-verify": TlsPolicy.for_setting(TlsSetting.PREFERRED_VERIFY),
    "pv-clear": TlsPolicy.for_setting(
        TlsSetting.PREFERRED_VERIFY, preferred_verify=OnBadCertificate.CLEAR
    ),
    "required": TlsPolicy.for_setting(TlsSetting.REQUIRED),
    "required-verify": TlsPolicy.for_setting(TlsSetting.REQUIRED_VERIFY),
}
CELLS = [
    (row[0], column, expected)
    for row in read("decisions.txt")
    for column, expected in zip(COLUMNS, row[1:], strict=True)
]


def outcome(
    policy: TlsPolicy, seen: TlsEvidence, found: tuple[TlsFault, ...]
) -> tuple[str, tuple[TlsFault, ...]]:
    verdict = judge(policy, seen, found)
    match verdict:
        case Deliver(protection=Protection.CLEAR):
            return "clear", ()
        case Deliver(protection=Protection.ENCRYPTED):
            return "tls", ()
        case Deliver(protection=Protection.VERIFIED):
            return "verified", ()
        case RetryInClear(faults=kept):
            assert judge(policy.in_clear(), evidence(), ()) == Deliver(protection=Protection.CLEAR)
            return "new-clear", kept
        case Terminate(faults=kept):
            refusal = TlsRefusal(setting=policy.setting, faults=kept, stage=Stage.HANDSHAKE)
            return str(SALESFORCE.entry(refusal).status), kept


@pytest.mark.parametrize(("host", "column", "expected"), CELLS, ids=lambda v: v.replace(" ", "-"))
def test_decision(host: str, column: str, expected: str) -> None:
    seen, found = HOSTS[host]
    if column == "off":
        found = ()  # nothing is examined where TLS is never tried
    got, kept = outcome(COLUMNS[column], seen, found)
    assert got == expected
    assert kept in {(), found}


def test_table_names_every_host_and_setting() -> None:
    assert [row[0] for row in read("decisions.txt")] == list(HOSTS)
    assert len(CELLS) == len(HOSTS) * len(COLUMNS)


@pytest.mark.parametrize(("host", "text"), read("texts.txt"))
def test_text(host: str, text: str) -> None:
    policy = COLUMNS["required-verify"]
    verdict = judge(policy, *HOSTS[host])
    assert isinstance(verdict, Terminate)
    refusal = TlsRefusal(setting=policy.setting, faults=verdict.faults, stage=Stage.HANDSHAKE)
    assert str(SALESFORCE.entry(refusal)) == text


@pytest.mark.parametrize(
    ("host", "expected"), [(h, e) for h, column, e in CELLS if column == "required-verify"]
)
def test_required_may_look_at_certificates(host: str, expected: str) -> None:
    """With `required_on_bad_certificate: terminate` it decides as Required Verify does."""
    policy = TlsPolicy.for_setting(TlsSetting.REQUIRED, required=OnBadCertificate.TERMINATE)
    seen, found = HOSTS[host]
    got, kept = outcome(policy, seen, found)
    assert got == expected
    assert kept in {(), found}
    assert not policy.allows_clear


@pytest.mark.parametrize("setting", [s for s in TlsSetting if s is not TlsSetting.REQUIRED])
def test_the_switch_for_required_is_about_required_alone(setting: TlsSetting) -> None:
    changed = TlsPolicy.for_setting(setting, required=OnBadCertificate.TERMINATE)
    assert changed == TlsPolicy.for_setting(setting)


@pytest.mark.parametrize(("host", "column", "expected"), CELLS, ids=lambda v: v.replace(" ", "-"))
def test_where_clear_text_is_put_off_nothing_else_changes(
    host: str, column: str, expected: str
) -> None:
    """With more hosts to ask for TLS, "clear in this session" becomes "clear in a new one"."""
    seen, found = HOSTS[host]
    found = () if column == "off" else found
    put_off = expected == "clear" and column != "off"
    got, kept = outcome(COLUMNS[column].in_clear_later(), seen, found)
    assert got == ("new-clear" if put_off else expected)
    assert kept in {(), found}


@pytest.mark.parametrize("kind", FaultKind)
def test_every_fault_ends_required_verify(kind: FaultKind) -> None:
    handshake = {
        FaultClass.CERTIFICATE: DONE,
        FaultClass.INJECTION: DONE,
        FaultClass.HANDSHAKE: HandshakeFailed(problem=P.OTHER, detail="x"),
    }.get(FAULTS[kind].fault_class, NotTried())
    verdict = judge(COLUMNS["required-verify"], evidence(handshake), faults(kind))
    assert verdict == Terminate(faults=faults(kind))


@pytest.mark.parametrize("column", ["required", "required-verify"])
@pytest.mark.parametrize(
    "handshake",
    [NotTried(), HandshakeFailed(problem=P.OTHER, detail="x")],
    ids=["not-tried", "failed"],
)
def test_no_session_and_no_reason_is_never_trusted(column: str, handshake: Handshake) -> None:
    assert judge(COLUMNS[column], evidence(handshake), ()) == Terminate(faults=())


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("preferred", RetryInClear),
        ("preferred-verify", Terminate),
        ("pv-clear", RetryInClear),
        ("required", Terminate),
        ("required-verify", Terminate),
    ],
)
@pytest.mark.parametrize("found", [(), faults(K.CERTIFICATE_EXPIRED)], ids=["none", "expired"])
def test_certificate_refused_in_the_handshake(
    column: str, expected: type, found: tuple[TlsFault, ...]
) -> None:
    """Even where the examination found nothing, OpenSSL's own refusal counts."""
    seen = evidence(HandshakeFailed(problem=P.CERTIFICATE_REFUSED, detail="x", verify_code=10))
    verdict = judge(COLUMNS[column], seen, found)
    assert isinstance(verdict, expected)
    assert isinstance(verdict, Terminate | RetryInClear)
    assert verdict.faults == found


def test_handshake_fault_outranks_a_certificate_fault() -> None:
    found = faults(K.HANDSHAKE_BAD_SIGNATURE, K.CERTIFICATE_EXPIRED)
    seen = failed(P.BAD_SIGNATURE)
    assert judge(COLUMNS["required"], seen, found) == Terminate(faults=found[:1])


@pytest.mark.parametrize(
    ("column", "expected"),
    [("preferred", RetryInClear), ("preferred-verify", RetryInClear), ("required", Terminate)],
)
def test_handshake_fault_outranks_an_injection(column: str, expected: type) -> None:
    """An injection is for verification to refuse; what decides here is that no session stands."""
    found = faults(K.STARTTLS_INJECTION, K.HANDSHAKE_CLOSED)
    verdict = judge(COLUMNS[column], failed(P.CLOSED), found)
    assert verdict == expected(faults=found[1:])


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("off", Terminate(faults=())),
        ("preferred", Terminate(faults=faults(K.HANDSHAKE_CLOSED))),
        ("pv-clear", Terminate(faults=faults(K.HANDSHAKE_CLOSED))),
        ("required", Terminate(faults=faults(K.HANDSHAKE_CLOSED))),
    ],
)
def test_implicit_tls_has_no_clear_text_to_fall_back_to(column: str, expected: Terminate) -> None:
    seen = evidence(HandshakeFailed(problem=P.CLOSED, detail="x"), mode=TlsMode.IMPLICIT)
    found = () if column == "off" else faults(K.HANDSHAKE_CLOSED)
    assert judge(COLUMNS[column], seen, found) == expected


def test_implicit_tls_is_encrypted_under_off_too() -> None:
    seen = evidence(DONE, mode=TlsMode.IMPLICIT)
    assert judge(COLUMNS["off"], seen, ()) == Deliver(protection=Protection.ENCRYPTED)


def test_implicit_tls_with_a_bad_certificate_never_goes_clear() -> None:
    seen = evidence(DONE, mode=TlsMode.IMPLICIT)
    found = faults(K.CERTIFICATE_EXPIRED)
    assert judge(COLUMNS["pv-clear"], seen, found) == Terminate(faults=found)


@pytest.mark.parametrize("column", ["required", "required-verify"])
def test_no_clear_session_under_required(column: str) -> None:
    with pytest.raises(ValueError, match="never allows"):
        COLUMNS[column].in_clear()

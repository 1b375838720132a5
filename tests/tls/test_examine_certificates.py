"""Each bad certificate: the faults that are found, and that OpenSSL's handshake agrees."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from tls_authority import HOST, NOW, Recipe, handshake, server_context
from tls_cases import CASES, WORLD, Case, Shown, from_intermediate

from relay.core.addresses import Domain
from relay.core.evidence import ClientOffer, HandshakeDone, NotTried, TlsEvidence
from relay.core.faults import FAULT_ORDER, FaultKind, TlsFault
from relay.core.replies import Reply
from relay.core.settings import TlsMode, TlsSetting, TlsVersion
from relay.core.tls_policy import TlsPolicy, TrustAnchors
from relay.tls.contexts import ClientContexts
from relay.tls.examine import examine
from relay.tls.observe import observe_done, observe_failed
from relay.tls.trust import TrustStores

PARTNER = Domain("partner.test")


def trust_of(shown: Shown, directory: Path) -> tuple[TrustStores, TrustAnchors]:
    roots = directory / "roots.pem"
    trusted = (WORLD.root, WORLD.rsa_root, *shown.trusted)
    roots.write_text("".join(issued.pem for issued in trusted))
    crls = []
    for number, crl in enumerate(shown.crls):
        path = directory / f"{number}.crl"
        path.write_text(crl)
        crls.append(str(path))
    stores = TrustStores(WORLD.root.pem.encode, lab_intermediates=WORLD.intermediate.pem.encode)
    return stores, TrustAnchors(lab=True, ca_files=(str(roots),), crl_files=tuple(crls))


def evidence_of(shown: Shown, policy: TlsPolicy, stores: TrustStores) -> TlsEvidence:
    """Run the handshake that the policy wants against what is shown, and observe it."""
    server = server_context(shown.leaf, shown.above)
    context = ClientContexts(stores).context(policy)
    name = shown.host.removesuffix(".")
    try:
        done, chain = observe_done(handshake(context, server, name))
    except ssl.SSLError as error:
        done, chain = observe_failed(error)  # type: ignore[assignment]
    return TlsEvidence(
        mode=TlsMode.STARTTLS,
        observed_at=NOW,
        offer=ClientOffer(
            minimum_tls=policy.minimum_tls, verifying=policy.verifies, server_name=name
        ),
        starttls_offered=True,
        starttls_sent=True,
        starttls_reply=Reply(code=220, text="go"),
        handshake=done,
        chain=chain,
    )


def faults_of(
    shown: Shown, policy: TlsPolicy, stores: TrustStores, at: datetime | None = None
) -> tuple[TlsFault, ...]:
    return examine(
        evidence_of(shown, policy, stores),
        policy,
        host=shown.host,
        recipient_domain=PARTNER,
        at=at or datetime.now(UTC),
        store=stores.store(policy.trust),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("setting", [TlsSetting.REQUIRED, TlsSetting.REQUIRED_VERIFY])
def test_all_faults_are_found_whether_or_not_the_handshake_verified(
    case: Case, setting: TlsSetting, tmp_path: Path
) -> None:
    shown = case.show()
    stores, trust = trust_of(shown, tmp_path)
    faults = faults_of(shown, TlsPolicy.for_setting(setting, trust=trust), stores)
    assert tuple(fault.kind for fault in faults) == case.faults, faults
    for words in case.details:
        assert any(words in fault.detail for fault in faults), faults
    assert [FAULT_ORDER[f.kind] for f in faults] == sorted(FAULT_ORDER[f.kind] for f in faults)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_openssl_handshake_agrees(case: Case, tmp_path: Path) -> None:
    """The examination gets a chain that was kept without verifying, so it decides by itself."""
    shown = case.show()
    stores, trust = trust_of(shown, tmp_path)
    lenient = TlsPolicy.for_setting(TlsSetting.REQUIRED, trust=trust)
    strict = TlsPolicy.for_setting(TlsSetting.REQUIRED_VERIFY, trust=trust)
    verifying = evidence_of(shown, strict, stores)
    accepted = isinstance(verifying.handshake, HandshakeDone)
    assert accepted is not bool(faults_of(shown, lenient, stores)), verifying.handshake
    assert verifying.chain == shown.chain


def test_time_is_what_is_handed_in(tmp_path: Path) -> None:
    shown = next(case for case in CASES if case.name == "expired").show()
    stores, trust = trust_of(shown, tmp_path)
    policy = TlsPolicy.for_setting(TlsSetting.REQUIRED, trust=trust)
    before = shown.leaf.certificate.not_valid_before_utc
    assert faults_of(shown, policy, stores, at=before) == ()


def test_no_examination_without_evidence() -> None:
    stores = TrustStores()
    policy = TlsPolicy.for_setting(TlsSetting.REQUIRED_VERIFY)
    evidence = TlsEvidence(mode=TlsMode.STARTTLS, observed_at=NOW)
    assert evidence.handshake == NotTried()
    assert policy.minimum_tls is TlsVersion.TLS1_2
    store = stores.store(policy.trust)
    assert not examine(evidence, policy, host=HOST, recipient_domain=PARTNER, at=NOW, store=store)


ONLY_OPENSSL_FINDS = {"directory_name_outside_permitted"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_own_checks_stand_alone(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.tls.certificate.objections", lambda *_: ())
    shown = case.show()
    stores, trust = trust_of(shown, tmp_path)
    faults = faults_of(shown, TlsPolicy.for_setting(TlsSetting.REQUIRED, trust=trust), stores)
    found = tuple(fault.kind for fault in faults)
    assert found == (() if case.name in ONLY_OPENSSL_FINDS else case.faults)


def test_openssl_finds_what_the_own_checks_miss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Path, dates, issuers and lists are judged twice; names, purpose and strength only once."""
    monkeypatch.setattr("relay.tls.certificate._path_faults", lambda *_: ())
    once = {
        FaultKind.CERTIFICATE_WRONG_PURPOSE,
        FaultKind.CERTIFICATE_WEAK_KEY,
        FaultKind.CERTIFICATE_WEAK_SIGNATURE,
        FaultKind.CERTIFICATE_NAME_MISMATCH,
    }
    for number, case in enumerate(CASES):
        if set(case.faults) <= once:
            continue
        shown = case.show()
        directory = tmp_path / str(number)
        directory.mkdir()
        stores, trust = trust_of(shown, directory)
        policy = TlsPolicy.for_setting(TlsSetting.REQUIRED, trust=trust)
        assert faults_of(shown, policy, stores), case.name


def test_unreadable_extensions_are_a_fault(tmp_path: Path) -> None:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.32"), b"\xff\xff")
    shown = from_intermediate(Recipe(more=((odd, False),)))
    stores, trust = trust_of(shown, tmp_path)
    policy = TlsPolicy.for_setting(TlsSetting.REQUIRED, trust=trust)
    evidence = TlsEvidence(
        mode=TlsMode.IMPLICIT,
        observed_at=NOW,
        handshake=HandshakeDone(version="TLSv1.3", cipher="any"),
        chain=shown.chain,
    )
    faults = examine(
        evidence,
        policy,
        host=HOST,
        recipient_domain=PARTNER,
        at=NOW,
        store=stores.store(trust),
    )
    assert FaultKind.CERTIFICATE_INVALID in {fault.kind for fault in faults}

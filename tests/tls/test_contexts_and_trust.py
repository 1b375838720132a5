"""Client contexts say every flag themselves; trust files are read once and fail by name."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tls_authority import (
    HOST,
    Recipe,
    authority,
    handshake,
    issue,
    revocation_list,
    server_context,
    speak_only,
)
from tls_cases import WORLD

from relay.core.addresses import Domain
from relay.core.settings import TlsSetting, TlsVersion
from relay.core.tls_policy import CommonName, NamePolicy, TlsPolicy, TrustAnchors
from relay.tls.contexts import ClientContexts
from relay.tls.trust import TrustError, TrustStores

VERIFY = TlsSetting.REQUIRED_VERIFY


def contexts() -> ClientContexts:
    return ClientContexts(TrustStores(WORLD.root.pem.encode))


@pytest.mark.parametrize("setting", TlsSetting)
def test_only_verifying_settings_require_a_certificate(setting: TlsSetting) -> None:
    context = contexts().context(TlsPolicy.for_setting(setting))
    assert context.verify_mode is (ssl.CERT_REQUIRED if setting.verifies else ssl.CERT_NONE)
    assert context.check_hostname is setting.verifies
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_flags_do_not_depend_on_the_interpreter() -> None:
    context = contexts().context(TlsPolicy.for_setting(VERIFY))
    assert context.verify_flags == ssl.VERIFY_X509_TRUSTED_FIRST
    for option in (ssl.OP_NO_TICKET, ssl.OP_NO_COMPRESSION, ssl.OP_NO_RENEGOTIATION):
        assert context.options & option


def test_trust_nothing_but_what_the_policy_names() -> None:
    context = contexts().context(TlsPolicy.for_setting(VERIFY))
    assert context.cert_store_stats()["x509"] == 1
    nobody = ClientContexts(TrustStores()).context(TlsPolicy.for_setting(VERIFY))
    assert nobody.cert_store_stats()["x509"] == 0


def test_one_context_for_policies_that_verify_alike() -> None:
    made = contexts()
    required = made.context(TlsPolicy.for_setting(VERIFY))
    assert made.context(TlsPolicy.for_setting(TlsSetting.PREFERRED_VERIFY)) is required
    assert made.context(TlsPolicy.for_setting(TlsSetting.REQUIRED)) is not required
    for other in (
        TlsPolicy.for_setting(VERIFY, minimum_tls=TlsVersion.TLS1_3),
        TlsPolicy.for_setting(VERIFY, trust=TrustAnchors(lab=False)),
        TlsPolicy.for_setting(VERIFY, names=NamePolicy(common_name=CommonName.FALLBACK)),
        TlsPolicy.for_setting(VERIFY, names=NamePolicy(recipient_domain=True)),
    ):
        assert made.context(other) is not required


@pytest.mark.parametrize(
    "names", [NamePolicy(recipient_domain=True), NamePolicy(extra=(Domain("other.test"),))]
)
def test_more_names_than_one_are_compared_afterwards(names: NamePolicy) -> None:
    context = contexts().context(TlsPolicy.for_setting(VERIFY, names=names))
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert not context.check_hostname
    server = server_context(issue(Recipe(dns=("unrelated.test",)), WORLD.root))
    assert handshake(context, server).version() == "TLSv1.3"


def test_common_name_counts_only_by_policy() -> None:
    made = contexts()
    server = server_context(issue(Recipe(dns=()), WORLD.root))
    fallback = NamePolicy(common_name=CommonName.FALLBACK)
    assert handshake(made.context(TlsPolicy.for_setting(VERIFY, names=fallback)), server)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(made.context(TlsPolicy.for_setting(VERIFY)), server)


@pytest.mark.parametrize("version", [TlsVersion.TLS1_0, TlsVersion.TLS1_1])
def test_deprecated_versions_work_when_the_policy_admits_them(version: TlsVersion) -> None:
    server = server_context(issue(Recipe(), WORLD.root))
    speak_only(server, version)
    context = contexts().context(TlsPolicy.for_setting(VERIFY, minimum_tls=version))
    assert handshake(context, server).version() == version.label
    with pytest.raises(ssl.SSLError):
        handshake(contexts().context(TlsPolicy.for_setting(VERIFY)), server)


@pytest.mark.parametrize("version", TlsVersion)
def test_no_cipher_without_encryption_or_identity(version: TlsVersion) -> None:
    context = contexts().context(TlsPolicy.for_setting(VERIFY, minimum_tls=version))
    for cipher in context.get_ciphers():
        assert cipher["strength_bits"] >= 112, cipher
        assert cipher["auth"] != "auth-null", cipher


def test_stores_read_each_file_once(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(WORLD.root.pem)
    stores = TrustStores()
    anchors = TrustAnchors(lab=False, ca_files=(str(path),))
    first = stores.store(anchors)
    path.unlink()
    assert stores.store(anchors) is first
    assert WORLD.root.certificate in first.anchors


def test_the_lab_is_asked_only_by_policies_that_trust_it() -> None:
    asked: list[str] = []

    def lab_ca() -> bytes:
        asked.append("root")
        return WORLD.root.pem.encode()

    stores = TrustStores(lab_ca)
    stores.store(TrustAnchors(lab=False))
    assert asked == []
    stores.store(TrustAnchors(lab=True))
    stores.store(TrustAnchors(lab=True))
    assert asked == ["root"]


def test_the_lab_s_anchors_are_the_same_for_both_judges() -> None:
    stores = TrustStores(WORLD.root.pem.encode, lab_intermediates=WORLD.intermediate.pem.encode)
    context = ClientContexts(stores).context(TlsPolicy.for_setting(VERIFY))
    loaded = context.get_ca_certs(binary_form=True)
    trusted = stores.store(TlsPolicy.for_setting(VERIFY).trust).anchors.certificates
    assert loaded == [anchor.public_bytes(Encoding.DER) for anchor in trusted] != []


def test_system_anchors_are_the_same_for_both_judges() -> None:
    stores = TrustStores()
    trust = TrustAnchors(lab=False, system=True)
    anchors = stores.store(trust).anchors.certificates
    context = ClientContexts(stores).context(TlsPolicy.for_setting(VERIFY, trust=trust))
    assert context.cert_store_stats()["x509"] == len(anchors)


@pytest.mark.parametrize("content", [None, "", "nothing in PEM form"])
@pytest.mark.parametrize("part", ["ca_files", "crl_files"])
def test_an_unusable_file_is_named(tmp_path: Path, content: str | None, part: str) -> None:
    path = tmp_path / "trust.pem"
    if content is not None:
        path.write_text(content)
    anchors = TrustAnchors(**{part: (str(path),)})  # type: ignore[arg-type]
    with pytest.raises(TrustError, match=r"trust\.pem: "):
        TrustStores().store(anchors)
    for setting in (TlsSetting.REQUIRED, VERIFY):
        policy = TlsPolicy.for_setting(setting, trust=anchors)
        with pytest.raises(TrustError, match=r"trust\.pem: "):
            contexts().context(policy)


def test_a_revocation_file_cannot_smuggle_in_an_anchor(tmp_path: Path) -> None:
    stranger = authority("Smuggled", 40)
    path = tmp_path / "list.crl"
    path.write_text(revocation_list(WORLD.root) + stranger.pem)
    with pytest.raises(TrustError, match="holds a certificate"):
        TrustStores().store(TrustAnchors(crl_files=(str(path),)))


def test_the_handshake_checks_revocation_when_a_list_is_given(tmp_path: Path) -> None:
    leaf = issue(Recipe(), WORLD.root)
    path = tmp_path / "list.crl"
    path.write_text(revocation_list(WORLD.root, [leaf]))
    policy = TlsPolicy.for_setting(VERIFY, trust=TrustAnchors(crl_files=(str(path),)))
    with pytest.raises(ssl.SSLCertVerificationError) as raised:
        handshake(contexts().context(policy), server_context(leaf), HOST)
    assert raised.value.verify_code == 23

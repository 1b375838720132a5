"""Certificates with octets changed: whatever a host sends has an answer, and never a good one."""

from __future__ import annotations

import random
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from tls_authority import Recipe, issue
from tls_authority import authority as certificate_authority

from relay.core.addresses import Domain
from relay.core.evidence import ClientOffer, HandshakeDone, TlsEvidence
from relay.core.settings import TlsMode, TlsSetting, TlsVersion
from relay.core.tls_policy import CommonName, NamePolicy, TlsPolicy, TrustAnchors
from relay.lab.authority import LabAuthority
from relay.lab.recipes import shipped_recipes
from relay.tls.advise import advise
from relay.tls.certificate import chain_faults, read_certificate
from relay.tls.names import reference_names
from relay.tls.probing_chain import view_chain
from relay.tls.trust import TrustStores
from relay.tls.trust_store import TrustStore

HOST = "mx.good.lab.test"
END = "-----END CERTIFICATE-----\n"
SEEDS = range(8)
DAMAGED = 60
"""Chains for each seed."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> LabAuthority:
    return LabAuthority(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="module")
def store(authority: LabAuthority) -> TrustStore:
    return TrustStores(lambda: authority.root_pem).store(TrustAnchors(lab=True))


@pytest.fixture(scope="module")
def chain(authority: LabAuthority) -> Sequence[bytes]:
    pem = authority.issue(shipped_recipes()["good"], HOST).chain_pem.decode()
    return [ssl.PEM_cert_to_DER_cert(part + END) for part in pem.split(END) if part.strip()]


def faults_of(pems: Sequence[str], store: TrustStore) -> int:
    wanted = reference_names(NamePolicy(), host=HOST, recipient_domain=Domain("good.lab.test"))
    found = chain_faults(
        pems, wanted=wanted, common_name=CommonName.IGNORE, at=datetime.now(UTC), store=store
    )
    return len(found)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_damaged_chain_is_never_good_and_never_an_error(
    seed: int, chain: Sequence[bytes], store: TrustStore
) -> None:
    chance = random.Random(seed)
    for _ in range(DAMAGED):
        pems = []
        for der in chain:
            octets = bytearray(der)
            for _ in range(chance.choice((1, 1, 2, 3))):
                octets[chance.randrange(len(octets))] ^= chance.randrange(1, 256)
            pems.append(ssl.DER_cert_to_PEM_cert(bytes(octets)))
        view = view_chain(pems, store=store, at=datetime.now(UTC))
        assert len(view.links) + len(view.unreadable) == len(pems)
        assert faults_of(pems, store), (seed, pems)


def seen(pems: Sequence[str]) -> TlsEvidence:
    return TlsEvidence(
        mode=TlsMode.IMPLICIT,
        observed_at=datetime.now(UTC),
        offer=ClientOffer(minimum_tls=TlsVersion.TLS1_2, verifying=False, server_name=HOST),
        handshake=HandshakeDone(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384"),
        chain=tuple(pems),
    )


_EXTENSIONS = (
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.CERTIFICATE_POLICIES,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.INHIBIT_ANY_POLICY,
    ExtensionOID.ISSUER_ALTERNATIVE_NAME,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.NAME_CONSTRAINTS,
    ExtensionOID.POLICY_CONSTRAINTS,
    ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.TLS_FEATURE,
)


@pytest.mark.parametrize("on_leaf", [True, False], ids=["leaf", "issuer"])
@pytest.mark.parametrize("critical", [True, False])
@pytest.mark.parametrize(
    "value",
    [b"", b"\xff", b"\x30\x00", b"\x30\x80", b"\x03\x01\x00", b"\x30\x03\x01\x01\xff",
     # General names: of X.400, of EDI, an address of five octets, a name that is not ASCII.
     b"\x30\x04\xa3\x02\x30\x00", b"\x30\x04\xa5\x02\x30\x00", b"\x30\x07\x87\x05abcde",
     b"\x30\x05\x82\x03\xff\xfe\xfd"],
    ids=lambda value: value.hex() or "empty",
)  # fmt: skip
def test_an_extension_of_any_octets_is_never_good_and_never_an_error(
    value: bytes, critical: bool, on_leaf: bool, store: TrustStore
) -> None:
    for kind in _EXTENSIONS:
        odd = x509.UnrecognizedExtension(kind, value)
        issuer = certificate_authority(
            "CA", 2, constraints=None, usage=None, more=() if on_leaf else ((odd, critical),)
        )
        recipe = Recipe(
            dns=() if kind == ExtensionOID.SUBJECT_ALTERNATIVE_NAME else (HOST,),
            constraints=None,
            usage=None,
            extended_usage=None,
            more=((odd, critical),) if on_leaf else (),
        )
        pems = [issue(recipe, issuer).pem, issuer.pem]
        view = view_chain(pems, store=store, at=datetime.now(UTC))
        assert len(view.links) + len(view.unreadable) == len(pems)
        assert faults_of(pems, store)
        advise(
            seen(pems),
            TlsPolicy.for_setting(TlsSetting.REQUIRED),
            host=HOST,
            recipient_domain=Domain("good.lab.test"),
            at=datetime.now(UTC),
        )


def test_the_chain_itself_is_good(chain: Sequence[bytes], store: TrustStore) -> None:
    assert faults_of([ssl.DER_cert_to_PEM_cert(der) for der in chain], store) == 0


def test_a_name_that_is_not_utf8_makes_a_certificate_unreadable(chain: Sequence[bytes]) -> None:
    leaf = chain[0].replace(b"mx.good.lab.test", b"mx.\xff\xff\xff\xff.lab.test")
    assert leaf != chain[0]
    assert read_certificate(ssl.DER_cert_to_PEM_cert(leaf)) is None

"""Chains that a host makes to cost time: the work stays bounded, and none of them is good."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from tls_authority import DAY, HOST, NOW, Recipe, authority, common_name, issue, key, rsa_key
from tls_cases import WORLD

from relay.core.addresses import Domain
from relay.core.faults import FaultKind, TlsFault
from relay.core.tls_policy import CommonName, NamePolicy, TrustAnchors
from relay.tls import path, probing_chain
from relay.tls.authority import MAX_COMPARISONS
from relay.tls.certificate import chain_faults
from relay.tls.names import reference_names
from relay.tls.path import MAX_NAMESAKES, SignatureState, signature_state
from relay.tls.probing_chain import IssuedBy, view_chain
from relay.tls.trust import TrustStores

STORE = TrustStores(WORLD.root.pem.encode).store(TrustAnchors(lab=True))
SHARED = common_name("One name for all")
NAMESAKES = 40


def faults_of(chain: Sequence[str]) -> tuple[TlsFault, ...]:
    wanted = reference_names(NamePolicy(), host=HOST, recipient_domain=Domain("partner.test"))
    return chain_faults(chain, wanted=wanted, common_name=CommonName.IGNORE, at=NOW, store=STORE)


def badly_signed(subject: x509.Name, public: rsa.RSAPublicKey) -> str:
    """A certificate of `SHARED`, whose signature no key of that name fits."""
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(SHARED)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
        .add_extension(x509.BasicConstraints(ca=subject == SHARED, path_length=None), critical=True)
        .sign(rsa_key(2048), hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()


def random_key(exponent: int) -> rsa.RSAPublicKey:
    """A public key without a private one."""
    modulus = secrets.randbits(2048) | 1 << 2047 | 1
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def test_of_many_issuers_of_one_name_few_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    namesakes = [badly_signed(SHARED, random_key(65537)) for _ in range(NAMESAKES)]
    chain = [badly_signed(common_name(HOST), rsa_key(2048).public_key()), *namesakes]
    verified = 0

    def counted(certificate: x509.Certificate, issuer: x509.Certificate) -> SignatureState:
        nonlocal verified
        verified += 1
        return signature_state(certificate, issuer)

    monkeypatch.setattr(path, "signature_state", counted)
    monkeypatch.setattr(probing_chain, "signature_state", counted)
    assert FaultKind.CERTIFICATE_UNTRUSTED_ROOT in {fault.kind for fault in faults_of(chain)}
    longest = 16
    assert verified <= 2 * longest * (MAX_NAMESAKES + 2)
    verified = 0
    view_chain(chain, store=STORE, at=NOW)
    assert verified <= (longest + len(chain)) * (MAX_NAMESAKES + 2)


def test_an_issuer_among_a_few_of_its_name_is_found() -> None:
    # OpenSSL, the second judge, takes the first that is in its time, whatever its key.
    impostors = [
        authority("Some CA", number, ends=NOW - DAY) for number in range(3, 2 + MAX_NAMESAKES)
    ]
    real = authority("Some CA", 2, WORLD.root)
    leaf = issue(Recipe(names_issuer_key=False), real)
    chain = [leaf.pem, *(impostor.pem for impostor in impostors), real.pem]
    assert faults_of(chain) == ()
    assert view_chain(chain, store=STORE, at=NOW).links[0].issued_by is IssuedBy.ANOTHER_SENT


@pytest.mark.parametrize(
    ("exponent", "found"),
    [
        (3, SignatureState.BAD),
        (65537, SignatureState.BAD),
        (2**64 - 1, SignatureState.BAD),
        (2**64 + 1, SignatureState.UNKNOWN),
        (2**2046 + 1, SignatureState.UNKNOWN),
    ],
    ids=["3", "65537", "64 bits", "65 bits", "2047 bits"],
)
def test_a_signature_is_not_computed_with_an_exponent_without_measure(
    exponent: int, found: SignatureState
) -> None:
    leaf = badly_signed(common_name(HOST), rsa_key(2048).public_key())
    issuer = badly_signed(SHARED, random_key(exponent))
    read = [x509.load_pem_x509_certificate(pem.encode()) for pem in (leaf, issuer)]
    assert signature_state(*read) is found
    assert faults_of([leaf, issuer])


@pytest.mark.parametrize("exponent", [2**64 + 1, 2**2046 + 1], ids=["65 bits", "2047 bits"])
def test_what_is_not_computed_is_left_to_openssl(exponent: int) -> None:
    """A trusted root with such a key does not make a bad signature good."""
    root = badly_signed(SHARED, random_key(exponent))
    store = TrustStores(root.encode).store(TrustAnchors(lab=True))
    leaf = badly_signed(common_name(HOST), rsa_key(2048).public_key())
    wanted = reference_names(NamePolicy(), host=HOST, recipient_domain=Domain("partner.test"))
    found = chain_faults([leaf], wanted=wanted, common_name=CommonName.IGNORE, at=NOW, store=store)
    assert FaultKind.CERTIFICATE_BAD_SIGNATURE in {fault.kind for fault in found}


def constrained(names: int, *constraints: int) -> list[str]:
    """A chain whose leaf has so many names, and its issuers so many constraints."""
    chain: list[str] = []
    issuer = WORLD.root
    for number, count in enumerate(constraints):
        allowed = [x509.DNSName("test"), *(x509.DNSName(f"{i}.x") for i in range(count - 1))]
        limit = x509.NameConstraints(permitted_subtrees=allowed, excluded_subtrees=None)
        issuer = authority(f"Narrow {number}", 10 + number, issuer, more=((limit, True),))
        chain.insert(0, issuer.pem)
    recipe = Recipe(dns=(HOST, *(f"{i}.partner.test" for i in range(names - 1))), key=key(1))
    return [issue(recipe, issuer).pem, *chain]


def test_name_constraints_within_reason_are_compared() -> None:
    assert faults_of(constrained(100, 100, 100)) == ()


@pytest.mark.parametrize("constraints", [(300,), (150, 150), (150, 10, 140)])
def test_name_constraints_beyond_all_reason_are_a_fault(constraints: tuple[int, ...]) -> None:
    assert 250 * sum(constraints) > MAX_COMPARISONS
    (fault,) = faults_of(constrained(250, *constraints))
    assert fault.kind is FaultKind.CERTIFICATE_NAME_CONSTRAINT
    # The one nearest to the root, where counting ends.
    assert fault.detail == "CN=Narrow 0 adds more name constraints than are compared"

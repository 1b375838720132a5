"""A chain, link by link: what the lab's receivers send, and what an authority offers elsewhere."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from check_lab import checked_lab
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from relay.tls.path import PathEnd
from relay.tls.pool import CertificatePool
from relay.tls.probing_chain import ChainView, IssuedBy, Validity, view_chain
from relay.tls.trust_store import TrustStore

NEXT, TRUSTED, NOT_SENT = IssuedBy.NEXT, IssuedBy.TRUSTED, IssuedBy.NOT_SENT
AT = datetime(2026, 6, 1, tzinfo=UTC)
EMPTY = TrustStore(anchors=CertificatePool(), known_intermediates=CertificatePool())


async def view(name: str, certificates: Path) -> ChainView:
    async with checked_lab(certificates) as lab:
        (host,) = (await lab.check(name))[name].hosts
        assert host.chain is not None
        return host.chain


@pytest.mark.parametrize(
    ("name", "links", "end"),
    [
        ("good", [NEXT, TRUSTED], PathEnd.TRUSTED),
        ("missing-intermediate", [NOT_SENT], PathEnd.ISSUER_UNKNOWN),
        ("self-signed", [IssuedBy.ITSELF], PathEnd.SELF_SIGNED_LEAF),
        ("untrusted-root", [NEXT, NOT_SENT], PathEnd.ISSUER_UNKNOWN),
        ("untrusted-root-sent", [NEXT, NEXT, IssuedBy.ITSELF], PathEnd.UNTRUSTED_ROOT),
    ],
)
async def test_who_issued_what(
    name: str, links: list[IssuedBy], end: PathEnd, tmp_path: Path
) -> None:
    chain = await view(name, tmp_path)
    assert [link.issued_by for link in chain.links] == links
    assert [link.number for link in chain.links] == list(range(1, len(links) + 1))
    assert chain.end is end
    assert (chain.anchor is not None) is (end is PathEnd.TRUSTED)
    if end is PathEnd.ISSUER_UNKNOWN:
        assert chain.missing == chain.links[-1].issuer


async def test_a_chain_out_of_order_is_whole_all_the_same(tmp_path: Path) -> None:
    chain = await view("wrong-order-chain", tmp_path)
    assert chain.end is PathEnd.TRUSTED
    assert IssuedBy.ANOTHER_SENT in [link.issued_by for link in chain.links]
    assert NOT_SENT not in [link.issued_by for link in chain.links]


async def test_dates_names_keys_and_signatures(tmp_path: Path) -> None:
    leaf = (await view("expired", tmp_path)).links[0]
    assert leaf.validity is Validity.EXPIRED
    assert leaf.days_left < 0
    assert leaf.names == ("mx.expired.lab.test",)
    assert (leaf.key, leaf.signature) == ("EC secp256r1", "SHA-256")
    weak = (await view("rsa-1024", tmp_path)).links[0]
    assert weak.key == "RSA 1024 bits"
    old = (await view("sha1-signature", tmp_path)).links[0]
    assert old.signature == "SHA-1"
    early = (await view("not-yet-valid", tmp_path)).links[0]
    assert early.validity is Validity.NOT_YET
    assert early.days_left > 0


def certificate(
    subject: str,
    issuer: str,
    *,
    signed_by: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    issuer_at: str | None = None,
) -> str:
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(7)
        .not_valid_before(AT - timedelta(days=1))
        .not_valid_after(AT + timedelta(days=10, hours=1))
    )
    if issuer_at is not None:
        access = x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(issuer_at)
        )
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    digest = None if isinstance(signed_by, ed25519.Ed25519PrivateKey) else hashes.SHA384()
    return builder.sign(signed_by, digest).public_bytes(Encoding.PEM).decode()


def test_where_a_missing_issuer_can_be_had_is_said() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    leaf = certificate("mx", "the issuer", signed_by=key, issuer_at="http://ca.example/i.cer")
    chain = view_chain((leaf,), store=EMPTY, at=AT)
    (link,) = chain.links
    assert link.issued_by is NOT_SENT
    assert link.issuer_addresses == ("http://ca.example/i.cer",)
    assert chain.missing == "CN=the issuer"
    assert (link.signature, link.days_left, link.self_issued) == ("Ed25519", 10, False)


def test_an_issuer_whose_key_does_not_fit_is_told_from_one_that_is_missing() -> None:
    leaf = certificate("mx", "the issuer", signed_by=ec.generate_private_key(ec.SECP256R1()))
    impostor_key = ec.generate_private_key(ec.SECP256R1())
    impostor = certificate("the issuer", "a root", signed_by=impostor_key)
    chain = view_chain((leaf, impostor), store=EMPTY, at=AT)
    assert [link.issued_by for link in chain.links] == [IssuedBy.WRONG_KEY, NOT_SENT]


def test_what_can_not_be_read_is_counted() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    leaf = certificate("mx", "the issuer", signed_by=key)
    chain = view_chain((leaf, "no certificate"), store=EMPTY, at=AT)
    assert ([link.number for link in chain.links], chain.unreadable) == ([1], (2,))
    nothing = view_chain(("no certificate", leaf), store=EMPTY, at=AT)
    assert (nothing.end, nothing.unreadable) == (None, (1,))

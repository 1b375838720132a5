"""Certificates with any one thing wrong, made with cryptography, and handshakes in memory."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from relay.core.settings import TlsVersion

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
HOST = "mx.partner.test"

PrivateKey = CertificateIssuerPrivateKeyTypes


@cache
def key(number: int) -> ec.EllipticCurvePrivateKey:
    """One of a few keys that the whole run shares."""
    return ec.generate_private_key(ec.SECP256R1())


@cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def key_usage(*, sign_certificates: bool, in_handshake: bool = True) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=in_handshake,
        content_commitment=not in_handshake,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


SERVER_AUTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
CA = x509.BasicConstraints(ca=True, path_length=None)
NO_CA = x509.BasicConstraints(ca=False, path_length=None)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What goes into a certificate; the default is an honest one for HOST."""

    subject: str = HOST
    dns: Sequence[str] = (HOST,)
    other_names: Sequence[x509.GeneralName] = ()
    begins: datetime = NOW - 30 * DAY
    ends: datetime = NOW + 30 * DAY
    key: PrivateKey = field(default_factory=lambda: key(1))
    constraints: x509.BasicConstraints | None = NO_CA
    usage: x509.KeyUsage | None = field(default_factory=lambda: key_usage(sign_certificates=False))
    extended_usage: x509.ExtendedKeyUsage | None = SERVER_AUTH
    more: Sequence[tuple[x509.ExtensionType, bool]] = ()
    sha1: bool = False
    names_issuer_key: bool = True


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: PrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def authority(name: str, number: int, issuer: Issued | None = None, **changes: object) -> Issued:
    """A CA certificate; without an issuer a root."""
    recipe = replace(
        Recipe(
            subject=name,
            dns=(),
            key=key(number),
            constraints=CA,
            usage=key_usage(sign_certificates=True),
            extended_usage=None,
            begins=NOW - 300 * DAY,
            ends=NOW + 300 * DAY,
        ),
        **changes,  # type: ignore[arg-type]
    )
    return issue(recipe, issuer)


def issue(recipe: Recipe, issuer: Issued | None) -> Issued:
    """Make the certificate; self-signed without an issuer."""
    subject = common_name(recipe.subject)
    issuer_name = issuer.certificate.subject if issuer else subject
    issuer_key = issuer.key if issuer else recipe.key
    public = recipe.key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(recipe.begins)
        .not_valid_after(recipe.ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    issuers_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    names = [*(x509.DNSName(name) for name in recipe.dns), *recipe.other_names]
    extensions: list[tuple[x509.ExtensionType | None, bool]] = [
        (issuers_key if recipe.names_issuer_key else None, False),
        (x509.SubjectAlternativeName(names) if names else None, False),
        (recipe.constraints, True),
        (recipe.usage, True),
        (recipe.extended_usage, False),
        *recipe.more,
    ]
    for value, critical in extensions:
        if value is not None:
            builder = builder.add_extension(value, critical=critical)
    certificate = builder.sign(issuer_key, hashes.SHA256())
    if recipe.sha1:
        certificate = _signed_with_sha1(certificate, issuer_key)
    return Issued(certificate=certificate, key=recipe.key)


_SHA256_WITH_RSA = bytes.fromhex("06092a864886f70d01010b")
_SHA1_WITH_RSA = bytes.fromhex("06092a864886f70d010105")


def _signed_with_sha1(certificate: x509.Certificate, issuer_key: PrivateKey) -> x509.Certificate:
    """Sign anew with SHA-1, which the builder refuses: same lengths, another digest."""
    assert isinstance(issuer_key, rsa.RSAPrivateKey)
    body = certificate.tbs_certificate_bytes
    weak_body = body.replace(_SHA256_WITH_RSA, _SHA1_WITH_RSA)
    signature = issuer_key.sign(weak_body, padding.PKCS1v15(), hashes.SHA1())
    der = certificate.public_bytes(Encoding.DER)
    rest = der[der.index(body) + len(body) :].replace(_SHA256_WITH_RSA, _SHA1_WITH_RSA)
    rest = rest.replace(certificate.signature, signature)
    return x509.load_der_x509_certificate(der[: der.index(body)] + weak_body + rest)


def damaged(issued: Issued) -> Issued:
    """The same certificate with one octet of its signature changed."""
    der = bytearray(issued.certificate.public_bytes(Encoding.DER))
    der[-1] ^= 1
    return replace(issued, certificate=x509.load_der_x509_certificate(bytes(der)))


def revocation_list(
    issuer: Issued,
    revoked: Sequence[Issued] = (),
    *,
    begins: datetime = NOW - DAY,
    ends: datetime = NOW + DAY,
    signer: Issued | None = None,
) -> str:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(begins)
        .next_update(ends)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),
            critical=False,
        )
    )
    for one in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(one.certificate.serial_number)
            .revocation_date(begins)
            .build()
        )
    crl = builder.sign((signer or issuer).key, hashes.SHA256())
    return crl.public_bytes(Encoding.PEM).decode()


def server_context(issued: Issued, above: Sequence[Issued] = ()) -> ssl.SSLContext:
    """A server that shows this certificate and those above it, however bad they are."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with TemporaryDirectory() as directory:
        path = Path(directory, "server.pem")
        path.write_text("".join([issued.key_pem, issued.pem, *(c.pem for c in above)]))
        context.load_cert_chain(path)
    return context


_ONLY = {
    TlsVersion.TLS1_0: ssl.TLSVersion.TLSv1,
    TlsVersion.TLS1_1: ssl.TLSVersion.TLSv1_1,
    TlsVersion.TLS1_2: ssl.TLSVersion.TLSv1_2,
    TlsVersion.TLS1_3: ssl.TLSVersion.TLSv1_3,
}


def speak_only(context: ssl.SSLContext, version: TlsVersion) -> None:
    """Make a server speak one version of TLS."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = _ONLY[version]


def unchanged(octets: bytes) -> bytes:
    return octets


def handshake(
    client: ssl.SSLContext,
    server: ssl.SSLContext,
    name: str | None = HOST,
    *,
    on_the_way: Callable[[bytes], bytes] = unchanged,
) -> ssl.SSLObject:
    """Run a handshake in memory; return the client's side, or raise what it raised.

    `on_the_way` may change what the server sends.
    """
    from_server, to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, from_server, server_side=True),
    ]
    waiting = list(sides)
    while waiting:
        for side in tuple(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            finally:
                to_client.write(on_the_way(from_server.read()))
            waiting.remove(side)
    return sides[0]

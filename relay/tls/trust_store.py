"""One policy's trust anchors, loaded: for the examination, and for handshakes that verify."""

from __future__ import annotations

import base64
import ssl
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from relay.core.tls_policy import TrustAnchors
from relay.tls.pool import CertificatePool
from relay.tls.trust import PemSource, TrustError

_BEGIN: Final = "-----BEGIN CERTIFICATE-----"
_END: Final = "-----END CERTIFICATE-----"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustStore:
    """The loaded form of a `TrustAnchors`.

    `anchors` are trusted. `known_intermediates` are not: they only tell a missing intermediate from
    a private authority. With `revocation_lists` (from `crl_files`) the leaf's revocation is
    checked, otherwise it is not.
    """

    anchors: CertificatePool
    known_intermediates: CertificatePool
    revocation_lists: tuple[x509.CertificateRevocationList, ...] = ()
    crl_files: tuple[str, ...] = ()

    @property
    def checks_revocation(self) -> bool:
        """Whether the policy asks for a revocation check."""
        return bool(self.crl_files)

    def load_into(self, context: ssl.SSLContext) -> None:
        """Give the anchors and revocation lists to a context.

        Raises TrustError when OpenSSL cannot read a revocation list's file.
        """
        anchors = self.anchors.certificates
        if anchors:
            context.load_verify_locations(
                cadata=b"".join(anchor.public_bytes(Encoding.DER) for anchor in anchors)
            )
        for name in self.crl_files:
            try:
                context.load_verify_locations(cafile=name)
            except (OSError, ssl.SSLError) as error:
                raise TrustError(f"{name}: OpenSSL cannot read this revocation list") from error


def load_store(
    anchors: TrustAnchors, *, lab_ca: PemSource | None, lab_intermediates: PemSource | None
) -> TrustStore:
    """Load what a policy trusts; raises TrustError for a file that cannot be used."""
    trusted: list[x509.Certificate] = []
    intermediates: list[x509.Certificate] = []
    if anchors.lab:
        trusted += _from_source(lab_ca)
        intermediates += _from_source(lab_intermediates)
    if anchors.system:
        trusted += _system_certificates()
    for name in anchors.ca_files:
        trusted += _certificates_in(name)
    return TrustStore(
        anchors=CertificatePool(trusted),
        known_intermediates=CertificatePool(intermediates),
        revocation_lists=tuple(_revocation_list_in(name) for name in anchors.crl_files),
        crl_files=anchors.crl_files,
    )


def _from_source(source: PemSource | None) -> list[x509.Certificate]:
    pem = source() if source is not None else b""
    return x509.load_pem_x509_certificates(pem) if pem else []


def _read(name: str) -> bytes:
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise TrustError(f"{name}: {error.strerror or 'cannot be read'}") from error


def _certificates_in(name: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(name))
    except ValueError as error:
        raise TrustError(f"{name}: no certificates in PEM form can be read from it") from error


def _revocation_list_in(name: str) -> x509.CertificateRevocationList:
    pem = _read(name)
    if _BEGIN.encode() in pem:
        # OpenSSL would take every certificate in the file for an anchor.
        raise TrustError(f"{name}: holds a certificate; name it under `trust`, not as a CRL")
    try:
        return x509.load_pem_x509_crl(pem)
    except ValueError as error:
        raise TrustError(f"{name}: no revocation list in PEM form can be read from it") from error


def _system_certificates() -> list[x509.Certificate]:
    """Return the system's anchors: OpenSSL's default file and directory, or Windows's stores."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()
    found = {
        certificate
        for der in context.get_ca_certs(binary_form=True)
        if (certificate := _lenient(der)) is not None
    }
    directory = ssl.get_default_verify_paths().capath
    for path in sorted(Path(directory).iterdir()) if directory else ():
        # The default directory is read by OpenSSL one certificate at a time, as they are needed.
        found.update(_lenient_pem(path))
    return sorted(found, key=lambda certificate: certificate.public_bytes(Encoding.DER))


def _lenient(der: bytes) -> x509.Certificate | None:
    with warnings.catch_warnings():
        # A system's bundle may hold roots with odd serial numbers, which the library warns about.
        warnings.simplefilter("ignore")
        try:
            return x509.load_der_x509_certificate(der)
        except ValueError:
            return None


def _lenient_pem(path: Path) -> list[x509.Certificate]:
    try:
        pem = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return []
    found = []
    for part in pem.split(_BEGIN)[1:]:
        body, ended, _ = part.partition(_END)
        if ended and (certificate := _lenient(_decoded(body))):
            found.append(certificate)
    return found


def _decoded(body: str) -> bytes:
    try:
        return base64.b64decode(body)
    except ValueError:
        return b""

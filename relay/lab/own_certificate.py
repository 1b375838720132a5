"""A certificate of the user's own, shown by one more receiver: to meet a partner's fault here."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from relay.core.addresses import parse_domain
from relay.core.scenarios import Family, Scenario, ScenarioClass
from relay.lab.authority import IssuedCertificate
from relay.lab.catalogue import SCENARIOS
from relay.lab.scripts import LabScenario, ServeTls
from relay.lab.server_tls import server_context

_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
_KEY: Final = b"PRIVATE KEY-----"
_LAB_HOSTS: Final = frozenset(card.host for card in SCENARIOS.values())


class OwnCertificateError(Exception):
    """Files that can't be served; the text names the file, `hint` says what to do."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCertificate:
    """What the receiver shows, and the scenario `own` that shows it."""

    issued: IssuedCertificate
    scenario: LabScenario

    @property
    def chain(self) -> tuple[str, ...]:
        """The certificates in the order in which they are sent, as PEM."""
        certificates = x509.load_pem_x509_certificates(self.issued.chain_pem)
        return tuple(c.public_bytes(Encoding.PEM).decode("ascii") for c in certificates)


def read_own_certificate(
    certificate: Path, key: Path, chain: Path | None, *, now: datetime
) -> OwnCertificate:
    """Read PEM files: certificates, the host's own first, its key, and more of the chain.

    They are sent as they stand, whatever is wrong with them. The receiver's host is the first DNS
    name in the certificate, `mx.own.lab.test` where it has none or the lab has a host of that name.
    Raises OwnCertificateError.
    """
    certificates = _certificates(certificate, "--cert", "--key")
    leaf = certificates[0]
    key_pem = _key(key, certificate, certificates)
    if chain is not None:
        certificates += _certificates(chain, "--chain", "--key")
    issued = IssuedCertificate(
        chain_pem=b"".join(c.public_bytes(Encoding.PEM) for c in certificates),
        key_pem=key_pem,
        issued_at=now,
    )
    return OwnCertificate(issued=_loadable(issued, certificate), scenario=_scenario(leaf))


def _read(path: Path, option: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OwnCertificateError(f"{option}: {path}: {error.strerror or error}") from error


def _certificates(path: Path, option: str, other: str) -> list[x509.Certificate]:
    data = _read(path, option)
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError:
        pass
    if _CERTIFICATE in data:
        problem, hint = "holds a certificate that can't be read", None
    elif _KEY in data:
        problem, hint = "holds a key and no certificate", f"Does this file belong to {other}?"
    else:
        problem = "holds no certificate in PEM form"
        hint = f"Where it is one in DER form: openssl x509 -inform DER -in {path} -out cert.pem"
    raise OwnCertificateError(f"{option}: {path} {problem}", hint=hint)


def _key(path: Path, certificate: Path, certificates: list[x509.Certificate]) -> bytes:
    data = _read(path, "--key")
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError:
        raise OwnCertificateError(
            f"--key: {path} is protected by a passphrase",
            hint=f"Write one that is not: openssl pkey -in {path} -out plain-key.pem",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        swapped = _CERTIFICATE in data and _KEY not in data
        raise OwnCertificateError(
            f"--key: {path} holds no private key in PEM form",
            hint="Does this file belong to --cert?" if swapped else None,
        ) from None
    public = _public(key.public_key())
    owners = [at for at, c in enumerate(certificates) if _public(c.public_key()) == public]
    if not owners:
        raise OwnCertificateError(
            f"--key: {path} is not the key of the certificate in {certificate}",
            hint="These two print the same for a pair: "
            f"openssl pkey -pubout -in {path}; openssl x509 -pubkey -noout -in {certificate}",
        )
    if owners[0]:
        raise OwnCertificateError(
            f"--key: {path} is the key of certificate {owners[0] + 1} in {certificate}, not of "
            "the first",
            hint="A host's own certificate comes first (RFC 5246 section 7.4.2): move it there.",
        )
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _public(key: object) -> bytes:
    encode = key.public_bytes  # type: ignore[attr-defined]
    encoded: bytes = encode(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return encoded


def _loadable(issued: IssuedCertificate, certificate: Path) -> IssuedCertificate:
    """Return it marked as weak where OpenSSL loads it only so."""
    weak = replace(issued, weak=True)
    try:
        server_context(issued, ServeTls())
    except ssl.SSLError:
        pass
    else:
        return issued
    try:
        server_context(weak, ServeTls())
    except ssl.SSLError as error:
        raise OwnCertificateError(
            f"--cert: OpenSSL can't serve {certificate}: {error.reason}"
        ) from error
    return weak


def _scenario(leaf: x509.Certificate) -> LabScenario:
    return LabScenario(
        card=Scenario(
            name="own",
            family=Family.CERTIFICATE,
            scenario_class=ScenarioClass.FAULT,
            summary="Shows a certificate of your own.",
            in_the_wild="Wherever it comes from.",
            stage=None,
            faults=(),
            recipe=None,
            remedy="As its faults say.",
            host_name=_host(leaf),
        )
    )


def _host(leaf: x509.Certificate) -> str | None:
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
        host = parse_domain(names[0].replace("*.", "mx.", 1)) if names else None
    except (x509.ExtensionNotFound, ValueError):
        return None
    return None if host in _LAB_HOSTS else host

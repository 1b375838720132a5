"""Whether a certificate bears a name that the policy accepts: RFC 9525 section 6.

A certificate's wildcard replaces exactly the whole left-most label; a policy's wildcard is another
thing (`relay.core.addresses.DomainPattern`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from functools import lru_cache

from cryptography import x509
from cryptography.x509.oid import NameOID

from relay.core.addresses import Domain, parse_domain
from relay.core.faults import FaultKind, TlsFault
from relay.core.tls_policy import CommonName, NamePolicy
from relay.tls.describe import listed
from relay.tls.pool import extension

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
ReferenceName = str | IpAddress
"""A name that is wanted: a DNS name as A-labels in lower case, or an address."""


@lru_cache(maxsize=1024)
def reference_names(
    policy: NamePolicy, *, host: str, recipient_domain: Domain
) -> tuple[ReferenceName, ...]:
    """Return the names of which the certificate must bear one, the host first, without doubles."""
    texts = [host, *policy.extra, *((recipient_domain,) if policy.recipient_domain else ())]
    return tuple(dict.fromkeys(_reference(text) for text in texts))


def _reference(text: str) -> ReferenceName:
    bare = text.removeprefix("[").removesuffix("]").removeprefix("IPv6:")
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        pass
    try:
        return parse_domain(text)
    except ValueError:
        # Not a name that a certificate could bear; it stays as written, for the detail.
        return text.lower()


def dns_name_matches(presented: str, reference: str) -> bool:
    """Whether a certificate's DNS name stands for `reference`, both as A-labels.

    `*.example.com` stands for one label before `.example.com`. As in OpenSSL, a wildcard must be a
    whole label and must not reach right below a top-level domain.
    """
    wanted = reference.lower()
    shown = presented.lower()
    if "*" not in shown:
        return bool(shown) and shown == wanted
    wildcard, _, parent = shown.partition(".")
    label, _, rest = wanted.partition(".")
    if wildcard != "*" or "*" in parent or "." not in parent:
        return False
    return bool(label) and rest == parent


def name_faults(
    leaf: x509.Certificate, wanted: tuple[ReferenceName, ...], common_name: CommonName
) -> Iterator[TlsFault]:
    """Compare the certificate's names with those wanted; one that fits is enough."""
    names = extension(leaf, x509.SubjectAlternativeName)
    dns = [] if names is None else names.get_values_for_type(x509.DNSName)
    addresses = [] if names is None else names.get_values_for_type(x509.IPAddress)
    common = [
        str(attribute.value)
        for attribute in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    ]
    if common_name is CommonName.FALLBACK and not dns:
        dns, common = common, []
    for reference in wanted:
        match reference:
            case str() if any(dns_name_matches(name, reference) for name in dns):
                return
            case ipaddress.IPv4Address() | ipaddress.IPv6Address() if reference in addresses:
                return
            case _:
                continue
    found = [*dns, *(f"IP {address}" for address in addresses)]
    if found:
        shown = f"names: {listed(found)}"
    elif common:
        shown = f"names: none (the common name {listed(common)} does not count)"
    else:
        shown = "names: none"
    yield TlsFault(
        kind=FaultKind.CERTIFICATE_NAME_MISMATCH,
        detail=f"{shown}; wanted {' or '.join(str(name) for name in wanted)}",
    )

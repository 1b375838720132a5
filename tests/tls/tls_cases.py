"""Every way in which a certificate can be bad, with the faults that it must be found to have.

The faults are typed by hand. `handshake_refuses` is None where OpenSSL's own verifying handshake
must say the same as the examination.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from tls_authority import (
    CA,
    DAY,
    HOST,
    NO_CA,
    NOW,
    Issued,
    Recipe,
    authority,
    damaged,
    issue,
    key_usage,
    revocation_list,
    rsa_key,
)

from relay.core.faults import FaultKind as F


class World:
    """The authorities that the cases share."""

    root = authority("Trusted Root", 10)
    intermediate = authority("Trusted Intermediate", 11, root)
    stranger = authority("Unknown Root", 12)
    stranger_intermediate = authority("Unknown Intermediate", 13, stranger)

    @cached_property
    def rsa_root(self) -> Issued:
        return authority("Trusted RSA Root", 0, key=rsa_key(2048))


WORLD = World()


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a host shows, and what the client trusts besides WORLD's roots."""

    leaf: Issued
    above: Sequence[Issued] = ()
    trusted: Sequence[Issued] = ()
    crls: Sequence[str] = ()
    host: str = HOST

    @property
    def chain(self) -> tuple[str, ...]:
        return tuple(issued.pem for issued in (self.leaf, *self.above))


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    faults: tuple[F, ...]
    show: Callable[[], Shown]
    details: tuple[str, ...] = field(default=())


CASES: list[Case] = []


def case(
    *faults: F, details: tuple[str, ...] = ()
) -> Callable[[Callable[[], Shown]], Callable[[], Shown]]:
    def add(show: Callable[[], Shown]) -> Callable[[], Shown]:
        CASES.append(Case(name=show.__name__, faults=faults, show=show, details=details))
        return show

    return add


def from_intermediate(recipe: Recipe, **rest: object) -> Shown:
    return Shown(
        leaf=issue(recipe, WORLD.intermediate),
        above=(WORLD.intermediate,),
        **rest,  # type: ignore[arg-type]
    )


HONEST = Recipe()
EXPIRED = Recipe(ends=NOW - DAY)


@case()
def good_from_root() -> Shown:
    return Shown(leaf=issue(HONEST, WORLD.root))


@case()
def good_from_intermediate() -> Shown:
    return from_intermediate(HONEST)


@case()
def good_with_root_sent() -> Shown:
    return replace(from_intermediate(HONEST), above=(WORLD.intermediate, WORLD.root))


@case()
def good_with_chain_out_of_order() -> Shown:
    second = authority("Second Intermediate", 14, WORLD.intermediate)
    extra = WORLD.stranger_intermediate
    leaf = issue(HONEST, second)
    return Shown(leaf=leaf, above=(extra, WORLD.intermediate, second))


@case()
def good_with_pinned_self_signed() -> Shown:
    leaf = issue(HONEST, None)
    return Shown(leaf=leaf, trusted=(leaf,))


@case()
def good_with_wildcard() -> Shown:
    return from_intermediate(Recipe(dns=("*.partner.test",)))


@case()
def good_without_extended_usage() -> Shown:
    return from_intermediate(Recipe(extended_usage=None, usage=None))


@case()
def good_with_trailing_dot_in_host() -> Shown:
    return from_intermediate(HONEST, host=f"{HOST}.")


@case()
def good_for_address() -> Shown:
    address = x509.IPAddress(ipaddress.ip_address("192.0.2.7"))
    return from_intermediate(Recipe(dns=(), other_names=(address,)), host="192.0.2.7")


@case()
def good_cross_signed() -> Shown:
    return cross_signed(by_root_first=True)


@case(F.CERTIFICATE_UNTRUSTED_ROOT)
def cross_signed_by_stranger_first() -> Shown:
    """OpenSSL takes the first that fits and does not go back."""
    return cross_signed(by_root_first=False)


@case()
def good_with_rsa() -> Shown:
    return Shown(leaf=issue(Recipe(key=rsa_key(2048)), WORLD.rsa_root))


@case(F.CERTIFICATE_EXPIRED, details=(f"expired {NOW - DAY:%Y-%m-%d %H:%M} UTC, 1 day ago",))
def expired() -> Shown:
    return from_intermediate(EXPIRED)


@case(F.CERTIFICATE_EXPIRED, details=("CN=Old Intermediate: expired ",))
def expired_intermediate() -> Shown:
    old = authority("Old Intermediate", 16, WORLD.root, ends=NOW - DAY)
    return Shown(leaf=issue(HONEST, old), above=(old,))


@case(F.CERTIFICATE_EXPIRED)
def expired_root() -> Shown:
    old = authority("Old Root", 17, ends=NOW - DAY)
    return Shown(leaf=issue(HONEST, old), trusted=(old,))


@case(F.CERTIFICATE_NOT_YET_VALID, details=("in 2 days",))
def not_yet_valid() -> Shown:
    # Half a day more, so that the whole days do not depend on the run's speed.
    begins = NOW + 2.5 * DAY
    return from_intermediate(Recipe(begins=begins))


@case(F.CERTIFICATE_SELF_SIGNED, details=(f"CN={HOST} is signed by itself",))
def self_signed() -> Shown:
    return Shown(leaf=issue(HONEST, None))


@case(F.CERTIFICATE_UNTRUSTED_ROOT)
def self_signed_and_damaged() -> Shown:
    return Shown(leaf=damaged(issue(HONEST, None)))


@case(F.CERTIFICATE_SELF_SIGNED, F.CERTIFICATE_EXPIRED)
def self_signed_and_expired() -> Shown:
    return Shown(leaf=issue(EXPIRED, None))


@case(F.CERTIFICATE_UNTRUSTED_ROOT, details=("either it is private or an intermediate",))
def untrusted_root_not_sent() -> Shown:
    return Shown(leaf=issue(HONEST, WORLD.stranger))


@case(F.CERTIFICATE_UNTRUSTED_ROOT)
def untrusted_root_with_intermediate() -> Shown:
    leaf = issue(HONEST, WORLD.stranger_intermediate)
    return Shown(leaf=leaf, above=(WORLD.stranger_intermediate,))


@case(F.CERTIFICATE_UNTRUSTED_ROOT, details=("ends at CN=Unknown Root, which is not trusted",))
def untrusted_root_sent() -> Shown:
    leaf = issue(HONEST, WORLD.stranger_intermediate)
    return Shown(leaf=leaf, above=(WORLD.stranger_intermediate, WORLD.stranger))


@case(F.CERTIFICATE_UNTRUSTED_ROOT)
def intermediate_as_anchor_is_no_root() -> Shown:
    leaf = issue(HONEST, WORLD.stranger_intermediate)
    return Shown(leaf=leaf, trusted=(WORLD.stranger_intermediate,))


@case(F.CERTIFICATE_UNTRUSTED_ROOT)
def same_name_other_key() -> Shown:
    impostor = authority("Trusted Root", 18)
    return Shown(leaf=issue(HONEST, impostor))


@case(F.CERTIFICATE_UNTRUSTED_ROOT, F.CERTIFICATE_EXPIRED, F.CERTIFICATE_NAME_MISMATCH)
def untrusted_expired_and_wrong_host() -> Shown:
    return Shown(leaf=issue(replace(EXPIRED, dns=("other.test",)), WORLD.stranger))


@case(
    F.CERTIFICATE_MISSING_INTERMEDIATE,
    details=("the issuer CN=Trusted Intermediate is an intermediate, and was not sent",),
)
def missing_intermediate() -> Shown:
    return replace(from_intermediate(HONEST), above=())


@case(F.CERTIFICATE_MISSING_INTERMEDIATE)
def missing_upper_intermediate() -> Shown:
    second = authority("Second Intermediate", 14, WORLD.intermediate)
    return Shown(leaf=issue(HONEST, second), above=(second,))


@case(F.CERTIFICATE_MISSING_INTERMEDIATE, F.CERTIFICATE_EXPIRED)
def missing_intermediate_and_expired() -> Shown:
    return replace(from_intermediate(EXPIRED), above=())


@case(F.CERTIFICATE_ISSUER_INVALID, details=("is not an authority (basic constraints)",))
def issued_by_a_leaf() -> Shown:
    middle = authority(
        "Mere Leaf",
        19,
        WORLD.root,
        constraints=NO_CA,
        usage=key_usage(sign_certificates=False),
    )
    return Shown(leaf=issue(HONEST, middle), above=(middle,))


@case(F.CERTIFICATE_ISSUER_INVALID)
def issuer_without_certificate_signing() -> Shown:
    middle = authority("No Signing", 20, WORLD.root, usage=key_usage(sign_certificates=False))
    return Shown(leaf=issue(HONEST, middle), above=(middle,))


@case(F.CERTIFICATE_ISSUER_INVALID, details=("allows 0 intermediates below itself; there are 1",))
def path_too_long() -> Shown:
    upper = authority("Short", 21, WORLD.root, constraints=path_length(0))
    lower = authority("Below Short", 22, upper)
    return Shown(leaf=issue(HONEST, lower), above=(lower, upper))


@case(F.CERTIFICATE_ISSUER_INVALID)
def path_too_long_for_anchor() -> Shown:
    root = authority("Short Root", 23, constraints=path_length(0))
    lower = authority("Below Short Root", 24, root)
    return Shown(leaf=issue(HONEST, lower), above=(lower,), trusted=(root,))


@case()
def good_with_self_issued_intermediate() -> Shown:
    """A new key of the same authority does not count as one more level."""
    root = authority("Rolling Root", 29, constraints=path_length(0))
    renewed = authority("Rolling Root", 30, root)
    return Shown(leaf=issue(HONEST, renewed), above=(renewed,), trusted=(root,))


@case(F.CERTIFICATE_UNTRUSTED_ROOT, F.CERTIFICATE_ISSUER_INVALID, F.CERTIFICATE_NAME_CONSTRAINT)
def untrusted_but_more_than_that() -> Shown:
    only = x509.NameConstraints(
        permitted_subtrees=[x509.DNSName("else.test")], excluded_subtrees=None
    )
    upper = authority(
        "Short Stranger",
        25,
        WORLD.stranger,
        constraints=path_length(0),
        more=((only, True),),
    )
    lower = authority("Below Short Stranger", 26, upper)
    return Shown(leaf=issue(HONEST, lower), above=(lower, upper))


@case(F.CERTIFICATE_BAD_SIGNATURE, details=("does not fit the key of CN=Trusted Intermediate",))
def bad_signature() -> Shown:
    shown = from_intermediate(HONEST)
    return replace(shown, leaf=damaged(shown.leaf))


@case(F.CERTIFICATE_BAD_SIGNATURE)
def bad_signature_of_intermediate() -> Shown:
    return replace(from_intermediate(HONEST), above=(damaged(WORLD.intermediate),))


@case(F.CERTIFICATE_REVOKED, details=("by CN=Trusted Intermediate",))
def revoked() -> Shown:
    shown = from_intermediate(HONEST)
    return replace(shown, crls=(revocation_list(WORLD.intermediate, [shown.leaf]),))


@case(F.CERTIFICATE_EXPIRED, F.CERTIFICATE_REVOKED)
def revoked_and_expired() -> Shown:
    shown = from_intermediate(EXPIRED)
    return replace(shown, crls=(revocation_list(WORLD.intermediate, [shown.leaf]),))


@case()
def good_with_current_list() -> Shown:
    return replace(from_intermediate(HONEST), crls=(revocation_list(WORLD.intermediate),))


@case(F.CERTIFICATE_REVOCATION_UNKNOWN, details=("there is no revocation list of CN=Trusted I",))
def no_list_of_this_issuer() -> Shown:
    return replace(from_intermediate(HONEST), crls=(revocation_list(WORLD.root),))


@case(F.CERTIFICATE_REVOCATION_UNKNOWN, details=("is not current",))
def stale_list() -> Shown:
    stale = revocation_list(WORLD.intermediate, begins=NOW - 9 * DAY, ends=NOW - DAY)
    return replace(from_intermediate(HONEST), crls=(stale,))


@case(F.CERTIFICATE_REVOKED)
def revoked_by_stale_list() -> Shown:
    shown = from_intermediate(HONEST)
    stale = revocation_list(WORLD.intermediate, [shown.leaf], begins=NOW - 9 * DAY, ends=NOW - DAY)
    return replace(shown, crls=(stale,))


@case(F.CERTIFICATE_REVOCATION_UNKNOWN, details=("is not signed by its key",))
def forged_list() -> Shown:
    forged = revocation_list(WORLD.intermediate, signer=WORLD.stranger)
    return replace(from_intermediate(HONEST), crls=(forged,))


@case(
    F.CERTIFICATE_WRONG_PURPOSE,
    details=("extended key usage: clientAuth; wanted serverAuth",),
)
def for_clients_only() -> Shown:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    return from_intermediate(Recipe(extended_usage=usage))


@case(F.CERTIFICATE_WRONG_PURPOSE)
def for_any_purpose() -> Shown:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    return from_intermediate(Recipe(extended_usage=usage))


@case(F.CERTIFICATE_WRONG_PURPOSE)
def issuer_for_clients_only() -> Shown:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    middle = authority("For Clients", 27, WORLD.root, extended_usage=usage)
    return Shown(leaf=issue(HONEST, middle), above=(middle,))


@case(F.CERTIFICATE_WRONG_PURPOSE)
def key_not_for_handshakes() -> Shown:
    usage = key_usage(sign_certificates=False, in_handshake=False)
    return from_intermediate(Recipe(usage=usage, key=rsa_key(2048)))


@case(F.CERTIFICATE_WEAK_KEY, details=("RSA key of 1024 bits; wanted 2048 or more",))
def weak_key() -> Shown:
    return from_intermediate(Recipe(key=rsa_key(1024)))


@case(F.CERTIFICATE_WEAK_KEY)
def weak_key_of_issuer() -> Shown:
    middle = authority("Weak", 0, WORLD.root, key=rsa_key(1024))
    return Shown(leaf=issue(HONEST, middle), above=(middle,))


@case(F.CERTIFICATE_WEAK_SIGNATURE, details=("signed with SHA1; wanted SHA-256",))
def sha1_signature() -> Shown:
    return Shown(leaf=issue(Recipe(sha1=True), WORLD.rsa_root))


@case(F.CERTIFICATE_NAME_CONSTRAINT, details=(f"may not issue for {HOST}",))
def outside_permitted_names() -> Shown:
    return constrained(permitted=[x509.DNSName("else.test")])


@case(F.CERTIFICATE_NAME_CONSTRAINT)
def inside_excluded_names() -> Shown:
    return constrained(excluded=[x509.DNSName("partner.test")])


@case()
def good_inside_permitted_names() -> Shown:
    return constrained(permitted=[x509.DNSName("partner.test"), x509.DNSName("else.test")])


@case()
def good_with_permitted_addresses_only() -> Shown:
    network = x509.IPAddress(ipaddress.ip_network("192.0.2.0/24"))
    return constrained(permitted=[network])


@case(F.CERTIFICATE_NAME_CONSTRAINT)
def address_outside_permitted() -> Shown:
    network = x509.IPAddress(ipaddress.ip_network("198.51.100.0/24"))
    address = x509.IPAddress(ipaddress.ip_address("192.0.2.7"))
    shown = constrained(permitted=[network], recipe=Recipe(other_names=(address,)))
    return replace(shown, host="192.0.2.7")


@case(F.CERTIFICATE_NAME_CONSTRAINT)
def directory_name_outside_permitted() -> Shown:
    """Only OpenSSL looks at this kind of constraint."""
    elsewhere = x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "NO")]))
    return constrained(permitted=[elsewhere])


@case(F.CERTIFICATE_UNKNOWN_EXTENSION, details=("critical extension 1.3.6.1.4.1.55555.1",))
def unknown_critical_extension() -> Shown:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")
    return from_intermediate(Recipe(more=((odd, True),)))


@case()
def good_with_unknown_extension() -> Shown:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), b"\x05\x00")
    return from_intermediate(Recipe(more=((odd, False),)))


@case(
    F.CERTIFICATE_NAME_MISMATCH,
    details=(f"names: other.test, third.test; wanted {HOST}",),
)
def wrong_host() -> Shown:
    return from_intermediate(Recipe(subject="other.test", dns=("other.test", "third.test")))


@case(F.CERTIFICATE_EXPIRED, F.CERTIFICATE_NAME_MISMATCH)
def wrong_host_and_expired() -> Shown:
    return from_intermediate(replace(EXPIRED, dns=("other.test",)))


@case(
    F.CERTIFICATE_NAME_MISMATCH,
    details=(f"names: none (the common name {HOST} does not count); wanted {HOST}",),
)
def common_name_only() -> Shown:
    return from_intermediate(Recipe(dns=()))


@case(F.CERTIFICATE_NAME_MISMATCH)
def wildcard_below_top_level() -> Shown:
    return from_intermediate(Recipe(dns=("*.test",)), host="partner.test")


@case(F.CERTIFICATE_NAME_MISMATCH)
def wildcard_for_two_labels() -> Shown:
    return from_intermediate(Recipe(dns=("*.partner.test",)), host="a.b.partner.test")


@case(F.CERTIFICATE_NAME_MISMATCH)
def wildcard_is_part_of_label() -> Shown:
    return from_intermediate(Recipe(dns=("m*.partner.test",)))


@case(F.CERTIFICATE_NAME_MISMATCH)
def wildcard_does_not_cover_parent() -> Shown:
    return from_intermediate(Recipe(dns=("*.partner.test",)), host="partner.test")


@case(F.CERTIFICATE_NAME_MISMATCH, details=("wanted 192.0.2.7",))
def address_as_dns_name() -> Shown:
    return from_intermediate(Recipe(dns=("192.0.2.7",)), host="192.0.2.7")


def path_length(length: int) -> x509.BasicConstraints:
    return x509.BasicConstraints(ca=CA.ca, path_length=length)


def constrained(
    *,
    permitted: list[x509.GeneralName] | None = None,
    excluded: list[x509.GeneralName] | None = None,
    recipe: Recipe = HONEST,
) -> Shown:
    constraints = x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=excluded)
    middle = authority("Constrained", 28, WORLD.root, more=((constraints, True),))
    return Shown(leaf=issue(recipe, middle), above=(middle,))


def cross_signed(*, by_root_first: bool) -> Shown:
    """The same authority twice: under the root that is trusted, and under a stranger."""
    by_root = authority("Cross Signed", 15, WORLD.root)
    by_stranger = authority("Cross Signed", 15, WORLD.stranger)
    above = (by_root, by_stranger) if by_root_first else (by_stranger, by_root)
    return Shown(leaf=issue(HONEST, by_root), above=above)

"""What a policy says of one address, in the file's terms and in plain words; nothing is sent."""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.addresses import Domain, domain_of, parse_address
from relay.core.codebook import CodeBook
from relay.core.delivery import Policy
from relay.core.destinations import (
    Destination,
    ToHosts,
    ToMailDomain,
    ToMxOrHost,
    ToNowhere,
    tls_modes,
)
from relay.core.failure_kinds import FailureKind
from relay.core.places import Place
from relay.core.replies import ReplyMode
from relay.core.routing import ClearText, RouteOrigin
from relay.core.settings import OnBadCertificate, OnNoTls, Starttls, TlsMode, TlsSetting, TlsVersion
from relay.core.tls_policy import NamePolicy, RuleOrigin, TlsPolicy, TrustAnchors


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPolicy:
    """What holds for mail from `sender` to `address`.

    `in_front` is the one relay that everything goes through, if there is one. `email_relay` is the
    name of the relay that a domain filter leads to, `logs_in_as` the user's name there. `tested` is
    the setting that the policy only tests, so that `setting` holds instead.
    `rule` is the pattern of the entry that won, `place` where it stands, `reason` why it won. The
    three `if_...` sentences say what follows at the destination, with the code that is reported.
    """

    address: str
    sender: str
    domain: Domain
    in_front: str | None
    setting: TlsSetting
    tested: TlsSetting | None
    rule: str
    rule_origin: RuleOrigin
    place: str
    reason: str
    starttls: Starttls
    on_no_tls: OnNoTls
    on_bad_certificate: OnBadCertificate
    minimum_tls: TlsVersion
    trust: TrustAnchors
    names: NamePolicy
    route: str
    route_origin: RouteOrigin
    route_place: str | None
    route_reason: str
    email_relay: str | None
    logs_in_as: str | None
    reply: ReplyMode
    if_no_tls: str
    if_handshake_fails: str
    if_bad_certificate: str
    policy: str
    policy_sha256: str


def explain_address(policy: Policy, address: str, *, sender: str) -> AddressPolicy:
    """Say what `policy` makes of mail to `address`; raise ValueError if it is no address.

    `sender` is the reverse path, empty for the null one; an address, too.
    """
    domain = parse_address(address).domain
    way = policy.way(domain, sender=domain_of(sender))
    match, route, relay = way.tls, way.route, way.route.email_relay
    dropped = isinstance(route.to, ToNowhere)
    tls = match.policy
    implicit = tls_modes(route.to) == {TlsMode.IMPLICIT}
    mode = TlsMode.IMPLICIT if implicit else TlsMode.STARTTLS
    several = isinstance(route.to, ToHosts | ToMailDomain | ToMxOrHost)
    falls_back = tls.starttls is Starttls.TRY and tls.on_no_tls is OnNoTls.CLEAR
    after_all = policy.routing.clear_text is ClearText.AFTER_ALL_HOSTS
    waits = _AFTER_ALL if several and falls_back and after_all and mode is TlsMode.STARTTLS else ""
    return AddressPolicy(
        address=address,
        sender=sender,
        domain=domain,
        in_front=policy.routing.in_front,
        setting=tls.setting,
        tested=match.tested.setting if match.tested else None,
        rule=str(match.rule.pattern),
        rule_origin=match.rule.origin,
        place=str(match.rule.place),
        reason=match.reason,
        starttls=tls.starttls,
        on_no_tls=tls.on_no_tls,
        on_bad_certificate=tls.on_bad_certificate,
        minimum_tls=tls.minimum_tls,
        trust=tls.trust,
        names=tls.names,
        route=str(route.to),
        route_origin=route.origin,
        route_place=_place_text(route.place),
        route_reason=route.reason,
        email_relay=relay.name if relay else None,
        logs_in_as=relay.credentials.username if relay and relay.credentials else None,
        reply=policy.delivery.reply,
        if_no_tls=_DROPPED if dropped else _if_no_tls(tls, mode, policy.codes, route.to) + waits,
        if_handshake_fails=(
            _DROPPED if dropped else _if_handshake_fails(tls, mode, policy.codes) + waits
        ),
        if_bad_certificate=_DROPPED if dropped else _if_bad_certificate(tls, mode, policy.codes),
        policy=policy.source,
        policy_sha256=policy.sha256,
    )


def is_address(text: str) -> bool:
    """Whether `text` is an address as `explain_address` takes it."""
    try:
        parse_address(text)
    except ValueError:
        return False
    return True


def _place_text(place: Place | None) -> str | None:
    return None if place is None else str(place)


def _refused(codes: CodeBook, kind: FailureKind) -> str:
    return f"not delivered: {codes.entries[kind]}"


_DROPPED = "no host is asked: dropped, and reads as sent"
_NEVER = "TLS is never tried: delivered in clear text"
_AFTER_ALL = ", once every host was asked for TLS"
_IMPLICIT_OFF = "encrypted all the same, because the route is implicit TLS"


def _if_no_tls(tls: TlsPolicy, mode: TlsMode, codes: CodeBook, to: Destination) -> str:
    if mode is TlsMode.IMPLICIT:
        return f"can't be: {to} is implicit TLS"
    if tls.starttls is Starttls.NEVER:
        return _NEVER
    if tls.on_no_tls is OnNoTls.TERMINATE:
        return _refused(codes, FailureKind.TLS_NOT_OFFERED)
    return "delivered in clear text"


def _if_handshake_fails(tls: TlsPolicy, mode: TlsMode, codes: CodeBook) -> str:
    if mode is TlsMode.IMPLICIT or tls.on_no_tls is OnNoTls.TERMINATE:
        return _refused(codes, FailureKind.TLS_HANDSHAKE_FAILED)
    if tls.starttls is Starttls.NEVER:
        return _NEVER
    return "delivered in clear text, in a new session"


def _if_bad_certificate(tls: TlsPolicy, mode: TlsMode, codes: CodeBook) -> str:
    if tls.starttls is Starttls.NEVER:
        return _IMPLICIT_OFF if mode is TlsMode.IMPLICIT else _NEVER
    if tls.on_bad_certificate is OnBadCertificate.IGNORE:
        return "delivered encrypted: the certificate is not judged"
    if tls.on_bad_certificate is OnBadCertificate.CLEAR and mode is TlsMode.STARTTLS:
        return "delivered in clear text, in a new session"
    untrusted = codes.entries[FailureKind.CERTIFICATE_UNTRUSTED]
    mismatch = codes.entries[FailureKind.CERTIFICATE_NAME_MISMATCH]
    if untrusted == mismatch:
        return f"not delivered: {untrusted}"
    return f"not delivered: {untrusted}, or, for a wrong name: {mismatch}"

"""What points another mail server at the lab's receivers, in that server's own words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum, unique
from typing import Final, assert_never

from relay.core.routing import LAB_DOMAIN, HostAddress
from relay.core.salesforce import BOUNCE_DOMAIN
from relay.core.scenarios import ReachedBy
from relay.core.settings import TlsMode
from relay.lab.catalogue import LAB_SCENARIOS, SCENARIOS
from relay.lab.scripts import ServerName, ServeTls

WRAPPER_CLIENT: Final = "relaylab-smtps"
"""The name under which Postfix's master.cf must have a client that begins with TLS."""


@unique
class ExportFor(Enum):
    """What the text is for."""

    POSTFIX = "postfix"
    """A transport map (transport(5))."""
    POSTFIX_TLS = "postfix-tls"
    """A TLS policy map (smtp_tls_policy_maps in postconf(5)) that verifies every host."""
    EXIM = "exim"
    """A router with driver manualroute (Exim specification, chapter 20)."""
    HARAKA = "haraka"
    """Routes of the plugin queue/smtp_forward (config/smtp_forward.ini), as Haraka 3 has them."""
    RELAYLAB = "relaylab"
    """A policy file for a relay of this kind that has not started the receivers itself."""
    HOSTS = "hosts"
    """A hosts file (hosts(5))."""


def export(places: Mapping[str, HostAddress], target: ExportFor) -> Iterator[str]:
    """Yield lines that lead each scenario's mail domain to its receiver."""
    match target:
        case ExportFor.POSTFIX:
            yield from _postfix(places)
        case ExportFor.POSTFIX_TLS:
            yield from _postfix_tls(places)
        case ExportFor.EXIM:
            yield from _exim(places)
        case ExportFor.HARAKA:
            yield from _haraka(places)
        case ExportFor.RELAYLAB:
            yield from _relaylab(places)
        case ExportFor.HOSTS:
            for name, place in places.items():
                yield f"{place.address} {SCENARIOS[name].host}"
        case _:
            assert_never(target)


def _postfix(places: Mapping[str, HostAddress]) -> Iterator[str]:
    yield "# transport_maps = texthash:FILE"
    yield "# Under bounce management of a relay beside it, what bounces goes back there:"
    yield f"#   {BOUNCE_DOMAIN} smtp:[127.0.0.1]:1025"
    if any(place.mode is TlsMode.IMPLICIT for place in places.values()):
        yield f"# {WRAPPER_CLIENT} goes into master.cf:"
        yield f"#   {WRAPPER_CLIENT} unix - - n - - smtp"
        yield "#     -o smtp_tls_wrappermode=yes -o smtp_tls_security_level=encrypt"
    for name, place in places.items():
        match place.mode:
            case TlsMode.STARTTLS:
                client = "smtp"
            case TlsMode.IMPLICIT:
                client = WRAPPER_CLIENT
            case _:
                assert_never(place.mode)
        yield f"{SCENARIOS[name].mail_domain} {client}:{_next_hop(place)}"


def _postfix_tls(places: Mapping[str, HostAddress]) -> Iterator[str]:
    yield "# smtp_tls_policy_maps = texthash:FILE"
    yield "# smtp_tls_CAfile = the lab's root: relay certs ca"
    for name, place in places.items():
        yield f"{_next_hop(place)} secure match={SCENARIOS[name].host}"


def _exim(places: Mapping[str, HostAddress]) -> Iterator[str]:
    yield "# Among the routers, before those that look up DNS. A receiver whose TLS begins at once"
    yield "# needs a transport with protocol = smtps instead."
    yield "relaylab:"
    yield "  driver = manualroute"
    yield f"  domains = *.{LAB_DOMAIN}"
    yield "  transport = remote_smtp"
    # Exim takes a host on this machine for itself unless told otherwise.
    yield "  self = send"
    # One entry a line; the separator must be one that no IPv6 address has.
    yield "  route_list = \\"
    entries = [
        f'    {SCENARIOS[name].mail_domain} "<+ [{place.address}]:{place.port}"'
        for name, place in places.items()
    ]
    yield " ;\\\n".join(entries)


def _haraka(places: Mapping[str, HostAddress]) -> Iterator[str]:
    yield "; config/smtp_forward.ini; config/plugins names queue/smtp_forward."
    yield "; TLS is opportunistic. To verify, set rejectUnauthorized=true, start Haraka with"
    yield "; NODE_EXTRA_CA_CERTS=the lab's root (relay certs ca), and let each host= be the name"
    yield "; in the comment beside it (relay lab export --for hosts)."
    yield "; Where STARTTLS is not offered, the mail goes in clear text all the same."
    yield "check_recipient=true"
    yield "enable_tls=true"
    yield "[tls]"
    yield "rejectUnauthorized=false"
    for name, place in places.items():
        domain = SCENARIOS[name].mail_domain
        if place.mode is TlsMode.IMPLICIT:
            yield f"; {domain}: the plugin can't begin with TLS"
            continue
        yield f"; {SCENARIOS[name].host}"
        yield f"[{domain}]"
        yield f"host={place.address}"
        yield f"port={place.port}"
        # A section without these two keeps none of the main section's values.
        yield "enable_tls=true"
        yield "enable_outbound=true"


def _relaylab(places: Mapping[str, HostAddress]) -> Iterator[str]:
    yield "# relay serve --policy FILE"
    yield "tls: Required Verify"
    yield "# `lab` is the root of the relay's own lab, and of this one where both have one state"
    yield "# directory; elsewhere name a copy of the file that `relay certs ca` tells of."
    yield "trust: [lab]"
    yield "# To an address no name is sent in the ClientHello. What looks at that name is left to"
    yield "# the relay's own lab:"
    routed: dict[str, HostAddress] = {}
    for name, place in places.items():
        if _depends_on_name_sent(name):
            yield f"#   {SCENARIOS[name].mail_domain}"
        else:
            routed[name] = place
    yield "routes:"
    for name, place in routed.items():
        address = f"[{place.address}]" if ":" in place.address else place.address
        scheme = "smtps" if place.mode is TlsMode.IMPLICIT else "smtp"
        yield f'  - {{match: {SCENARIOS[name].mail_domain}, to: "{scheme}://{address}:{place.port}"}}'
    yield "rules:"
    for name in routed:
        card = SCENARIOS[name]
        if card.reached_by is ReachedBy.NAME:
            yield f"  - {{match: {card.mail_domain}, names: [{card.host}]}}"


def _depends_on_name_sent(name: str) -> bool:
    match LAB_SCENARIOS[name].script.handshake:
        case ServeTls(server_name=ServerName.REQUIRED):
            return True
        case ServeTls(named_recipe=named):
            return named is not None
        case _:
            return False


def _next_hop(place: HostAddress) -> str:
    """Return an address as Postfix writes it: brackets also keep it from asking for MX records."""
    address = f"ipv6:{place.address}" if ":" in place.address else place.address
    return f"[{address}]:{place.port}"

"""The lab's zone: where each scenario's mail goes, as DNS records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, assert_never

from relay.core.routing import LAB_DOMAIN, HostAddress
from relay.lab.catalogue import DNS_SCENARIOS, LAB_SCENARIOS, RECEIVER_OF_HOST
from relay.lab.dns_answers import DnsScenario, Exchangers, NoSuchName, OwnAddress, Trouble

Records = Mapping[str, tuple[str, ...]]
"""Lines such as `MX 10 mx.good.lab.test.` or `A 127.0.0.1` by domain name, without final dot."""

PREFERENCE: Final = 10
"""Of a scenario that is about its receiver."""
CLIENT: Final = "relay.lab.test"
"""What a relay is called unless it was told otherwise."""

TROUBLES: Final[Mapping[str, Trouble]] = MappingProxyType(
    {
        entry.card.mail_domain: entry.answer
        for entry in DNS_SCENARIOS.values()
        if isinstance(entry.answer, Trouble)
    }
)
"""Names that are asked in vain."""


def lab_zone(endpoints: Mapping[str, HostAddress], *, client: str = CLIENT) -> Records:
    """Return the records of the scenarios whose receivers are among `endpoints`.

    A scenario's domain has one mail exchanger, whose address is the receiver's, and a text that
    says what the receiver does; one about DNS has what it declares. DNS has no place for the port:
    an MX record means the client's own (RFC 5321 section 5.1). `client` is the host name of the
    relay that asks, which the zone leads back to itself.
    """
    records: dict[str, tuple[str, ...]] = {
        LAB_DOMAIN: (f"SOA ns.{LAB_DOMAIN}. hostmaster.{LAB_DOMAIN}. 1 3600 600 86400 0",)
    }
    for name, endpoint in endpoints.items():
        card = LAB_SCENARIOS[name].card
        if name not in DNS_SCENARIOS:
            records[card.mail_domain] = (f"MX {PREFERENCE} {card.host}.", _text(card.summary))
            records[card.host] = (_address(endpoint),)
    for scenario in DNS_SCENARIOS.values():
        if all(RECEIVER_OF_HOST[host] in endpoints for host in scenario.hosts):
            own = {host: endpoints[RECEIVER_OF_HOST[host]] for host in scenario.own_hosts}
            records |= {host: (_address(endpoint),) for host, endpoint in own.items()}
            lines = tuple(mx_records(scenario, client=client))
            if lines or own:
                domain = scenario.card.mail_domain
                records[domain] = (*records.get(domain, ()), *lines, _text(scenario.card.summary))
    # Any mail server finds itself there, whatever it is called.
    records.setdefault(client, ("A 127.0.0.1", "AAAA ::1"))
    return MappingProxyType(records)


def mx_records(scenario: DnsScenario, *, client: str = CLIENT) -> Iterator[str]:
    """Yield the MX records of a scenario about DNS, in the order of the answer."""
    match scenario.answer:
        case Exchangers(records=exchangers):
            for exchanger in exchangers:
                host = client if exchanger.host is None else exchanger.host
                yield f"MX {exchanger.preference} {host}."
        case OwnAddress() | NoSuchName() | Trouble():
            return
        case _:
            assert_never(scenario.answer)


def answer_words(scenario: DnsScenario) -> tuple[str, ...]:
    """Return what the name server says when it is asked for a domain's hosts, a line for each."""
    match scenario.answer:
        case Exchangers():
            return tuple(mx_records(scenario))
        case OwnAddress():
            return ("no MX record, and an A record with the receiver's address",)
        case NoSuchName():
            return ("NXDOMAIN",)
        case Trouble.SERVFAIL:
            return ("SERVFAIL, whatever is asked",)
        case Trouble.SILENT:
            return ("nothing, whatever is asked",)
        case _:
            assert_never(scenario.answer)


def _address(endpoint: HostAddress) -> str:
    return f"{'AAAA' if ':' in endpoint.address else 'A'} {endpoint.address}"


def _text(summary: str) -> str:
    return f'TXT "{summary}"'

"""The lab's zone: where each scenario's mail goes, as DNS records."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from relay.core.routing import LAB_DOMAIN, HostAddress
from relay.lab.catalogue import SCENARIOS
from relay.lab.special_names import address_record, special_names

Records = Mapping[str, tuple[str, ...]]
"""Lines such as `MX 10 mx.good.lab.test.` or `A 127.0.0.1` by domain name, without final dot."""

PREFERENCE: Final = 10


def lab_zone(endpoints: Mapping[str, HostAddress]) -> Records:
    """Return the records of the scenarios that listen at `endpoints`, and of the special names.

    Each scenario's domain has one mail exchanger, whose address is the receiver's, and a text that
    says what the receiver does. DNS has no place for the port: an MX record means the client's own
    (RFC 5321 section 5.1).
    """
    records: dict[str, tuple[str, ...]] = {
        LAB_DOMAIN: (f"SOA ns.{LAB_DOMAIN}. hostmaster.{LAB_DOMAIN}. 1 3600 600 86400 0",)
    }
    for name, endpoint in endpoints.items():
        card = SCENARIOS[name]
        records[card.mail_domain] = (f"MX {PREFERENCE} {card.host}.", f'TXT "{card.summary}"')
        records[card.host] = (address_record(endpoint),)
    return MappingProxyType({**records, **special_names(endpoints)})

"""A certificate on record is worth what it was worth then; what mail meets later may be another."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from relay.audit.forecast import Forecast, Passes, Refused, Unknown, forecast
from relay.audit.on_record import DomainRecord, Records
from relay.audit.probe import probe_hop
from relay.config.policy_file import load_policy_text
from relay.core.addresses import parse_domain
from relay.core.rejudging import Unseen
from relay.core.routing import Hop
from relay.core.settings import Protection, TlsVersion
from relay.lab.lab import Lab
from relay.outbound.session import SessionOptions
from relay.tls.contexts import ClientContexts
from relay.tls.trust import TrustStores

DAY = timedelta(days=1)
OPTIONS = SessionOptions(
    local_hostname="probe.test",
    connect_timeout=timedelta(seconds=2),
    command_timeout=timedelta(seconds=2),
    allow_external=False,
)


@pytest.mark.parametrize(
    ("scenario", "setting", "later", "told"),
    [
        ("good", "Required Verify", None, Protection.VERIFIED),
        ("good", "Required Verify", -DAY, Protection.VERIFIED),
        ("good", "Required Verify", DAY, Protection.VERIFIED),
        ("good", "Required Verify", 1000 * DAY, Unseen.RENEWAL),
        ("good", "Preferred Verify", 1000 * DAY, Unseen.RENEWAL),
        ("good", "Required", 1000 * DAY, Protection.ENCRYPTED),
        ("good", "Off", 1000 * DAY, Protection.CLEAR),
        # It was refused, and would be still: nothing is promised.
        ("expired", "Required Verify", 1000 * DAY, "451 4.7.5"),
        ("self-signed", "Required Verify", 1000 * DAY, "451 4.7.5"),
        ("not-yet-valid", "Required Verify", timedelta(minutes=1), "451 4.7.5"),
        ("no-starttls", "Required Verify", 1000 * DAY, "451 4.7.6"),
    ],
)
async def test_a_forecast_for_later(
    lab: Lab,
    scenario: str,
    setting: str,
    later: timedelta | None,
    told: Protection | Unseen | str,
) -> None:
    place = await lab.address(scenario)
    hop = Hop(host=place.name, address=place.address, port=place.port, mode=place.mode)
    stores = TrustStores(lambda: lab.authority.root_pem)
    seen = await probe_hop(
        hop,
        minimum_tls=TlsVersion.TLS1_2,
        options=OPTIONS,
        contexts=ClientContexts(stores),
        now=lab.now,
    )
    domain = parse_domain(f"{scenario}.lab.test")
    record = DomainRecord(domain=domain, route=f"lab/{scenario}", hosts=(hop,), seen=(seen,))
    at: datetime | None = None if later is None else seen.at + later
    found = forecast(
        Records([record]),
        load_policy_text(f"tls: {setting}\n", name="p.yaml"),
        domain=domain,
        recipient=None,
        stores=stores,
        at=at,
    )
    assert _of(found) == told


def _of(found: Forecast) -> Protection | Unseen | str | None:
    match found:
        case Passes(protection=protection):
            return protection
        case Unknown(what=what):
            return what
        case Refused(entry=entry):
            return str(entry.status)
        case _:
            return None

"""What-if against what was: every scenario under every setting, each record judged by all others.

A forecast may be unknown; it may never be wrong.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

import pytest

from relay.audit.forecast import Dropped, Forecast, Passes, Refused, Unknown, forecast
from relay.audit.on_record import Gathering, Records
from relay.cli.own_relays import OwnRelay, own_relays
from relay.core.addresses import parse_domain
from relay.core.records import Attempt
from relay.core.rejudging import Unseen
from relay.core.settings import Protection, TlsSetting
from relay.engine.relay import Relay
from relay.lab.availability import why_unavailable
from relay.lab.catalogue import LAB_SCENARIOS
from relay.tls.trust import TrustStores

BY_TURNS = {"greylist", "rotates", "rate-limit"}
"""What these answer depends on what came before, so no record can tell of the next time."""


def attempts_of(relay: Relay, recipient: str) -> Iterable[Attempt]:
    (found,) = relay.journal.messages(10, recipient=recipient)
    return relay.journal.attempts_of(found.envelope.id, recipient)


def agrees(told: Forecast, code: str | None, protection: Protection | None) -> bool:
    """Compare with what happened: a code, or a delivery protected like this."""
    match told:
        case Passes(protection=foretold, delivered=delivered):
            return foretold is protection if delivered or code is None else True
        case Refused(entry=entry):
            return str(entry.status) == code
        case Dropped():
            return False
        case Unknown():
            return True


@pytest.mark.timeout(300)
async def test_no_forecast_is_wrong() -> None:
    names = [n for n, s in LAB_SCENARIOS.items() if not why_unavailable(s) and n not in BY_TURNS]
    wrong: list[str] = []
    known = 0
    unknown: Counter[tuple[TlsSetting, Unseen]] = Counter()
    async with own_relays() as (relays, _):
        happened: dict[tuple[str, TlsSetting], tuple[str | None, Protection | None]] = {}
        slots = asyncio.Semaphore(16)

        async def send(name: str, setting: TlsSetting) -> None:
            async with slots:
                sent = await relays[setting].send(
                    f"anyone@{name}.lab.test", f"{name}-{setting.value}"
                )
            refused = sent.code >= 400
            happened[name, setting] = (
                f"{sent.code} {sent.enhanced}" if refused else None,
                None if refused else sent.protection,
            )

        async with asyncio.TaskGroup() as tasks:
            for name in names:
                for setting in relays:
                    tasks.create_task(send(name, setting))

        own = {s: r.relay for s, r in relays.items() if isinstance(r, OwnRelay)}
        authority = next(iter(own.values())).lab.authority
        stores = TrustStores(
            lambda: authority.root_pem, lab_intermediates=lambda: authority.intermediates_pem
        )
        for name in names:
            recipient = f"anyone@{name}.lab.test"
            domain = parse_domain(f"{name}.lab.test")
            for now, relay in own.items():
                gathering = Gathering()
                for attempt in attempts_of(relay, recipient):
                    gathering.add(attempt)
                known_of = Records(gathering.records(relay.journal.session))
                for then, other in own.items():
                    told = forecast(
                        known_of,
                        other.policy,
                        domain=domain,
                        recipient=recipient,
                        stores=stores,
                    )
                    if isinstance(told, Unknown):
                        unknown[now, told.what] += 1
                    else:
                        known += 1
                    if not agrees(told, *happened[name, then]):
                        wrong.append(
                            f"{name}: {now.value} -> {then.value}: {told}; {happened[name, then]}"
                        )
                    if now is then and isinstance(told, Unknown):
                        wrong.append(f"{name}: {now.value} does not know itself: {told}")
    assert wrong == []
    # Off tries no handshake; the Verify settings end one before all of it is seen.
    assert set(unknown) == {
        (TlsSetting.OFF, Unseen.HANDSHAKE),
        (TlsSetting.PREFERRED_VERIFY, Unseen.BEHIND_VERIFICATION),
        (TlsSetting.REQUIRED_VERIFY, Unseen.BEHIND_VERIFICATION),
    }
    assert known > 3 * unknown.total()

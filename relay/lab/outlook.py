"""What each TLS setting makes of a scenario, foretold from its card by the core's own `judge`.

A prediction for people who read about a scenario; what really happens is the receivers' testimony.
`card_json` is a card's one JSON form, in which the predictions stand.
"""

from __future__ import annotations

from datetime import datetime

from relay.core.evidence import (
    Handshake,
    HandshakeDone,
    HandshakeFailed,
    HandshakeProblem,
    NotTried,
    TlsEvidence,
)
from relay.core.fault_cards import FAULTS
from relay.core.faults import FaultClass, TlsFault
from relay.core.jsonform import Json, to_json
from relay.core.scenarios import Scenario
from relay.core.settings import Starttls, TlsMode, TlsSetting, TlsVersion
from relay.core.tls_policy import TlsPolicy
from relay.core.verdicts import Verdict, judge


def foretell(card: Scenario, setting: TlsSetting) -> Verdict:
    """Return the verdict on a first session with this scenario's receiver.

    The setting stands with its defaults: the lab's root trusted, TLS 1.2 or better.
    """
    policy = TlsPolicy.for_setting(setting)
    classes = {FAULTS[kind].fault_class for kind in card.faults}
    if policy.starttls is Starttls.NEVER and card.mode is TlsMode.STARTTLS:
        return judge(policy, _evidence(card, NotTried()), ())
    handshake: Handshake
    if FaultClass.HANDSHAKE in classes:
        handshake = HandshakeFailed(problem=HandshakeProblem.OTHER, detail=card.summary)
    elif classes & {FaultClass.NOT_OFFERED, FaultClass.REFUSED, FaultClass.NO_GO_AHEAD}:
        handshake = NotTried()
    else:
        handshake = HandshakeDone(version=TlsVersion.TLS1_3.label, cipher="")
    faults = tuple(TlsFault(kind=kind, detail=card.summary) for kind in card.faults)
    return judge(policy, _evidence(card, handshake), faults)


def card_json(card: Scenario) -> dict[str, Json]:
    """Return a card with its mail domain, its host, and the verdict under each setting."""
    data = to_json(card)
    assert isinstance(data, dict)
    verdicts = {setting: foretell(card, setting) for setting in TlsSetting}
    return {
        **data,
        "mail_domain": card.mail_domain,
        "host": card.host,
        "verdicts": {
            setting.value: {
                "kind": verdict.kind,
                "protection": to_json(getattr(verdict, "protection", None)),
            }
            for setting, verdict in verdicts.items()
        },
    }


def _evidence(card: Scenario, handshake: Handshake) -> TlsEvidence:
    """Return no more than what `judge` reads."""
    return TlsEvidence(
        mode=card.mode,
        observed_at=datetime.min,  # noqa: DTZ901 - `judge` reads no time
        handshake=handshake,
    )

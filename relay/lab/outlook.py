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
from relay.core.outcomes import DnsProblem
from relay.core.scenarios import Family, Scenario
from relay.core.settings import Protection, Starttls, TlsMode, TlsSetting, TlsVersion
from relay.core.tls_policy import TlsPolicy
from relay.core.verdicts import Deliver, Verdict, judge
from relay.lab.catalogue import DNS_SCENARIOS, LAB_SCENARIOS, RECEIVER_OF_HOST
from relay.lab.zone import answer_words


def foretell(card: Scenario, setting: TlsSetting) -> Verdict | DnsProblem:
    """Return the verdict on a first session with this scenario's receiver.

    The setting stands with its defaults: the lab's root trusted, TLS 1.2 or better. Of several
    hosts it is the one that gets the message; without any host there is the reason.
    """
    if card.family is not Family.DNS:
        return _foretell(card, setting)
    scenario = DNS_SCENARIOS[card.name]
    if scenario.problem is not None:
        return scenario.problem
    receivers = (LAB_SCENARIOS[RECEIVER_OF_HOST[host]].card for host in scenario.hosts)
    verdicts = [_foretell(receiver, setting) for receiver in receivers]
    # Clear text comes after every host was asked for TLS.
    return next((v for v in verdicts if _under_tls(v)), verdicts[0])


def _under_tls(verdict: Verdict) -> bool:
    return isinstance(verdict, Deliver) and verdict.protection is not Protection.CLEAR


def _foretell(card: Scenario, setting: TlsSetting) -> Verdict:
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
    """Return a card with its mail domain, its host, and the verdict under each setting.

    Where no host is found, there is none, and the reason stands for the verdict. A scenario about
    DNS also has what the name server answers.
    """
    data = to_json(card)
    assert isinstance(data, dict)
    about_dns = DNS_SCENARIOS.get(card.name)
    return {
        **data,
        "mail_domain": card.mail_domain,
        "host": None if about_dns and about_dns.problem else card.host,
        "verdicts": {s.value: _verdict_json(foretell(card, s)) for s in TlsSetting},
        **({"answer": [*answer_words(about_dns)]} if about_dns else {}),
    }


def _verdict_json(foretold: Verdict | DnsProblem) -> Json:
    if isinstance(foretold, DnsProblem):
        return {"kind": foretold.value, "protection": None}
    return {
        "kind": foretold.kind,
        "protection": to_json(getattr(foretold, "protection", None)),
    }


def _evidence(card: Scenario, handshake: Handshake) -> TlsEvidence:
    """Return no more than what `judge` reads."""
    return TlsEvidence(
        mode=card.mode,
        observed_at=datetime.min,  # noqa: DTZ901 - `judge` reads no time
        handshake=handshake,
    )

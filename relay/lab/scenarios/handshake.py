"""Receivers with which no TLS handshake succeeds."""

from __future__ import annotations

from typing import Final

from relay.core.faults import FaultKind
from relay.core.outcomes import Stage
from relay.core.scenarios import Family, Scenario, ScenarioClass
from relay.core.settings import TlsVersion
from relay.lab.scripts import DropHandshake, LabScenario, Script, ServeTls

TLS11_ONLY: Final = LabScenario(
    card=Scenario(
        name="tls11-only",
        family=Family.HANDSHAKE,
        scenario_class=ScenarioClass.FAULT,
        summary="Speaks TLS 1.1 at most and answers anything newer with a protocol_version alert.",
        in_the_wild="Mail servers and appliances on operating systems that get no updates any "
        "more. TLS 1.0 and 1.1 are deprecated since 2021 (RFC 8996).",
        stage=Stage.HANDSHAKE,
        faults=(FaultKind.HANDSHAKE_PROTOCOL_VERSION,),
        recipe="good",
        remedy="Enable TLS 1.2 and 1.3 on the host; where its software can't, put a current mail "
        "gateway in front of it.",
    ),
    script=Script(handshake=ServeTls(minimum=TlsVersion.TLS1_1, maximum=TlsVersion.TLS1_1)),
)

HANDSHAKE_DROP: Final = LabScenario(
    card=Scenario(
        name="handshake-drop",
        family=Family.HANDSHAKE,
        scenario_class=ScenarioClass.FAULT,
        summary="Gives the go-ahead for TLS, reads the ClientHello and closes the connection.",
        in_the_wild="Firewalls and intrusion prevention that cut what they can not read, load "
        "balancers without a healthy host behind them, and TLS processes that crash.",
        stage=Stage.HANDSHAKE,
        faults=(FaultKind.HANDSHAKE_CLOSED,),
        recipe=None,
        remedy="Look for a crash in the host's log; if it never saw the handshake, look at the "
        "firewall or load balancer in front of it.",
    ),
    script=Script(handshake=DropHandshake()),
)

SCENARIOS: Final = (TLS11_ONLY, HANDSHAKE_DROP)

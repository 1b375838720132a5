"""Receivers that do not start TLS."""

from __future__ import annotations

from typing import Final

from relay.core.faults import FaultKind
from relay.core.outcomes import Stage
from relay.core.replies import Reply
from relay.core.scenarios import Family, Scenario, ScenarioClass
from relay.lab.scripts import LabScenario, Script

NO_STARTTLS: Final = LabScenario(
    card=Scenario(
        name="no-starttls",
        family=Family.STARTTLS,
        scenario_class=ScenarioClass.FAULT,
        summary="Does not offer STARTTLS; it knows clear text only.",
        in_the_wild="Old appliances, printers and scanners that take mail, internal hosts behind a "
        "gateway, and servers whose TLS was switched off to get around a certificate problem.",
        stage=Stage.AFTER_EHLO,
        faults=(FaultKind.STARTTLS_NOT_OFFERED,),
        recipe=None,
        remedy="Install a certificate and switch STARTTLS on for incoming mail.",
    ),
    script=Script(
        starttls_keyword=None,
        starttls_reply=Reply(code=502, text="5.5.1 Command not implemented"),
    ),
)

STARTTLS_REFUSED: Final = LabScenario(
    card=Scenario(
        name="starttls-refused",
        family=Family.STARTTLS,
        scenario_class=ScenarioClass.FAULT,
        summary="Offers STARTTLS and answers the command with 454 4.7.0.",
        in_the_wild="Hosts whose key or certificate file can not be read since the last change: "
        "the offer comes from the configuration, the refusal from the attempt. Mail in clear text "
        "still works, so nobody notices until a sender requires TLS.",
        stage=Stage.STARTTLS,
        faults=(FaultKind.STARTTLS_REFUSED,),
        recipe=None,
        remedy="Read the host's log at the time of the 454; it names the key or certificate that "
        "could not be loaded.",
    ),
    script=Script(
        starttls_reply=Reply(code=454, text="4.7.0 TLS not available due to temporary reason")
    ),
)

STARTTLS_STRIPPED: Final = LabScenario(
    card=Scenario(
        name="starttls-stripped",
        family=Family.STARTTLS,
        scenario_class=ScenarioClass.FAULT,
        summary="Has the offer of STARTTLS overwritten on the way, as a middlebox does.",
        in_the_wild="Firewalls that inspect SMTP overwrite the keyword in the EHLO reply "
        "(XXXXXXXA), and the command if it is sent all the same. Seen on corporate and hotel "
        "networks and with some access providers; an attacker's tool does the same.",
        stage=Stage.AFTER_EHLO,
        faults=(FaultKind.STARTTLS_NOT_OFFERED,),
        recipe=None,
        remedy="Switch the SMTP inspection of the firewall off, on either side; the host itself "
        "is in order.",
    ),
    script=Script(
        starttls_keyword="XXXXXXXA",
        starttls_reply=Reply(code=500, text="5.5.1 Command unrecognized: XXXXXXXX"),
    ),
)

SCENARIOS: Final = (NO_STARTTLS, STARTTLS_REFUSED, STARTTLS_STRIPPED)

"""Receivers whose TLS is honest and who refuse the recipient.

The control group: a bounce from one of these has nothing to do with TLS, and must not look so.
"""

from __future__ import annotations

from typing import Final

from relay.core.outcomes import Stage
from relay.core.replies import Reply
from relay.core.scenarios import Family, Scenario, ScenarioClass
from relay.lab.scripts import LabScenario, Script

USER_UNKNOWN: Final = LabScenario(
    card=Scenario(
        name="user-unknown",
        family=Family.SMTP,
        scenario_class=ScenarioClass.FAULT,
        summary="Has honest TLS and refuses every recipient for good: 550 5.1.1.",
        in_the_wild="A misspelt address, or somebody who has left. The most frequent hard bounce.",
        stage=Stage.RCPT,
        faults=(),
        recipe="good",
        remedy="Nothing on the host's side; the sender corrects or removes the address.",
    ),
    script=Script(recipient_reply=Reply(code=550, text="5.1.1 User unknown")),
)

MAILBOX_BUSY: Final = LabScenario(
    card=Scenario(
        name="mailbox-busy",
        family=Family.SMTP,
        scenario_class=ScenarioClass.FAULT,
        summary="Has honest TLS and refuses every recipient for now: 450 4.2.1.",
        in_the_wild="A mailbox that is locked or takes too much mail at once; greylisting looks "
        "much the same. A sender with a queue tries again.",
        stage=Stage.RCPT,
        faults=(),
        recipe="good",
        remedy="Wait; if it lasts for a day, ask the host's administrator about this mailbox.",
    ),
    script=Script(recipient_reply=Reply(code=450, text="4.2.1 Mailbox busy, try again later")),
)

SCENARIOS: Final = (USER_UNKNOWN, MAILBOX_BUSY)

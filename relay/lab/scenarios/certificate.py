"""Receivers whose handshake works and whose certificate proves nothing.

The scripts are all honest: the fault lies in the recipe alone.
"""

from __future__ import annotations

from typing import Final

from relay.core.faults import FaultKind
from relay.core.outcomes import Stage
from relay.core.scenarios import Family, Scenario, ScenarioClass
from relay.lab.scripts import LabScenario


def _scenario(
    name: str, fault: FaultKind, *, summary: str, in_the_wild: str, remedy: str
) -> LabScenario:
    """Declare a scenario that shows the certificate of the recipe with the same name."""
    return LabScenario(
        card=Scenario(
            name=name,
            family=Family.CERTIFICATE,
            scenario_class=ScenarioClass.FAULT,
            summary=summary,
            in_the_wild=in_the_wild,
            stage=Stage.HANDSHAKE,
            faults=(fault,),
            recipe=name,
            remedy=remedy,
        )
    )


SCENARIOS: Final = (
    _scenario(
        "expired",
        FaultKind.CERTIFICATE_EXPIRED,
        summary="Shows a certificate that ran out a day ago.",
        in_the_wild="The most frequent fault of all: a renewal that failed without a word, or one "
        "that worked while the mail server still has the old file loaded.",
        remedy="Renew the certificate, restart the mail server so that it loads it, and watch the "
        "date from outside.",
    ),
    _scenario(
        "not-yet-valid",
        FaultKind.CERTIFICATE_NOT_YET_VALID,
        summary="Shows a certificate whose validity begins tomorrow.",
        in_the_wild="A clock that is wrong, on the sender's side more often than on the host's, "
        "and certificates that were prepared for a move and installed too early.",
        remedy="Compare the clocks of both sides with a time server; if they are right, go back "
        "to the certificate that is valid today.",
    ),
    _scenario(
        "self-signed",
        FaultKind.CERTIFICATE_SELF_SIGNED,
        summary="Shows a certificate that is signed by its own key.",
        in_the_wild="The certificate that a mail server or an appliance makes for itself when it "
        "is installed. Mail is encrypted, but nobody knows to whom.",
        remedy="Replace the generated certificate by one from a public authority; one that is "
        "free and renews itself will do.",
    ),
    _scenario(
        "untrusted-root",
        FaultKind.CERTIFICATE_UNTRUSTED_ROOT,
        summary="Shows a complete chain to a root that nobody was told to trust.",
        in_the_wild="A company's private authority, used towards the outside by mistake; a public "
        "root that the trust stores have dropped; and networks that break TLS open.",
        remedy="Use a certificate from a public authority for mail from outside. Partners may "
        "agree to trust the private root instead.",
    ),
    _scenario(
        "missing-intermediate",
        FaultKind.CERTIFICATE_MISSING_INTERMEDIATE,
        summary="Shows a good certificate, but not the intermediate that leads to its root.",
        in_the_wild="Installed from the file that has only the host's certificate. Browsers hide "
        "the gap by fetching the intermediate; mail servers do not.",
        remedy="Install the full chain: the host's certificate first, then every intermediate.",
    ),
    _scenario(
        "wrong-host",
        FaultKind.CERTIFICATE_NAME_MISMATCH,
        summary="Shows a trusted, valid certificate that is made out to another name.",
        in_the_wild="Shared hosts that show their provider's name to everybody, MX records with a "
        "name of one's own for somebody else's host, and routes to an IP address.",
        remedy="Add the name that the MX record or the route uses to the certificate, or let the "
        "record name the host as its certificate does.",
    ),
)

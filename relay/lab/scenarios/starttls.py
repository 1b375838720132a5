"""Receivers whose trouble begins ahead of the handshake: with EHLO, the offer, the go-ahead."""

from __future__ import annotations

from typing import Final

from relay.core.advisories import AdvisoryKind
from relay.core.faults import FaultKind
from relay.core.outcomes import Stage
from relay.core.replies import Reply
from relay.core.scenarios import Family, Scenario, ScenarioClass
from relay.lab.scripts import (
    AfterClientHello,
    HangUp,
    LabScenario,
    LastReply,
    Raw,
    Script,
    Silence,
)

NOT_OFFERED: Final = Reply(code=502, text="5.5.1 Command not implemented")


def _scenario(
    name: str,
    script: Script,
    *faults: FaultKind,
    stage: Stage,
    summary: str,
    in_the_wild: str,
    remedy: str,
    scenario_class: ScenarioClass = ScenarioClass.FAULT,
    recipe: str | None = None,
    advisories: tuple[AdvisoryKind, ...] = (),
) -> LabScenario:
    return LabScenario(
        card=Scenario(
            name=name,
            family=Family.STARTTLS,
            scenario_class=scenario_class,
            summary=summary,
            in_the_wild=in_the_wild,
            stage=stage,
            faults=faults,
            recipe=recipe,
            remedy=remedy,
            advisories=advisories,
        ),
        script=script,
    )


SCENARIOS: Final = (
    _scenario(
        "no-starttls",
        Script(starttls_keyword=None, starttls=NOT_OFFERED),
        FaultKind.STARTTLS_NOT_OFFERED,
        stage=Stage.AFTER_EHLO,
        summary="Does not offer STARTTLS; it knows clear text only.",
        in_the_wild="Old appliances, printers and scanners that take mail, internal hosts behind a "
        "gateway, and servers whose TLS was switched off to get around a certificate problem.",
        remedy="Install a certificate and switch STARTTLS on for incoming mail.",
    ),
    _scenario(
        "starttls-stripped",
        Script(
            starttls_keyword="XXXXXXXA",
            starttls=Reply(code=500, text="5.5.1 Command unrecognized: XXXXXXXX"),
        ),
        FaultKind.STARTTLS_NOT_OFFERED,
        stage=Stage.AFTER_EHLO,
        summary="Has the offer of STARTTLS overwritten on the way, as a middlebox does.",
        in_the_wild="Firewalls that inspect SMTP overwrite the keyword in the EHLO reply "
        "(XXXXXXXA), and the command if it is sent all the same. Seen on corporate and hotel "
        "networks and with some access providers; an attacker's tool does the same.",
        remedy="Switch the SMTP inspection of the firewall off, on either side; the host itself "
        "is in order.",
    ),
    _scenario(
        "ehlo-refused",
        Script(ehlo=NOT_OFFERED, starttls=NOT_OFFERED),
        FaultKind.STARTTLS_NOT_OFFERED,
        stage=Stage.AFTER_EHLO,
        summary="Answers EHLO with 502 and knows HELO only, so that no extension can be offered.",
        in_the_wild="Firewalls that let only the commands of RFC 821 pass, and software that is "
        "older than 1995. All extensions are gone at once: TLS, size, eight bits.",
        remedy="Switch the SMTP inspection of the firewall off, or replace the software; HELO "
        "leaves no way to TLS.",
    ),
    _scenario(
        "starttls-refused",
        Script(
            starttls=Reply(code=454, text="4.7.0 TLS not available due to temporary reason"),
        ),
        FaultKind.STARTTLS_REFUSED,
        stage=Stage.STARTTLS,
        summary="Offers STARTTLS and answers the command with 454 4.7.0.",
        in_the_wild="Hosts whose key or certificate file can not be read since the last change: "
        "the offer comes from the configuration, the refusal from the attempt. Mail in clear text "
        "still works, so nobody notices until a sender requires TLS.",
        remedy="Read the host's log at the time of the 454; it names the key or certificate that "
        "could not be loaded.",
    ),
    _scenario(
        "starttls-rejected",
        Script(starttls=Reply(code=554, text="5.7.3 TLS can not be started on this host")),
        FaultKind.STARTTLS_REFUSED,
        stage=Stage.STARTTLS,
        summary="Offers STARTTLS and answers the command with 554 5.7.3, for good.",
        in_the_wild="Hosts whose certificate store lost the certificate that the receiving service "
        "is bound to. Senders disagree about it: Postfix bounces such mail at once, Exim tries "
        "again for days.",
        remedy="Bind the receiving service to a certificate that exists, and restart it.",
    ),
    _scenario(
        "starttls-421",
        Script(starttls=LastReply(reply=Reply(code=421, text="4.3.0 Error in TLS, closing"))),
        FaultKind.STARTTLS_NO_ANSWER,
        stage=Stage.STARTTLS,
        summary="Offers STARTTLS, answers the command with 421 and closes the connection.",
        in_the_wild="Hosts that are short of memory or of processes at this moment, and proxies "
        "whose own TLS service is down. Clear text needs a second connection.",
        remedy="Read the host's log at the time of the 421; look at its limits and its load.",
    ),
    _scenario(
        "starttls-close",
        Script(starttls=HangUp()),
        FaultKind.STARTTLS_NO_ANSWER,
        stage=Stage.STARTTLS,
        summary="Offers STARTTLS and closes the connection when the command comes.",
        in_the_wild="A server process that crashes while it loads its TLS library, and filters "
        "that cut a session as soon as it is about to become unreadable for them.",
        remedy="Look for a crash in the host's log; where there is none, look at the filter in "
        "front of it.",
    ),
    _scenario(
        "starttls-silence",
        Script(starttls=Silence()),
        FaultKind.STARTTLS_NO_ANSWER,
        stage=Stage.STARTTLS,
        summary="Offers STARTTLS and never answers the command; the connection stays open.",
        in_the_wild="Intrusion prevention that drops the one packet and tells nobody, and hosts "
        "that wait for entropy or for a key server. The sender's time-out ends it, minutes later.",
        remedy="Compare packet captures on both sides: if the command arrives, the host is to "
        "blame, and else the network.",
    ),
    _scenario(
        "starttls-garbage",
        Script(starttls=Raw(octets=b"\xff\xfe\x00ready?\r\n")),
        FaultKind.STARTTLS_NO_ANSWER,
        stage=Stage.STARTTLS,
        summary="Offers STARTTLS and answers the command with octets that are no SMTP reply.",
        in_the_wild="Proxies that write their own error page or log line into the session, and "
        "serial or fax gateways that never met the command before.",
        remedy="Look at what stands between both hosts; a mail server does not say this.",
    ),
    _scenario(
        "starttls-then-close",
        Script(handshake=HangUp()),
        FaultKind.HANDSHAKE_CLOSED,
        stage=Stage.HANDSHAKE,
        summary="Gives the go-ahead for TLS and closes the connection ahead of any handshake.",
        in_the_wild="Proxies that answer STARTTLS themselves and then fail to hand the session "
        "over to a TLS service behind them.",
        remedy="Look at the proxy's log for the service that it could not reach.",
    ),
    _scenario(
        "starttls-plaintext",
        Script(
            handshake=AfterClientHello(
                answer=Raw(octets=b"500 5.5.1 Command not recognized\r\n"),
            )
        ),
        FaultKind.HANDSHAKE_NOT_TLS,
        stage=Stage.HANDSHAKE,
        summary="Gives the go-ahead for TLS and then answers the ClientHello in clear text.",
        in_the_wild="Filters that let the 220 of the host pass but not its TLS, and home-made "
        "servers that know the command by name only.",
        remedy="Find out who answers: connect from the host's own network, then from outside.",
    ),
    _scenario(
        "starttls-injection",
        Script(injected=b"250 2.0.0 Ok\r\n"),
        FaultKind.STARTTLS_INJECTION,
        stage=Stage.HANDSHAKE,
        summary="Sends an SMTP reply in clear text right behind its go-ahead, then honest TLS.",
        in_the_wild="An attacker on the way who can not break TLS puts replies ahead of it, for a "
        "client that keeps its buffer to believe (the NO STARTTLS attacks of 2021). Now and then "
        "it is only a proxy that answers twice.",
        remedy="Compare what the host sent with what arrived; where they differ, somebody on the "
        "way writes into the session.",
        recipe="good",
        # A setting that verifies finds the fault in its stead.
        advisories=(AdvisoryKind.PLAINTEXT_BEHIND_GO_AHEAD,),
    ),
    _scenario(
        "starttls-offered-again",
        Script(keyword_under_tls="STARTTLS"),
        stage=Stage.AFTER_EHLO,
        scenario_class=ScenarioClass.ADVISORY,
        summary="Offers STARTTLS once more inside the TLS session, and refuses it there with 503.",
        in_the_wild="Home-made servers and proxies that send one fixed list of extensions. "
        "RFC 3207 section 4.2 forbids it; a client that believes the offer tries TLS inside TLS.",
        remedy="Take STARTTLS out of the EHLO reply once TLS stands. No common tool reports it; "
        "this relay does.",
        recipe="good",
        advisories=(AdvisoryKind.STARTTLS_OFFERED_UNDER_TLS,),
    ),
)

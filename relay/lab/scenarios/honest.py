"""Receivers with nothing wrong, each in a shape that a careless client stumbles over."""

from __future__ import annotations

from typing import Final

from relay.core.scenarios import Family, ReachedBy, Scenario, ScenarioClass
from relay.core.settings import TlsMode, TlsVersion
from relay.lab.scripts import ClientCertificate, LabScenario, Script, ServeTls


def _scenario(
    name: str,
    *,
    summary: str,
    in_the_wild: str,
    remedy: str = "Nothing to do.",
    recipe: str = "good",
    handshake: ServeTls | None = None,
    mode: TlsMode = TlsMode.STARTTLS,
    reached_by: ReachedBy = ReachedBy.NAME,
) -> LabScenario:
    return LabScenario(
        card=Scenario(
            name=name,
            family=Family.HONEST,
            scenario_class=ScenarioClass.HONEST,
            summary=summary,
            in_the_wild=in_the_wild,
            stage=None,
            faults=(),
            recipe=recipe,
            remedy=remedy,
            mode=mode,
            reached_by=reached_by,
        ),
        script=Script() if handshake is None else Script(handshake=handshake),
    )


GOOD: Final = _scenario(
    "good",
    summary="Offers STARTTLS and shows a valid certificate, complete with its intermediate.",
    in_the_wild="Every well-kept mail host. Try it first: if this one bounces, it is the "
    "policy or the trust in the lab's root that needs a look, not the receiver.",
)

CAPTURE: Final = _scenario(
    "capture",
    summary="Takes the mail of every domain that no route names, with honest TLS.",
    in_the_wild="Stands in for the rest of the world, so that no test mail leaves the machine.",
)
"""The built-in receiver behind `capture`; reached by routes, not listed as a scenario."""

SCENARIOS: Final = (
    GOOD,
    _scenario(
        "tls12",
        summary="Speaks TLS 1.2 and nothing newer; its certificate is good.",
        in_the_wild="Most mail hosts that were set up before 2020. TLS 1.2 is still in order; a "
        "policy with `minimum_tls: 1.3` is what refuses it.",
        remedy="Nothing to do; TLS 1.3 comes with the next update of the TLS library.",
        handshake=ServeTls(maximum=TlsVersion.TLS1_2),
    ),
    _scenario(
        "tls13",
        summary="Speaks TLS 1.3 and nothing older; its certificate is good.",
        in_the_wild="Hosts under a strict rule of their own. A sender whose TLS library is from "
        "before 2018 can't talk to them and sees a protocol_version alert.",
        remedy="Nothing to do; allowing TLS 1.2 as well lets older senders in.",
        handshake=ServeTls(minimum=TlsVersion.TLS1_3),
    ),
    _scenario(
        "ecdsa",
        summary="Shows a good certificate with a key on the elliptic curve P-384.",
        in_the_wild="What certificate tools create by default today. Very old senders know RSA "
        "alone; some hosts therefore have one certificate of each kind.",
        recipe="ecdsa",
    ),
    _scenario(
        "rsa",
        summary="Shows a good certificate with an RSA key of 2048 bits.",
        in_the_wild="The kind of key that most mail hosts still have.",
        recipe="rsa",
    ),
    _scenario(
        "wildcard",
        summary="Shows a good certificate whose only name is a wildcard for its whole domain.",
        in_the_wild="Providers with many mail hosts and one certificate. The wildcard stands for "
        "exactly one label (RFC 9525 section 6.3), and here one is all it takes.",
        recipe="wildcard",
    ),
    _scenario(
        "implicit-tls",
        summary="Starts TLS with the first octet, without STARTTLS; its certificate is good.",
        in_the_wild="Port 465 of submission servers and of smart hosts (RFC 8314 section 3.3). "
        "There is no clear text on such a port, so mail is encrypted even under Off.",
        mode=TlsMode.IMPLICIT,
    ),
    _scenario(
        "wants-client-certificate",
        summary="Asks the client for a certificate, and takes the mail without one as well.",
        in_the_wild="Hosts that let known partners in by certificate: Postfix with "
        "`smtpd_tls_ask_ccert`. A client that has none sends an empty list and goes on.",
        handshake=ServeTls(client_certificate=ClientCertificate.WANTED),
    ),
    _scenario(
        "long-chain",
        summary="Shows a good certificate with six intermediates between it and the root.",
        in_the_wild="Authorities of states and large companies, level below level. Clients "
        "count: Postfix follows nine levels unless told otherwise, other software fewer.",
        remedy="Nothing to do; a shorter chain is quicker and meets fewer limits.",
        recipe="long-chain",
    ),
    _scenario(
        "ip-address-name",
        summary="Has no name, is reached by its address, and its certificate bears the address.",
        in_the_wild="Relays inside a company or a cluster, configured by address. Rare: public "
        "authorities hardly ever issue for addresses, private ones do.",
        recipe="ip-address-name",
        reached_by=ReachedBy.ADDRESS,
    ),
    _scenario(
        "thousand-names",
        summary="Shows a good certificate that bears a thousand names, some 20 KiB of them.",
        in_the_wild="Providers that put all their customers' domains into one certificate. The "
        "handshake takes several packets, and small buffers overflow.",
        remedy="Nothing to do; fewer names to a certificate make quicker handshakes.",
        recipe="thousand-names",
    ),
)

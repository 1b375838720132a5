"""Receivers with which no TLS handshake succeeds, or only with a client that does its part."""

from __future__ import annotations

from typing import Final

from relay.core.faults import FaultKind
from relay.core.outcomes import Stage
from relay.core.scenarios import Family, Scenario, ScenarioClass
from relay.core.settings import TlsVersion
from relay.lab.scripts import (
    AfterClientHello,
    ClientCertificate,
    Ending,
    HandshakeScript,
    HangUp,
    LabScenario,
    LegacyCipher,
    Raw,
    Script,
    ServeLegacyTls,
    ServerName,
    ServeTls,
    SigningKey,
    Silence,
)

_INTERNAL_ERROR: Final = bytes((21, 3, 3, 0, 2, 2, 80))
"""A TLS record: the fatal alert internal_error (RFC 8446 section 6)."""


def _scenario(
    name: str,
    handshake: HandshakeScript,
    *faults: FaultKind,
    summary: str,
    in_the_wild: str,
    remedy: str,
    recipe: str | None = "good",
    scenario_class: ScenarioClass = ScenarioClass.FAULT,
) -> LabScenario:
    return LabScenario(
        card=Scenario(
            name=name,
            family=Family.HANDSHAKE,
            scenario_class=scenario_class,
            summary=summary,
            in_the_wild=in_the_wild,
            stage=Stage.HANDSHAKE,
            faults=faults,
            recipe=recipe,
            remedy=remedy,
        ),
        script=Script(handshake=handshake),
    )


_VERSIONS: Final = (
    _scenario(
        "tls10-only",
        ServeTls(minimum=TlsVersion.TLS1_0, maximum=TlsVersion.TLS1_0),
        FaultKind.HANDSHAKE_PROTOCOL_VERSION,
        summary="Speaks TLS 1.0 at most and answers anything newer with a protocol_version alert.",
        in_the_wild="Windows Server 2008 and Exchange 2010, OpenSSL 0.9.8, and devices whose "
        "firmware was finished before 2012.",
        remedy="Update the operating system; where that is impossible, put a current mail gateway "
        "in front of the host.",
    ),
    _scenario(
        "tls11-only",
        ServeTls(minimum=TlsVersion.TLS1_1, maximum=TlsVersion.TLS1_1),
        FaultKind.HANDSHAKE_PROTOCOL_VERSION,
        summary="Speaks TLS 1.1 at most and answers anything newer with a protocol_version alert.",
        in_the_wild="Mail servers and appliances on operating systems that get no updates any "
        "more. TLS 1.0 and 1.1 are deprecated since 2021 (RFC 8996).",
        remedy="Enable TLS 1.2 and 1.3 on the host; where its software can't, put a current mail "
        "gateway in front of it.",
    ),
)

_CIPHERS: Final = (
    _scenario(
        "no-common-cipher",
        ServeTls(maximum=TlsVersion.TLS1_2, ciphers="PSK"),
        FaultKind.HANDSHAKE_NO_SHARED_CIPHER,
        summary="Speaks TLS 1.2 with cipher suites only that no mail client offers.",
        in_the_wild="A cipher list copied from a hardening guide on one side, and one that was "
        "written ten years ago on the other. Here the suites want a key that both sides know.",
        remedy="Use the TLS library's default list, or one of the published ones for mail servers; "
        "mail needs a wider one than a website.",
    ),
    _scenario(
        "null-cipher",
        ServeTls(maximum=TlsVersion.TLS1_2, ciphers="ECDHE-ECDSA-NULL-SHA"),
        FaultKind.HANDSHAKE_NO_SHARED_CIPHER,
        summary="Knows a cipher suite only that authenticates and does not encrypt.",
        in_the_wild="Debugging aids that stayed switched on, and cipher lists that begin with ALL. "
        "A client that takes part believes itself encrypted and is not.",
        remedy="Take the eNULL suites out of the host's cipher list.",
    ),
    _scenario(
        "rc4-only",
        ServeLegacyTls(cipher=LegacyCipher.RC4),
        FaultKind.HANDSHAKE_NO_SHARED_CIPHER,
        summary="Knows the stream cipher RC4 only.",
        in_the_wild="Windows Server 2003, and hosts that were told to prefer RC4 in 2011, against "
        "an attack on the others. RFC 7465 forbids it since 2015.",
        remedy="Enable AES-GCM suites on the host; where its software can't, put a current mail "
        "gateway in front of it.",
    ),
    _scenario(
        "3des-only",
        ServeLegacyTls(cipher=LegacyCipher.TRIPLE_DES),
        FaultKind.HANDSHAKE_NO_SHARED_CIPHER,
        summary="Knows the block cipher Triple DES only.",
        in_the_wild="Exchange 2007 on Windows Server 2008 and older mainframe gateways, for which "
        "Triple DES was the last strong suite.",
        remedy="Enable AES-GCM suites on the host; where its software can't, put a current mail "
        "gateway in front of it.",
    ),
    _scenario(
        "weak-dh",
        ServeTls(maximum=TlsVersion.TLS1_2, ciphers="DHE-RSA-AES256-GCM-SHA384", dh_bits=1024),
        FaultKind.HANDSHAKE_WEAK_PARAMETERS,
        summary="Exchanges keys by Diffie-Hellman in a well-known group of 1024 bits.",
        in_the_wild="Postfix and Exim before 2015 and appliances that still ship their group. "
        "Clients built for security level 2 refuse it with dh key too small; others go on.",
        remedy="Use a group of 2048 bits or more (RFC 7919), or elliptic curves.",
        recipe="rsa",
    ),
)

_BREAKING_OFF: Final = (
    _scenario(
        "handshake-silence",
        AfterClientHello(answer=Silence()),
        FaultKind.HANDSHAKE_TIMEOUT,
        summary="Gives the go-ahead for TLS, reads the ClientHello and says nothing more.",
        in_the_wild="Firewalls that swallow large packets or a ClientHello with key shares they do "
        "not know, and hosts that are out of threads.",
        remedy="Compare packet captures on both sides; a ClientHello that never arrives is the "
        "network's fault.",
        recipe=None,
    ),
    _scenario(
        "handshake-slow",
        ServeTls(seconds_per_octet=0.5),
        FaultKind.HANDSHAKE_TIMEOUT,
        summary="Sends its part of the handshake one octet at a time, two in a second.",
        in_the_wild="Links that lose most packets, and attacks that tie up connections. A time-out "
        "for each read never fires here; only one for the whole handshake does.",
        remedy="Look for packet loss and wrong packet sizes (MTU) between both hosts.",
    ),
    _scenario(
        "handshake-drop",
        AfterClientHello(answer=HangUp()),
        FaultKind.HANDSHAKE_CLOSED,
        summary="Gives the go-ahead for TLS, reads the ClientHello and closes the connection.",
        in_the_wild="Firewalls and intrusion prevention that cut what they can not read, load "
        "balancers without a healthy host behind them, and TLS processes that crash.",
        remedy="Look for a crash in the host's log; if it never saw the handshake, look at the "
        "firewall or load balancer in front of it.",
        recipe=None,
    ),
    _scenario(
        "handshake-reset",
        AfterClientHello(answer=HangUp(ending=Ending.RESET)),
        FaultKind.HANDSHAKE_CLOSED,
        summary="Gives the go-ahead for TLS, reads the ClientHello and resets the connection.",
        in_the_wild="National and corporate firewalls that forge a reset when they see a name or a "
        "version that they do not want.",
        remedy="See from the packets' time to live who sent the reset; the host's own log has no "
        "trace of it.",
        recipe=None,
    ),
    _scenario(
        "alert-internal-error",
        AfterClientHello(answer=Raw(octets=_INTERNAL_ERROR)),
        FaultKind.HANDSHAKE_ALERT,
        summary="Gives the go-ahead for TLS and answers the ClientHello with an internal_error.",
        in_the_wild="Hosts without a certificate for this name, with a key that does not belong "
        "to their certificate, or with a key module that is out of reach.",
        remedy="Read the host's log at this time; a restart of its TLS service may be enough.",
        recipe=None,
    ),
)

_DEMANDS: Final = (
    _scenario(
        "requires-client-certificate",
        ServeTls(client_certificate=ClientCertificate.REQUIRED),
        FaultKind.HANDSHAKE_ALERT,
        summary="Demands a certificate of the client, and ends the session without one.",
        in_the_wild="Hosts of closed groups, banks above all, and submission servers opened to the "
        "world by mistake. In TLS 1.3 the client learns of it only with its next read.",
        remedy="Ask the client for a certificate without demanding one; where it is meant, every "
        "partner needs one.",
    ),
    _scenario(
        "sni-required",
        ServeTls(server_name=ServerName.REQUIRED),
        scenario_class=ScenarioClass.ADVISORY,
        summary="Ends the handshake with unrecognized_name unless the client sends the name.",
        in_the_wild="Cloud front ends with many customers on one address. A relay that connects to "
        "an address, or whose TLS library is old, sends no name; this relay sends it, and so can't "
        "see that the host demands it.",
        remedy="Configure a default certificate for clients that send no name, as RFC 6066 section "
        "3 suggests.",
    ),
    _scenario(
        "sni-different-certificate",
        ServeTls(named_recipe="wrong-host"),
        FaultKind.CERTIFICATE_NAME_MISMATCH,
        summary="Shows a good certificate, but another host's to a client that sends the name.",
        in_the_wild="Web front ends that also carry the mail port and know the name as a website. "
        "A check without the name finds nothing: compare openssl s_client with -noservername.",
        remedy="Give the mail service's certificate to the entry for this name as well.",
    ),
    _scenario(
        "ten-thousand-names",
        ServeTls(),
        FaultKind.HANDSHAKE_FAILED,
        summary="Shows a certificate with ten thousand names, larger than clients take.",
        in_the_wild="Providers that add every customer's domain to one certificate until it is "
        "over a client's limit: 100 KiB in OpenSSL. It is refused before anybody looks at it.",
        remedy="Split the names over several certificates, or have customers point their MX "
        "records at the provider's own name.",
        recipe="ten-thousand-names",
    ),
)

_IMPOSTORS: Final = (
    _scenario(
        "goto-fail",
        ServeLegacyTls(cipher=LegacyCipher.AES_128_GCM, signing_key=SigningKey.ANOTHER),
        FaultKind.HANDSHAKE_BAD_SIGNATURE,
        summary="Shows a good certificate whose key it does not have; another one signs for it.",
        in_the_wild="An impostor with a copy of the public certificate. Clients with Apple's bug "
        "of 2014 (CVE-2014-1266, a doubled goto fail) fell for it: chain, dates and name are "
        "right.",
        remedy="Nothing on the host's side: find out who answers in its place. A client that "
        "accepts this one must be updated at once.",
    ),
)

SCENARIOS: Final = (*_VERSIONS, *_CIPHERS, *_BREAKING_OFF, *_DEMANDS, *_IMPOSTORS)

"""What a scripted receiver does: data, read by `relay.lab.receiver`.

A script says only where its receiver differs from an honest one, so that each scenario is one
declaration: the card for people, the script for the receiver.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final, Literal

from relay.core.replies import Reply
from relay.core.scenarios import Scenario
from relay.core.settings import TlsVersion

GO_AHEAD: Final = Reply(code=220, text="2.0.0 Ready to start TLS")
RECIPIENT_OK: Final = Reply(code=250, text="2.1.5 Recipient ok")


@unique
class ClientCertificate(Enum):
    """Whether the receiver asks the client for a certificate (RFC 8446 section 4.3.2)."""

    NOT_ASKED = "not-asked"
    WANTED = "wanted"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeTls:
    """Complete the handshake, within these protocol versions."""

    kind: Literal["serve-tls"] = "serve-tls"
    minimum: TlsVersion = TlsVersion.TLS1_2
    maximum: TlsVersion = TlsVersion.TLS1_3
    client_certificate: ClientCertificate = ClientCertificate.NOT_ASKED


@dataclass(frozen=True, slots=True, kw_only=True)
class DropHandshake:
    """Read the client's ClientHello, then close the connection without a word."""

    kind: Literal["drop-handshake"] = "drop-handshake"


HandshakeScript = ServeTls | DropHandshake


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A receiver's behaviour; the defaults are those of an honest one.

    `starttls_keyword` is what stands in the EHLO reply in STARTTLS's place, None for nothing;
    `starttls_reply` is the answer to the command, offered or not, and TLS starts after a positive
    one. `recipient_reply` answers every RCPT.
    """

    starttls_keyword: str | None = "STARTTLS"
    starttls_reply: Reply = GO_AHEAD
    handshake: HandshakeScript = ServeTls()
    recipient_reply: Reply = RECIPIENT_OK


@dataclass(frozen=True, slots=True, kw_only=True)
class LabScenario:
    """One scenario, whole: the card for people and the script for its receiver.

    `rotation` names the recipes whose certificates are shown in turn, one for each handshake and
    then over again; without it there is the card's recipe alone.
    """

    card: Scenario
    script: Script = Script()
    rotation: tuple[str, ...] = ()

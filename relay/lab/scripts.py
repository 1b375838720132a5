"""What a scripted receiver does: data, read by `relay.lab.receiver`.

A script says only where its receiver differs from an honest one, so that each scenario is one
declaration: the card for people, the script for the receiver.

    greeting ── EHLO ── STARTTLS ── handshake ── EHLO ── AUTH ── MAIL ── RCPT ── DATA ── content
        each of these has an answer: a reply, octets that are none, silence, or the end
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final, Literal

from relay.core.replies import Reply
from relay.core.scenarios import Scenario
from relay.core.settings import TlsVersion


@unique
class Ending(Enum):
    """How a receiver ends a connection."""

    CLOSE = "close"
    RESET = "reset"
    """With a TCP reset, so that the client's next read fails."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastReply:
    """Send a reply, then end the connection without waiting for QUIT."""

    kind: Literal["last-reply"] = "last-reply"
    reply: Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """Send these octets as they are; they are no reply, or none that RFC 5321 allows."""

    kind: Literal["raw"] = "raw"
    octets: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Answer nothing, now or later, and wait for the client to leave."""

    kind: Literal["silence"] = "silence"


@dataclass(frozen=True, slots=True, kw_only=True)
class HangUp:
    """End the connection instead of answering."""

    kind: Literal["hang-up"] = "hang-up"
    ending: Ending = Ending.CLOSE


Answer = Reply | LastReply | Raw | Silence | HangUp


@unique
class ClientCertificate(Enum):
    """Whether a receiver asks for a client's certificate, by the issuer of its own."""

    NOT_ASKED = "not-asked"
    WANTED = "wanted"
    REQUIRED = "required"


@unique
class ServerName(Enum):
    """What a receiver makes of the server name in a ClientHello (RFC 6066 section 3)."""

    IGNORED = "ignored"
    REQUIRED = "required"
    """Without the receiver's own name, the handshake ends with the alert unrecognized_name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeTls:
    """Complete the handshake, within these protocol versions.

    `ciphers` is OpenSSL's list of suites for TLS 1.2 and older, at security level 0. `dh_bits` is
    the length of the group of a finite-field Diffie-Hellman exchange, None for OpenSSL's own
    choice. `named_recipe` is the recipe of the certificate that a client with the receiver's name
    in its ClientHello sees, None for the same one. `seconds_per_octet` makes the receiver send its
    part of the handshake octet by octet.
    """

    kind: Literal["serve-tls"] = "serve-tls"
    minimum: TlsVersion = TlsVersion.TLS1_2
    maximum: TlsVersion = TlsVersion.TLS1_3
    ciphers: str | None = None
    dh_bits: Literal[1024] | None = None
    client_certificate: ClientCertificate = ClientCertificate.NOT_ASKED
    server_name: ServerName = ServerName.IGNORED
    named_recipe: str | None = None
    seconds_per_octet: float = 0.0


@unique
class LegacyCipher(Enum):
    """A symmetric cipher, by tlslite-ng's name."""

    RC4 = "rc4"
    TRIPLE_DES = "3des"
    AES_128_GCM = "aes128gcm"


@unique
class SigningKey(Enum):
    """Which key signs the key exchange."""

    OF_CERTIFICATE = "of-certificate"
    ANOTHER = "another"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeLegacyTls:
    """Complete a handshake in TLS 1.2 that OpenSSL 3 can't or won't take part in as a server."""

    kind: Literal["serve-legacy-tls"] = "serve-legacy-tls"
    cipher: LegacyCipher
    signing_key: SigningKey = SigningKey.OF_CERTIFICATE


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterClientHello:
    """Read the client's ClientHello, then give this answer in place of a handshake."""

    kind: Literal["after-client-hello"] = "after-client-hello"
    answer: Answer


HandshakeScript = ServeTls | ServeLegacyTls | AfterClientHello | HangUp


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstTry:
    """Give this answer to the first try of each client, reverse path and recipient (RFC 6647)."""

    kind: Literal["first-try"] = "first-try"
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPartsFrom:
    """Give this answer to recipients whose local part begins with `prefix`, in any case."""

    kind: Literal["local-parts-from"] = "local-parts-from"
    prefix: str
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class AsAddressed:
    """Give the answer that the recipient's address asks for: `bounce+550+5.2.1@...`."""

    kind: Literal["as-addressed"] = "as-addressed"


RecipientScript = Answer | FirstTry | LocalPartsFrom | AsAddressed

MAX_MESSAGE: Final = 26_214_400
"""Octets of a message; the SIZE that an honest receiver announces."""
EXTENSIONS: Final = (
    *("PIPELINING", "8BITMIME", "SMTPUTF8", f"SIZE {MAX_MESSAGE}", "DSN"),
    *("ENHANCEDSTATUSCODES", "AUTH PLAIN LOGIN"),
)
"""The EHLO keywords of an honest receiver, but for STARTTLS."""
GO_AHEAD: Final = Reply(code=220, text="2.0.0 Ready to start TLS")
AUTH_OK: Final = Reply(code=235, text="2.7.0 Authentication successful")
SENDER_OK: Final = Reply(code=250, text="2.1.0 Sender ok")
RECIPIENT_OK: Final = Reply(code=250, text="2.1.5 Recipient ok")
START_INPUT: Final = Reply(code=354, text="End data with <CR><LF>.<CR><LF>")
MESSAGE_OK: Final = Reply(code=250, text="2.0.0 Ok: message kept")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A receiver's behaviour; the defaults are those of an honest one.

    `greeting` and `ehlo` are None for a 220 and a 250 with the host's name; HELO is always
    answered honestly. `starttls_keyword` is what stands in the EHLO reply in STARTTLS's place,
    None for nothing, and `keyword_under_tls` the same once TLS stands. `starttls` is the answer to
    the command, offered or not; TLS starts after a positive one, and `injected` are octets in
    clear text right behind it. `recipient` answers every RCPT, `confirmation` the end of the
    content; a message is kept when that is positive.

    `needs_auth` refuses MAIL before AUTH. `seconds_per_reply` pass before each reply, and each one
    but those to EHLO and AUTH has `lines_per_reply` lines.
    """

    greeting: Answer | None = None
    ehlo: Answer | None = None
    extensions: tuple[str, ...] = EXTENSIONS
    starttls_keyword: str | None = "STARTTLS"
    keyword_under_tls: str | None = None
    starttls: Answer = GO_AHEAD
    injected: bytes = b""
    handshake: HandshakeScript = ServeTls()
    auth: Answer = AUTH_OK
    needs_auth: bool = False
    mail: Answer = SENDER_OK
    recipient: RecipientScript = RECIPIENT_OK
    data: Answer = START_INPUT
    confirmation: Answer = MESSAGE_OK
    seconds_per_reply: float = 0.0
    lines_per_reply: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LabScenario:
    """One scenario, whole: the card for people and the script for its receiver.

    `rotation` names the recipes whose certificates are shown in turn, one for each handshake and
    then over again; without it there is the card's recipe alone.
    """

    card: Scenario
    script: Script = Script()
    rotation: tuple[str, ...] = ()

    @property
    def recipes(self) -> tuple[str, ...]:
        """Every recipe whose certificate some client gets to see, each once."""
        in_turn = self.rotation or ((self.card.recipe,) if self.card.recipe else ())
        match self.script.handshake:
            case ServeTls(named_recipe=str() as named):
                return tuple(dict.fromkeys((*in_turn, named)))
            case _:
                return tuple(dict.fromkeys(in_turn))


def without(*keywords: str) -> tuple[str, ...]:
    """Return the extensions of an honest receiver but for these keywords."""
    return tuple(e for e in EXTENSIONS if e.partition(" ")[0] not in keywords)

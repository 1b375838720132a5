"""What each claim promises for each receiver: typed by hand, never generated.

Two tables: which row a scenario belongs to, and what each row means under each setting. They are
for any sender, so they ask less than `relay.audit.expectations`, which is about this relay alone:
what honest senders may settle either way is not held against them. Nothing here is computed from
`judge`. Source: Salesforce Help "Set Up TLS", Object Reference `EmailRelay.TlsSetting`, Knowledge
000388924; RFC 8996 and RFC 7465 for what no longer counts as TLS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from types import MappingProxyType
from typing import Final, assert_never

from relay.core.settings import TlsSetting

KNOWN_GOOD: Final = "good"
"""The scenario whose message must arrive before any other means anything."""

_PROMISES: Final = """
row             | off  | preferred | preferred-verify | required | required-verify
honest          | any  | tls       | tls              | tls      | tls
implicit-tls    | tls? | tls       | tls              | tls      | tls
no-tls          | any  | any       | any              | refused  | refused
no-handshake    | any? | any?      | any?             | refused  | refused
obsolete-tls    | any? | any?      | any?             | refused  | refused
unusual-tls     | any? | any?      | any?             | tls?     | tls?
injected        | any? | any?      | any?             | tls?     | tls?
bad-certificate | any  | tls       | refused          | tls      | refused
disputed        | any  | tls       | tls?             | tls      | tls?
own-trouble     | any? | tls?      | tls?             | tls?     | tls?
"""
"""`any`: delivered whole, however. `tls`: delivered whole, nothing of it in clear text. `refused`:
not one octet of envelope, message or credentials. With `?`, not delivering is no fault."""

_SCENARIOS: Final = """
good                        | honest
tls12                       | honest
tls13                       | honest
ecdsa                       | honest
rsa                         | honest
wildcard                    | honest
wants-client-certificate    | honest
long-chain                  | honest
ip-address-name             | disputed
thousand-names              | honest
implicit-tls                | implicit-tls
no-starttls                 | no-tls
starttls-stripped           | no-tls
ehlo-refused                | no-handshake
starttls-refused            | no-handshake
starttls-rejected           | no-handshake
starttls-421                | no-handshake
starttls-close              | no-handshake
starttls-silence            | no-handshake
starttls-garbage            | no-handshake
starttls-then-close         | no-handshake
starttls-plaintext          | no-handshake
starttls-injection          | injected
starttls-offered-again      | honest
tls10-only                  | obsolete-tls
tls11-only                  | obsolete-tls
no-common-cipher            | unusual-tls
null-cipher                 | obsolete-tls
rc4-only                    | obsolete-tls
3des-only                   | obsolete-tls
weak-dh                     | unusual-tls
handshake-silence           | no-handshake
handshake-slow              | unusual-tls
handshake-drop              | no-handshake
handshake-reset             | no-handshake
alert-internal-error        | no-handshake
requires-client-certificate | unusual-tls
sni-required                | unusual-tls
sni-different-certificate   | disputed
ten-thousand-names          | unusual-tls
goto-fail                   | obsolete-tls
expired                     | bad-certificate
not-yet-valid               | bad-certificate
self-signed                 | bad-certificate
untrusted-root              | bad-certificate
missing-intermediate        | bad-certificate
wrong-host                  | bad-certificate
expired-intermediate        | bad-certificate
expired-and-wrong-host      | bad-certificate
untrusted-root-sent         | bad-certificate
wildcard-too-deep           | bad-certificate
wildcard-too-wide           | bad-certificate
common-name-only            | disputed
no-names                    | bad-certificate
domain-not-host             | disputed
ip-address-host             | disputed
rsa-1024                    | disputed
sha1-signature              | disputed
wrong-purpose               | bad-certificate
not-a-ca-issuer             | bad-certificate
name-constraint             | bad-certificate
path-length                 | bad-certificate
unknown-critical-extension  | bad-certificate
expires-soon                | honest
rotates                     | disputed
wrong-order-chain           | disputed
revoked                     | disputed
must-staple                 | disputed
ca-as-leaf                  | disputed
greeting-554                | own-trouble
greeting-421                | own-trouble
greeting-silence            | own-trouble
blocked                     | own-trouble
rate-limit                  | own-trouble
auth-required               | own-trouble
auth-fails                  | own-trouble
user-unknown                | own-trouble
no-such-domain-here         | own-trouble
mailbox-busy                | own-trouble
mailbox-full                | own-trouble
greylist                    | own-trouble
some-recipients             | honest
reply                       | honest
size-limit                  | own-trouble
too-big                     | own-trouble
data-451                    | own-trouble
data-drop                   | own-trouble
data-silence                | own-trouble
accept-then-drop            | own-trouble
slow                        | own-trouble
multiline-replies           | honest
malformed-reply             | own-trouble
overlong-reply              | own-trouble
no-pipelining               | honest
no-8bitmime                 | honest
no-smtputf8                 | honest
no-mx                       | honest
mx-many                     | honest
"""


@unique
class MayShow(Enum):
    """What a sender may show to a receiver of its credentials, the envelope and the message."""

    NOTHING = "nothing"
    UNDER_TLS = "under-tls"
    ANYTHING = "anything"


@unique
class Delivery(Enum):
    """Whether the message must arrive."""

    PROMISED = "promised"
    FREE = "free"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What a claim promises for one receiver."""

    may_show: MayShow
    delivery: Delivery

    def __str__(self) -> str:
        match self.may_show:
            case MayShow.NOTHING:
                return "refused"
            case MayShow.UNDER_TLS:
                how = "TLS"
            case MayShow.ANYTHING:
                how = "delivered"
            case _:
                assert_never(self.may_show)
        return f"{how} or refused" if self.delivery is Delivery.FREE else how


_WORDS: Final = {
    "any": Promise(may_show=MayShow.ANYTHING, delivery=Delivery.PROMISED),
    "any?": Promise(may_show=MayShow.ANYTHING, delivery=Delivery.FREE),
    "tls": Promise(may_show=MayShow.UNDER_TLS, delivery=Delivery.PROMISED),
    "tls?": Promise(may_show=MayShow.UNDER_TLS, delivery=Delivery.FREE),
    "refused": Promise(may_show=MayShow.NOTHING, delivery=Delivery.REFUSED),
}


def _rows(table: str) -> list[list[str]]:
    return [[c.strip() for c in line.split("|")] for line in table.strip().splitlines()]


def _build() -> Mapping[str, Mapping[TlsSetting, Promise]]:
    (_, *columns), *promises = _rows(_PROMISES)
    settings = [TlsSetting(column) for column in columns]
    by_row = {
        name: MappingProxyType(
            dict(zip(settings, (_WORDS[word] for word in words), strict=True)),
        )
        for name, *words in promises
    }
    return MappingProxyType({scenario: by_row[row] for scenario, row in _rows(_SCENARIOS)})


PROMISES: Final[Mapping[str, Mapping[TlsSetting, Promise]]] = _build()
"""By scenario with a receiver of its own, then by claim."""

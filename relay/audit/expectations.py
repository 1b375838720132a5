"""What must happen to each scenario under each setting: typed by hand, never generated.

Two tables: which row a scenario belongs to, and what each row means under each setting.
`relay demo` compares what the receivers stored with these; nothing here is computed from `judge`.
Source: Salesforce Help "Set Up TLS", Object Reference `EmailRelay.TlsSetting`, Knowledge 000388924
and 000206241 (codes and texts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from relay.core.settings import Protection, TlsSetting

_DECISIONS: Final = """
row             | off       | preferred | preferred-verify | required  | required-verify
honest          | clear     | encrypted | verified         | encrypted | verified
no-tls          | clear     | clear     | clear            | 451 4.7.6 | 451 4.7.6
tls-refused     | clear     | clear     | clear            | 451 4.7.5 | 451 4.7.5
handshake-fails | clear     | clear     | clear            | 451 4.7.5 | 451 4.7.5
implicit-tls    | encrypted | encrypted | verified         | encrypted | verified
bad-certificate | clear     | encrypted | 451 4.7.5        | encrypted | 451 4.7.5
injected        | clear     | encrypted | 451 4.7.5        | encrypted | 451 4.7.5
seen-by-few     | clear     | encrypted | verified         | encrypted | verified
unknown-user    | 550 5.1.1 | 550 5.1.1 | 550 5.1.1        | 550 5.1.1 | 550 5.1.1
busy-mailbox    | 450 4.2.1 | 450 4.2.1 | 450 4.2.1        | 450 4.2.1 | 450 4.2.1
no-service      | 554 5.3.2 | 554 5.3.2 | 554 5.3.2        | 554 5.3.2 | 554 5.3.2
too-busy        | 421 4.3.2 | 421 4.3.2 | 421 4.3.2        | 421 4.3.2 | 421 4.3.2
no-banner       | 451 4.4.2 | 451 4.4.2 | 451 4.4.2        | 451 4.4.2 | 451 4.4.2
policy-refusal  | 554 5.7.1 | 554 5.7.1 | 554 5.7.1        | 554 5.7.1 | 554 5.7.1
over-the-rate   | 421 4.7.0 | 421 4.7.0 | 421 4.7.0        | 421 4.7.0 | 421 4.7.0
needs-auth      | 530 5.7.0 | 530 5.7.0 | 530 5.7.0        | 530 5.7.0 | 530 5.7.0
relaying-denied | 550 5.7.1 | 550 5.7.1 | 550 5.7.1        | 550 5.7.1 | 550 5.7.1
full-mailbox    | 452 4.2.2 | 452 4.2.2 | 452 4.2.2        | 452 4.2.2 | 452 4.2.2
greylisted      | 450 4.7.1 | 450 4.7.1 | 450 4.7.1        | 450 4.7.1 | 450 4.7.1
over-size       | 552 5.3.4 | 552 5.3.4 | 552 5.3.4        | 552 5.3.4 | 552 5.3.4
fails-for-now   | 451 4.3.0 | 451 4.3.0 | 451 4.3.0        | 451 4.3.0 | 451 4.3.0
session-lost    | 451 4.4.2 | 451 4.4.2 | 451 4.4.2        | 451 4.4.2 | 451 4.4.2
no-confirmation | 450 4.4.1 | 450 4.4.1 | 450 4.4.1        | 450 4.4.1 | 450 4.4.1
no-proper-reply | 451 4.5.0 | 451 4.5.0 | 451 4.5.0        | 451 4.5.0 | 451 4.5.0
takes-no-mail   | 550 5.4.4 | 550 5.4.4 | 550 5.4.4        | 550 5.4.4 | 550 5.4.4
no-such-domain  | 454 4.4.4 | 454 4.4.4 | 454 4.4.4        | 454 4.4.4 | 454 4.4.4
lookup-fails    | 451 4.4.3 | 451 4.4.3 | 451 4.4.3        | 451 4.4.3 | 451 4.4.3
loops-back      | 554 5.4.6 | 554 5.4.6 | 554 5.4.6        | 554 5.4.6 | 554 5.4.6
"""

_SCENARIOS: Final = """
good                        | honest
tls12                       | honest
tls13                       | honest
ecdsa                       | honest
rsa                         | honest
wildcard                    | honest
wants-client-certificate    | honest
long-chain                  | honest
ip-address-name             | honest
thousand-names              | honest
implicit-tls                | implicit-tls
no-starttls                 | no-tls
starttls-stripped           | no-tls
ehlo-refused                | no-tls
starttls-refused            | tls-refused
starttls-rejected           | tls-refused
starttls-421                | tls-refused
starttls-close              | tls-refused
starttls-silence            | tls-refused
starttls-garbage            | tls-refused
starttls-then-close         | handshake-fails
starttls-plaintext          | handshake-fails
starttls-injection          | injected
starttls-offered-again      | honest
tls10-only                  | handshake-fails
tls11-only                  | handshake-fails
no-common-cipher            | handshake-fails
null-cipher                 | handshake-fails
rc4-only                    | handshake-fails
3des-only                   | handshake-fails
weak-dh                     | handshake-fails
handshake-silence           | handshake-fails
handshake-slow              | handshake-fails
handshake-drop              | handshake-fails
handshake-reset             | handshake-fails
alert-internal-error        | handshake-fails
requires-client-certificate | handshake-fails
sni-required                | honest
sni-different-certificate   | bad-certificate
ten-thousand-names          | handshake-fails
goto-fail                   | handshake-fails
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
common-name-only            | bad-certificate
no-names                    | bad-certificate
domain-not-host             | bad-certificate
ip-address-host             | bad-certificate
rsa-1024                    | bad-certificate
sha1-signature              | bad-certificate
wrong-purpose               | bad-certificate
not-a-ca-issuer             | bad-certificate
name-constraint             | bad-certificate
path-length                 | bad-certificate
unknown-critical-extension  | bad-certificate
expires-soon                | seen-by-few
rotates                     | seen-by-few
wrong-order-chain           | seen-by-few
revoked                     | seen-by-few
must-staple                 | seen-by-few
ca-as-leaf                  | seen-by-few
greeting-554                | no-service
greeting-421                | too-busy
greeting-silence            | no-banner
blocked                     | policy-refusal
rate-limit                  | over-the-rate
auth-required               | needs-auth
auth-fails                  | needs-auth
user-unknown                | unknown-user
no-such-domain-here         | relaying-denied
mailbox-busy                | busy-mailbox
mailbox-full                | full-mailbox
greylist                    | greylisted
some-recipients             | honest
reply                       | honest
size-limit                  | over-size
too-big                     | over-size
data-451                    | fails-for-now
data-drop                   | session-lost
data-silence                | no-confirmation
accept-then-drop            | honest
slow                        | honest
multiline-replies           | honest
malformed-reply             | no-proper-reply
overlong-reply              | no-proper-reply
no-pipelining               | honest
no-8bitmime                 | honest
no-smtputf8                 | honest
no-mx                       | honest
null-mx                     | takes-no-mail
nxdomain                    | no-such-domain
servfail                    | lookup-fails
dns-timeout                 | lookup-fails
mx-preference               | honest
mx-bad-then-good            | honest
mx-good-then-bad            | honest
mx-loop                     | loops-back
mx-many                     | honest
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Delivered with this protection, or refused with this code ('451 4.7.5'); never both."""

    protection: Protection | None
    code: str | None

    @property
    def delivered(self) -> bool:
        """Whether the receiver must have the message."""
        return self.protection is not None

    def __str__(self) -> str:
        return self.protection.value if self.protection else str(self.code)


def _expected(cell: str) -> Expected:
    protections = {protection.value: protection for protection in Protection}
    if cell in protections:
        return Expected(protection=protections[cell], code=None)
    return Expected(protection=None, code=cell)


def _rows(table: str) -> list[list[str]]:
    return [[c.strip() for c in line.split("|")] for line in table.strip().splitlines()]


def _build() -> Mapping[str, Mapping[TlsSetting, Expected]]:
    (_, *columns), *decisions = _rows(_DECISIONS)
    settings = [TlsSetting(column) for column in columns]
    by_row = {
        name: MappingProxyType(dict(zip(settings, map(_expected, cells), strict=True)))
        for name, *cells in decisions
    }
    return MappingProxyType({scenario: by_row[row] for scenario, row in _rows(_SCENARIOS)})


EXPECTATIONS: Final[Mapping[str, Mapping[TlsSetting, Expected]]] = _build()
"""By scenario, then by setting."""

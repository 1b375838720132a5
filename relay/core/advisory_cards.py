"""The card of each advisory: what it means, and what to do about it. Data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from relay.core.advisories import Advisory, AdvisoryKind


@dataclass(frozen=True, slots=True)
class AdvisoryCard:
    """What an advisory means (`meaning`) and who should do what (`remedy`), each a sentence."""

    meaning: str
    remedy: str


_K = AdvisoryKind

ADVISORIES: Final[Mapping[AdvisoryKind, AdvisoryCard]] = MappingProxyType(
    {
        _K.PLAINTEXT_BEHIND_GO_AHEAD: AdvisoryCard(
            "Clear text came right behind the go-ahead for TLS and was discarded; a setting that "
            "verifies refuses the session.",
            "Look for a proxy on the way that sends ahead of its turn, and treat it as an attack "
            "until somebody can explain it.",
        ),
        _K.STARTTLS_OFFERED_UNDER_TLS: AdvisoryCard(
            "The host offers STARTTLS inside a TLS session, which RFC 3207 section 4.2 forbids.",
            "The host must leave STARTTLS out of its EHLO reply once TLS stands; a client that "
            "believes the offer fails.",
        ),
        _K.CHAIN_OUT_OF_ORDER: AdvisoryCard(
            "The host sends its certificates in an order in which not each one issued the one "
            "before it; clients that do not sort them refuse the chain.",
            "The host's file must have its own certificate first, then that one's issuer, and so "
            "on; the root is left out.",
        ),
        _K.CERTIFICATE_EXPIRES_SOON: AdvisoryCard(
            "A certificate of the host's chain runs out so soon that its renewal is overdue.",
            "The host's administrator should find out why it was not renewed, or why the mail "
            "server still has the old one loaded.",
        ),
        _K.MUST_STAPLE_NOT_CHECKED: AdvisoryCard(
            "The host's certificate demands a stapled OCSP response (RFC 7633). Whether the host "
            "sends one can't be seen: this relay does not ask for it, but some senders refuse a "
            "host without.",
            "The host must staple a response, or have its certificate issued anew without the "
            "demand.",
        ),
        _K.AUTHORITY_AS_HOST: AdvisoryCard(
            "The host's own certificate is that of an authority, which could issue certificates "
            "for anybody; some clients refuse it.",
            "The host needs a certificate of its own; the authority's key belongs on no mail host.",
        ),
        _K.NAME_IN_COMMON_NAME_ONLY: AdvisoryCard(
            "The host's name stands in the certificate's common name alone, where RFC 9525 section "
            "2 forbids clients to look; this policy looks there all the same.",
            "The certificate must be issued anew with the name as a subject alternative name.",
        ),
    }
)


def advisory_card(advisory: Advisory) -> AdvisoryCard:
    """Return the card of an advisory."""
    return ADVISORIES[advisory.kind]

"""How this relay behaves as a Salesforce org does, where Salesforce leaves a choice.

Each switch is one question on which Salesforce's documents offer a setting, disagree, or are
silent; its first member is the default. `docs/salesforce.md` names the source of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from relay.core.addresses import Domain


@unique
class OnTlsFailure(Enum):
    """What follows when TLS fails under a setting that requires it."""

    RETRY = "retry"
    """Tried again until it expires (Knowledge 000206241: events T, then P)."""
    BOUNCE_AT_ONCE = "bounce-at-once"
    """Bounces back to the originator (Help "Set Up TLS")."""


@unique
class RefusedStarttls(Enum):
    """What is reported when a host answers STARTTLS with a refusal."""

    NO_GO_AHEAD = "no-go-ahead"
    """The relay's own `451 4.7.5 no tls go-ahead`."""
    HOST_REPLY = "host-reply"
    """The host's own words."""


@unique
class EmailRelayTls(Enum):
    """Which TLS setting holds for what goes through an email relay."""

    RELAY = "relay"
    """The relay's own setting."""
    RECIPIENT_DOMAIN = "recipient-domain"
    """That of the Deliverability page, as for any recipient domain."""


@unique
class InvalidDomains(Enum):
    """What becomes of mail to a domain below `.invalid` (RFC 6761 section 6.4)."""

    TRY = "try"
    """It is looked up like any other, and bounces."""
    DISCARD = "discard"
    """It is dropped, and reads as sent (Knowledge 000393553)."""


@unique
class FlagContactOn(Enum):
    """Which bounces set `EmailBouncedReason` and `EmailBouncedDate` on a contact."""

    ANY = "any"
    HARD = "hard"
    """5xx alone."""
    USER_UNKNOWN = "user-unknown"
    """5xx of the recipient's own host that says there is no such user (Knowledge 000325367)."""


@unique
class MatchingRecords(Enum):
    """Which contacts and leads a bounce is shown on (`enableSetMatchingEmailsOnBounce`)."""

    ALL = "all"
    """Every record with the address."""
    FIRST = "first"
    """The record that was imported first."""


@unique
class Suppression(Enum):
    """Whether mail to an address is refused once its contact was flagged."""

    NO = "no"
    FLAGGED = "flagged"
    """Until the address is confirmed or changed (Apex EMAIL_ADDRESS_BOUNCED)."""


@unique
class BounceRule(Enum):
    """Whose rule decides when bounces count against an address."""

    SALESFORCE = "salesforce"
    """By `FlagContactOn`."""
    PARDOT = "pardot"
    """Hard bounces at once, soft ones after five (Help pardot_email_common_bounce_codes)."""


BOUNCE_DOMAIN: Final = Domain("bnc.relay.test")
"""Where bounces return to unless a policy says otherwise, as to `bnc.salesforce.com` there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BounceManagement:
    """Salesforce's bounce management: mail leaves with a reverse path of its own for each message.

    `domain` is that of the reverse paths; a notification that comes back to one is taken, parsed
    and counted. `return_to_sender`: the sender is told all the same. Defaults as in the Metadata
    API's EmailAdministrationSettings.
    """

    domain: Domain = BOUNCE_DOMAIN
    return_to_sender: bool = False
    matching_records: MatchingRecords = MatchingRecords.ALL
    flag_contact_on: FlagContactOn = FlagContactOn.ANY
    suppress: Suppression = Suppression.NO
    rule: BounceRule = BounceRule.SALESFORCE


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesforceSwitches:
    """All switches that no TLS policy holds; `bounces` is None where bounce management is off.

    `spf_compliance`: mail leaves with reverse paths of our own domain (enableEmailSpfCompliance).
    `sender_id_compliance`: it gets a `Sender` field of that domain
    (enableEmailSenderIdCompliance). `compliance_bcc`: an address that gets a hidden copy of every
    message (enableComplianceBcc), a text that `parse_address` accepts.
    """

    on_tls_failure: OnTlsFailure = OnTlsFailure.RETRY
    refused_starttls: RefusedStarttls = RefusedStarttls.NO_GO_AHEAD
    email_relay_tls: EmailRelayTls = EmailRelayTls.RELAY
    invalid_domains: InvalidDomains = InvalidDomains.TRY
    spf_compliance: bool = False
    sender_id_compliance: bool = False
    compliance_bcc: str | None = None
    bounces: BounceManagement | None = None

    @property
    def reverse_path_domain(self) -> Domain | None:
        """The domain of the reverse paths that mail leaves with; None where they are its own."""
        if self.bounces is not None:
            return self.bounces.domain
        return BOUNCE_DOMAIN if self.spf_compliance else None

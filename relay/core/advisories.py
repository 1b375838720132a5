"""Advisories: what somebody should know of a session though no setting refuses it, a closed set.

An advisory is a report. No verdict, no code and no retry depends on one; what a policy refuses is a
fault (`relay.core.faults`). `ADVISORIES` (in `relay.core.advisory_cards`) holds the card of each.
The order of `AdvisoryKind` is the order in which advisories are reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique


@unique
class AdvisoryKind(Enum):
    """An advisory's name, stable in JSON; the order here is the order of reports."""

    PLAINTEXT_BEHIND_GO_AHEAD = "plaintext-behind-go-ahead"
    """Under a setting that verifies it is the fault `starttls-injection` instead."""
    STARTTLS_OFFERED_UNDER_TLS = "starttls-offered-under-tls"
    CHAIN_OUT_OF_ORDER = "chain-out-of-order"
    CERTIFICATE_EXPIRES_SOON = "certificate-expires-soon"
    MUST_STAPLE_NOT_CHECKED = "must-staple-not-checked"
    AUTHORITY_AS_HOST = "authority-as-host"
    NAME_IN_COMMON_NAME_ONLY = "name-in-common-name-only"
    """Where the policy does not take the common name it is a fault instead."""


ADVISORY_ORDER = {kind: position for position, kind in enumerate(AdvisoryKind)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """One thing worth a report, found in one session's evidence.

    `detail` names what was found, for people: a date, a certificate's name, a count of octets.
    """

    kind: AdvisoryKind
    detail: str

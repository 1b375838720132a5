"""The lists of codes that vendors publish, as data, in our own words.

`SALESFORCE_NDR`: the codes of Salesforce's non-delivery reports. `PARDOT`: the bounce codes of
Account Engagement (Pardot), traditional and enhanced; it makes none of them itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from relay.core.code_meanings import ENHANCED_CODES
from relay.core.code_sources import Meaning, Source, by_source

SALESFORCE_NDR: Final[Mapping[int, Meaning]] = by_source(
    {
        Source.SALESFORCE_NDR: {
            211: "system status",
            214: "help text",
            220: "the server is ready",
            221: "the server closes the connection",
            250: "done",
            251: "not local, will be forwarded",
            252: "the address can't be verified, delivery is tried",
            354: "the body may be sent",
            421: "the service is not available, the connection is closed",
            422: "the recipient's mailbox, or the server's store, is over its quota",
            431: "the server is short of disk or memory",
            432: "an administrator has frozen the recipient's queue",
            441: "the host does not answer yet",
            442: "the connection broke during the transfer",
            446: "too many hops: the message goes round in a loop",
            447: "the message timed out",
            449: "DNS or the smart host is at fault",
            450: "the mailbox is not available now",
            451: "stopped by an error on the server's side; TLS policy failures read so",
            452: "the server's storage is short",
            465: "the server lacks the message's code page",
            500: "the command is not understood",
            501: "the command's arguments are wrong",
            502: "the command is not implemented",
            503: "commands came in the wrong order",
            504: "a parameter is not implemented",
            510: "the address is bad",
            511: "the address is bad",
            512: "the address's host is not known",
            513: "the address is of the wrong type",
            514: "the address is ambiguous",
            515: "the address is at fault",
            516: "the mailbox has moved",
            517: "an attribute of the sender's address is at fault",
            521: "the message is too large, or not allowed",
            522: "the recipient is over their quota",
            523: "the message is over the size limit",
            524: "a distribution list can't be expanded",
            530: "the mail server is at fault, or wants authentication or STARTTLS first",
            531: "the mail system is full",
            532: "the mail system takes no messages now",
            533: "the host's disk space is low",
            534: "the message is too big",
            535: "the mail system is misconfigured: a loop",
            540: "the domain has no DNS record",
            541: "the host does not answer",
            542: "the connection was bad",
            543: "routing does not work",
            544: "there is no next hop",
            546: "the message goes round in a loop",
            547: "delivery timed out",
            548: "the recipient's policy refuses the message",
            550: "the mailbox is not available, or policy refuses the message",
            551: "the user is not local",
            552: "the storage or size limit is exceeded",
            553: "the mailbox name is not allowed",
            554: "the transaction failed; with 5.4.7 the time for retries is used up",
            555: "the wrong version of the protocol",
            563: "too many attachments",
            571: "the sender lacks the permission",
            572: "the distribution list is closed to the sender",
            573: "the address takes mail from inside only",
            574: "a security feature is missing",
            575: "a cryptographic failure",
            576: "a certificate is at fault",
            577: "the message's integrity is broken",
        },
    }
)
"""By reply code; where several codes share one line of the list, each has it."""

PARDOT_REPLY_CODES: Final[Mapping[int, Meaning]] = by_source(
    {
        Source.PARDOT: {
            421: "the service is not available",
            450: "the mailbox is not available now",
            451: "the action was aborted: an error while processing",
            452: "the server's storage is short",
            500: "the command is not understood",
            501: "the command's arguments are wrong",
            502: "the command is not implemented",
            503: "commands came in the wrong order",
            504: "a parameter is not implemented",
            550: "the mailbox is not available",
            551: "the user is not local",
            552: "the storage limit is exceeded",
            553: "the mailbox name is not allowed",
            554: "the transaction failed",
        },
    }
)
"""Account Engagement's traditional codes."""

_LAST_DETAIL: Final[Mapping[int, int]] = {0: 0, 1: 8, 2: 4, 3: 5, 4: 7, 5: 5, 6: 5, 7: 7}

PARDOT_ENHANCED_CODES: Final[Mapping[str, Meaning]] = by_source(
    {
        Source.PARDOT: {
            f"5.{subject}.{detail}": ENHANCED_CODES[f"{subject}.{detail}"].text
            for subject, last in _LAST_DETAIL.items()
            for detail in range(last + 1)
        },
    }
)
"""Account Engagement's enhanced codes, which it explains as RFC 3463 does."""

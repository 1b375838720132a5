"""What codes mean, in plain words. Data.

Sources: RFC 5321 section 4.2, RFC 3207, RFC 3463, RFC 4954, RFC 7504, RFC 7505, RFC 8689 and the
IANA registry of enhanced status codes; Salesforce Knowledge 000385123 where it differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

REPLY_CODES: Final[Mapping[int, str]] = MappingProxyType(
    {
        211: "system status",
        214: "help text",
        220: "the server is ready",
        221: "the server closes the connection",
        235: "authentication succeeded",
        250: "done",
        251: "not local, will be forwarded",
        252: "the address can't be verified, but the message is taken",
        334: "the server waits for the next step of authentication",
        354: "the server waits for the message",
        421: "the service is not available, the connection is closed",
        450: "the mailbox is not available now: busy, or greylisted",
        451: "stopped by an error while processing; TLS policy failures use it too",
        452: "the server's storage is short now",
        454: "TLS or authentication is not available now",
        455: "the server can't take the parameters now",
        500: "the command is not understood",
        501: "the command's arguments are wrong",
        502: "the command is not implemented",
        503: "commands came in the wrong order",
        504: "a parameter is not implemented",
        521: "the host takes no mail at all",
        530: "authentication or STARTTLS is needed first",
        534: "the authentication mechanism is too weak",
        535: "user or password is wrong",
        538: "this authentication mechanism needs encryption",
        550: "the mailbox is not available, or policy refuses the message",
        551: "the user is not local",
        552: "the message or mailbox is over its size limit",
        553: "the mailbox name is not allowed",
        554: "the transaction failed",
        555: "the parameters of MAIL or RCPT are not understood",
        556: "the domain takes no mail",
    }
)
"""Reply codes of SMTP."""

ENHANCED_CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "0.0": "no more is said",
        "1.0": "something about the address",
        "1.1": "no such mailbox",
        "1.2": "no such mail system",
        "1.3": "the mailbox address is malformed",
        "1.4": "the mailbox address is ambiguous",
        "1.5": "the address is valid",
        "1.6": "the mailbox has moved",
        "1.7": "the sender's address is malformed",
        "1.8": "the sender's system does not exist",
        "1.10": "the recipient's domain takes no mail (null MX)",
        "2.0": "something about the mailbox",
        "2.1": "the mailbox is disabled or busy",
        "2.2": "the mailbox is full",
        "2.3": "the message is longer than the mailbox allows",
        "2.4": "a mailing list can't be expanded",
        "3.0": "something about the mail system",
        "3.1": "the mail system is full",
        "3.2": "the system takes no mail now",
        "3.3": "the system can't do what is asked",
        "3.4": "the message is too big for the system",
        "3.5": "the system is misconfigured",
        "4.0": "something about the network or routing",
        "4.1": "the host gave no answer",
        "4.2": "the connection broke",
        "4.3": "a directory or name server failed",
        "4.4": "no route to the host",
        "4.5": "the mail system is congested",
        "4.6": "a routing loop",
        "4.7": "the delivery time ran out",
        "4.14": "a routing loop (Exchange Online)",
        "5.0": "something about the mail protocol",
        "5.1": "a command is wrong or out of order",
        "5.2": "a syntax error",
        "5.3": "too many recipients",
        "5.4": "wrong arguments",
        "5.5": "the wrong version of the protocol",
        "6.0": "something about the content",
        "6.1": "the media are not supported",
        "6.2": "a conversion is needed and prohibited",
        "6.3": "a conversion is needed and not supported",
        "6.7": "an address or header outside ASCII is not supported by the host",
        "7.0": "something about security or policy",
        "7.1": "delivery is not authorised",
        "7.2": "the mailing list is closed to this sender",
        "7.3": "a security conversion is needed and not possible",
        "7.4": "a security feature is not supported: TLS was required but not offered",
        "7.5": "a cryptographic failure: the TLS handshake or the certificate",
        "7.6": "a cryptographic algorithm is not supported",
        "7.7": "the message's integrity is broken",
        "7.8": "the credentials are wrong",
        "7.9": "the authentication mechanism is too weak",
        "7.10": "encryption is needed",
        "7.11": "this authentication mechanism needs encryption",
        "7.30": "REQUIRETLS can't be fulfilled",
        "7.320": "certificate validation failed (Exchange Online)",
        "7.321": "the host does not support STARTTLS (Exchange Online)",
        "7.322": "the host's certificate has expired (Exchange Online)",
        "7.325": "the certificate does not match the host (Exchange Online)",
    }
)
"""Enhanced status codes without their class: subject and detail."""

SPECIAL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "4.7.6": "STARTTLS was required but not advertised (Momentum, so Salesforce)",
    }
)
"""Whole enhanced codes that a vendor uses in a sense of its own."""

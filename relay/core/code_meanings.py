"""What codes mean, in plain words. Data, each entry under its source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from relay.core.code_sources import Meaning, Source, by_source

REPLY_CODES: Final[Mapping[int, Meaning]] = by_source(
    {
        Source.RFC_5321: {
            211: "system status",
            214: "help text",
            220: "the server is ready",
            221: "the server closes the connection",
            250: "done",
            251: "not local, will be forwarded",
            252: "the address can't be verified, but the message is taken",
            354: "the server waits for the message",
            421: "the service is not available, the connection is closed",
            450: "the mailbox is not available now: busy, or greylisted",
            451: "stopped by an error while processing; TLS policy failures use it too",
            452: "the server's storage is short now",
            455: "the server can't take the parameters now",
            500: "the command is not understood",
            501: "the command's arguments are wrong",
            502: "the command is not implemented",
            503: "commands came in the wrong order",
            504: "a parameter is not implemented",
            550: "the mailbox is not available, or policy refuses the message",
            551: "the user is not local",
            552: "the message or mailbox is over its size limit",
            553: "the mailbox name is not allowed",
            554: "the transaction failed",
            555: "the parameters of MAIL or RCPT are not understood",
        },
        Source.RFC_3207: {
            454: "TLS or authentication is not available now",
        },
        Source.RFC_4954: {
            235: "authentication succeeded",
            334: "the server waits for the next step of authentication",
            432: "the user must first log in once by another mechanism",
            530: "authentication or STARTTLS is needed first",
            534: "the authentication mechanism is too weak",
            535: "user or password is wrong",
            538: "this authentication mechanism needs encryption",
        },
        Source.IANA: {
            523: "encryption is needed before this user may authenticate",
        },
        Source.RFC_7504: {
            521: "the host takes no mail at all",
            556: "the domain takes no mail",
        },
    }
)
"""Reply codes of SMTP."""

ENHANCED_CODES: Final[Mapping[str, Meaning]] = by_source(
    {
        Source.RFC_3463: {
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
            "6.4": "a conversion was made, and lost something",
            "6.5": "a conversion failed",
            "7.0": "something about security or policy",
            "7.1": "delivery is not authorised",
            "7.2": "the mailing list is closed to this sender",
            "7.3": "a security conversion is needed and not possible",
            "7.4": "a security feature is not supported: TLS was required but not offered",
            "7.5": "a cryptographic failure: the TLS handshake or the certificate",
            "7.6": "a cryptographic algorithm is not supported",
            "7.7": "the message's integrity is broken",
        },
        Source.RFC_4954: {
            "5.6": "a line of the authentication exchange is too long",
            "7.8": "the credentials are wrong",
            "7.9": "the authentication mechanism is too weak",
            "7.11": "this authentication mechanism needs encryption",
            "7.12": "the user must first log in once by another mechanism",
        },
        Source.RFC_6531: {
            "6.7": "an address or header outside ASCII is not supported by the host",
            "6.8": "the reply would have to be in UTF-8, which the client did not ask for",
            "6.9": "a message with headers outside ASCII can't go on to this recipient",
        },
        Source.RFC_6710: {
            "3.6": "the priority that was asked for was changed",
            "7.15": "the message's priority is too low to be taken now",
            "7.16": "the message is too big for its priority",
        },
        Source.RFC_7293: {
            "7.17": "the mailbox has another owner than it had when the sender last knew it",
            "7.18": "the domain has another owner than it had when the sender last knew it",
            "7.19": "whether the owner is still the same can't be tested",
        },
        Source.RFC_7372: {
            "7.20": "no DKIM signature of the message holds",
            "7.21": "no DKIM signature that holds is one that the host accepts",
            "7.22": "a DKIM signature holds, but is not the author's domain's",
            "7.23": "SPF does not allow this client for the sender's domain",
            "7.24": "SPF could not be evaluated",
            "7.25": "the client's address and name do not lead to one another in DNS",
            "7.26": "several checks of who sent the message failed",
        },
        Source.RFC_7505: {
            "1.10": "the recipient's domain takes no mail (null MX)",
            "7.27": "the sender's domain takes no mail (null MX)",
        },
        Source.RFC_8617: {
            "7.29": "the message's ARC chain does not hold",
        },
        Source.RFC_8689: {
            "7.30": "REQUIRETLS can't be fulfilled",
        },
        Source.IANA: {
            "1.9": "a system further on does not speak the protocol properly",
            "6.6": "a part of the content that is only named can't be fetched",
            "7.10": "encryption is needed",
            "7.13": "the user's account is disabled",
            "7.14": "the host trusts only those whom it knows",
            "7.28": "too much mail at once",
        },
        Source.EXCHANGE: {
            "4.14": "a routing loop (Exchange Online)",
            "4.300": "the message expired in the queue (Exchange Online)",
            "4.312": "a DNS query failed (Exchange Online)",
            "4.315": "the connection timed out (Exchange Online)",
            "4.316": "the connection was refused (Exchange Online)",
            "4.317": "no connection as the connector wants it, such as with TLS (Exchange Online)",
            "4.318": "the connection was closed abruptly (Exchange Online)",
            "7.320": "certificate validation failed (Exchange Online)",
            "7.321": "the host does not support STARTTLS (Exchange Online)",
            "7.322": "the host's certificate has expired (Exchange Online)",
            "7.323": "the domain failed DANE validation (Exchange Online)",
            "7.324": "the domain's DNSSEC records are invalid (Exchange Online)",
            "7.325": "the certificate does not match the host (Exchange Online)",
        },
    }
)
"""Enhanced status codes without their class: subject and detail."""

SPECIAL: Final[Mapping[str, Meaning]] = by_source(
    {
        Source.MOMENTUM: {
            "4.7.6": "STARTTLS was required but not advertised, in Momentum and so in Salesforce",
        },
    }
)
"""Whole enhanced codes that a vendor uses in a sense of its own."""

CLASSES: Final[Mapping[int, Meaning]] = by_source(
    {
        Source.RFC_3463: {
            2: "success: the message was taken",
            4: "a persistent transient failure: a later try may succeed",
            5: "a permanent failure: the same message will fail again",
        },
    }
)
"""What the first digit means, whatever follows."""

SUBJECTS: Final[Mapping[int, Meaning]] = by_source(
    {
        Source.RFC_3463: {
            0: "nothing in particular",
            1: "the address",
            2: "the mailbox",
            3: "the mail system",
            4: "the network and routing",
            5: "the mail protocol",
            6: "the message's content",
            7: "security and policy",
        },
    }
)
"""What the second number of an enhanced code is about."""

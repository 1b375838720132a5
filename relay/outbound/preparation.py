"""Whether and how a message fits what a host offers: all that is decided before MAIL is said.

Pure: the envelope, the content and the host's EHLO keywords go in, and the octets to send come out.
Nothing is ever converted: what a host can't take as it is, it doesn't get (RFC 6152 section 3, RFC
6531 section 3.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from relay.core.addresses import parse_address
from relay.core.content import ContentFacts, facts_of
from relay.core.outcomes import LocalProblem, LocalRefusal, Stage
from relay.core.records import Envelope
from relay.outbound.dsn_parameters import mail_options, rcpt_options


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What goes over the wire; `refused` are the recipients that this host can't be asked about.

    `reverse_path` and the values of `forward_paths` are the arguments of MAIL and RCPT, `options`
    and the values of `recipient_options` their parameters. `dsn` tells whether those of RFC 3461
    could be among them. `stuffed` is the content with its dots doubled, without the
    end of data; `size` counts the octets of the content itself.
    """

    reverse_path: bytes
    options: tuple[bytes, ...]
    forward_paths: Mapping[str, bytes]
    recipient_options: Mapping[str, tuple[bytes, ...]]
    refused: Mapping[str, LocalRefusal]
    stuffed: bytes
    size: int
    dsn: bool


def prepare(
    envelope: Envelope,
    recipients: Sequence[str],
    content: bytes,
    extensions: Mapping[str, str],
    *,
    facts: ContentFacts | None = None,
) -> Prepared | LocalRefusal:
    """Fit a message to a host with these `extensions` (keywords in lower case, parameters).

    `facts` are of this content, None where nobody has looked for them. A LocalRefusal concerns all
    recipients.
    """
    if facts is None:
        facts = facts_of(content)
    if not facts.whole_lines:
        # A bare CR or LF could end the data too early elsewhere.
        return _refusal(LocalProblem.NOT_SENDABLE, "a line does not end in CRLF (RFC 5321, 2.3.8)")
    limit = _size_limit(extensions)
    if limit and len(content) > limit:
        return _refusal(
            LocalProblem.TOO_BIG_FOR_HOST,
            f"the message has {len(content)} octets, the host takes {limit}",
        )
    if facts.eight_bit and "8bitmime" not in extensions:
        return _refusal(
            LocalProblem.NEEDS_8BITMIME,
            "the message has 8-bit octets, the host does not offer 8BITMIME",
        )
    offers_utf8 = "smtputf8" in extensions
    if envelope.smtputf8 and not offers_utf8 and not _head(content).isascii():
        return _refusal(
            LocalProblem.NEEDS_SMTPUTF8,
            "the message's header has UTF-8, the host does not offer SMTPUTF8",
        )
    reverse_path = (
        _path(envelope.outgoing_path, offers_utf8=offers_utf8) if envelope.outgoing_path else b"<>"
    )
    if isinstance(reverse_path, LocalRefusal):
        return reverse_path

    options = []
    if "size" in extensions:
        options.append(b"SIZE=%d" % len(content))
    if facts.eight_bit:
        options.append(b"BODY=8BITMIME")
    says_utf8 = offers_utf8 and (
        envelope.smtputf8 or not f"{envelope.outgoing_path}{''.join(recipients)}".isascii()
    )
    if says_utf8:
        options.append(b"SMTPUTF8")
    dsn = "dsn" in extensions
    if dsn:
        options += mail_options(envelope)
    forward_paths: dict[str, bytes] = {}
    recipient_options: dict[str, tuple[bytes, ...]] = {}
    refused: dict[str, LocalRefusal] = {}
    for recipient in recipients:
        path = _path(recipient, offers_utf8=offers_utf8)
        if isinstance(path, LocalRefusal):
            refused[recipient] = path
        else:
            forward_paths[recipient] = b"TO:" + path
            recipient_options[recipient] = (
                rcpt_options(envelope, recipient, smtputf8=says_utf8) if dsn else ()
            )
    return Prepared(
        reverse_path=b"FROM:" + reverse_path,
        options=tuple(options),
        forward_paths=forward_paths,
        recipient_options=recipient_options,
        refused=refused,
        stuffed=dots_doubled(content) if facts.leading_dot else content,
        size=len(content),
        dsn=dsn,
    )


def dots_doubled(content: bytes) -> bytes:
    """Double the dot that begins a line (RFC 5321 section 4.5.2)."""
    first = b"." if content.startswith(b".") else b""
    return first + content.replace(b"\r\n.", b"\r\n..")


def _head(content: bytes) -> bytes:
    return content.partition(b"\r\n\r\n")[0]


def _size_limit(extensions: Mapping[str, str]) -> int:
    """Return the host's fixed maximum in octets, 0 for none (RFC 1870 section 4)."""
    value = extensions.get("size")
    return 0 if value is None else _number_in(value)


@lru_cache(64)
def _number_in(value: str) -> int:
    """Return the number that a text is; 0 for none, or for one that no host can mean."""
    value = value.strip()
    return int(value) if value.isascii() and value.isdigit() and len(value) <= 20 else 0


def _path(address: str, *, offers_utf8: bool) -> bytes | LocalRefusal:
    """Return an address in angle brackets, as written where the host allows it."""
    try:
        parsed = parse_address(address)
        as_written = b"<" + address.encode() + b">"
    except ValueError as error:
        return _refusal(LocalProblem.NOT_SENDABLE, f"{address!a}: {error}")
    if address.isascii() or offers_utf8:
        return as_written
    if parsed.needs_smtputf8:
        return _refusal(
            LocalProblem.NEEDS_SMTPUTF8, f"{address} needs SMTPUTF8, which the host does not offer"
        )
    return b"<" + str(parsed).encode() + b">"


def _refusal(problem: LocalProblem, detail: str) -> LocalRefusal:
    return LocalRefusal(problem=problem, detail=detail, stage=Stage.AFTER_EHLO)

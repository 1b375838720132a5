"""Delivery status notifications: multipart/report as RFC 3461, 3462 and 3464 have it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email import policy as email_policy
from email.message import EmailMessage, Message
from email.utils import format_datetime
from enum import Enum, unique
from typing import Final, cast

from relay.core.dsn import ReturnContent, decode_xtext
from relay.core.records import Bounce, Envelope
from relay.core.replies import StatusCode

# A field on one line is easier to read and to search; RFC 5322 allows up to 998 characters.
_POLICY: Final = email_policy.SMTP.clone(max_line_length=500)
_FIELDS: Final = email_policy.compat32.clone(max_line_length=500)
_LINE_END: Final = b"\r\n"
MAX_RETURNED_HEADERS: Final = 16_384
"""Octets of the original header section that a notification returns."""
MAX_RETURNED_CONTENT: Final = 1_048_576
"""Octets of a message that RET=FULL returns whole; of a bigger one the headers are returned."""


@unique
class DsnAction(Enum):
    """RFC 3464 section 2.3.3, as far as this relay reports it."""

    FAILED = "failed"
    DELAYED = "delayed"
    RELAYED = "relayed"
    """Handed to a host that does not take requests for notifications."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedRecipient:
    """What a notification says of one recipient.

    `original` is ORCPT as it came. `diagnostic` is what the host, or this relay, said. `words` are
    sentences for people.
    """

    recipient: str
    original: str | None
    action: DsnAction
    status: StatusCode
    diagnostic: str
    host: str | None
    at: datetime
    will_retry_until: datetime | None
    words: tuple[str, ...]


def reported_bounce(bounce: Bounce, *, original: str | None) -> ReportedRecipient:
    """Report a bounce."""
    cause = f"cause: {bounce.cause_status} {bounce.cause_text}"
    return ReportedRecipient(
        recipient=bounce.recipient,
        original=original,
        action=DsnAction(bounce.action.value),
        status=bounce.status,
        diagnostic=f"{bounce.cause_status} {bounce.cause_text}",
        host=bounce.host,
        at=bounce.at,
        will_retry_until=bounce.will_retry_at,
        words=(
            f"{bounce.status} {bounce.text}",
            *([cause] if bounce.status != bounce.cause_status else []),
            f"host: {bounce.host or 'none'}",
            f"setting: {bounce.setting.label}, {bounce.rule.reason}",
            bounce.cause,
            bounce.remedy,
        ),
    )


def original_headers(content: bytes) -> bytes:
    """Return the header section of a message, bounded, whole lines only."""
    end = content.find(_LINE_END * 2)
    head = content if end < 0 else content[: end + len(_LINE_END)]
    if len(head) <= MAX_RETURNED_HEADERS:
        return head
    return head[: head.rfind(_LINE_END, 0, MAX_RETURNED_HEADERS) + len(_LINE_END)]


def render_dsn(
    *,
    envelope: Envelope,
    recipients: Sequence[ReportedRecipient],
    content: bytes,
    reporting_mta: str,
    message_id: str,
    at: datetime,
) -> bytes:
    """Return a notification about recipients of one message, ready to send; lines end in CRLF.

    `content` is the message; its headers are returned, or all of it where a failure is reported and
    the sender asked for RET=FULL (RFC 3461 section 4.3). Addressed to the envelope's reverse path;
    the caller never asks for one where that is null (RFC 5321 section 6.1). The result is 7-bit,
    unless an address needs SMTPUTF8 or 8-bit content is returned whole.
    """
    actions = {recipient.action for recipient in recipients}
    report = EmailMessage(policy=_POLICY.clone(utf8=not envelope.reverse_path.isascii()))
    report["From"] = f"Mail Delivery System <MAILER-DAEMON@{reporting_mta}>"
    report["To"] = envelope.reverse_path
    report["Subject"] = subject_of(actions)
    report["Date"] = format_datetime(at)
    report["Message-ID"] = f"<{message_id}@{reporting_mta}>"
    report["Auto-Submitted"] = "auto-replied"
    report.set_content(_for_people(envelope, recipients))
    report.make_mixed()
    status = _for_machines(envelope, recipients, reporting_mta)
    # The typing knows only EmailMessage as a part; any message is one.
    report.attach(cast(EmailMessage, status))
    whole = (
        DsnAction.FAILED in actions
        and envelope.dsn.ret is ReturnContent.FULL
        and len(content) <= MAX_RETURNED_CONTENT
    )
    mark = f"original-{message_id}".encode()
    report.attach(_whole_message(content, mark) if whole else _headers(original_headers(content)))
    report.set_type("multipart/report")
    report.set_param("report-type", "delivery-status")
    rendered = report.as_bytes()
    # The library would write the returned message anew; it goes in octet for octet instead.
    return rendered.replace(mark, content, 1) if whole else rendered


def subject_of(actions: set[DsnAction]) -> str:
    """Return a notification's subject, by the worst that it reports."""
    if DsnAction.FAILED in actions:
        return "Undelivered Mail Returned to Sender"
    if DsnAction.DELAYED in actions:
        return "Delayed Mail (still being retried)"
    return "Successful Mail Delivery Report"


def _headers(headers: bytes) -> EmailMessage:
    longest = max((len(line) for line in headers.split(_LINE_END)), default=0)
    cte = "7bit" if headers.isascii() and longest <= 998 else "base64"
    part = EmailMessage(policy=_POLICY)
    part.set_content(headers, maintype="text", subtype="rfc822-headers", cte=cte)
    return part


def _whole_message(content: bytes, mark: bytes) -> EmailMessage:
    part = EmailMessage(policy=_POLICY)
    part.set_content(mark, maintype="application", subtype="octet-stream", cte="7bit")
    part.replace_header("Content-Type", "message/rfc822")
    part.replace_header("Content-Transfer-Encoding", "7bit" if content.isascii() else "8bit")
    return part


def _for_people(envelope: Envelope, recipients: Sequence[ReportedRecipient]) -> str:
    subject = f' ("{envelope.subject}")' if envelope.subject else ""
    told = {
        DsnAction.FAILED: "could not be delivered to:",
        DsnAction.DELAYED: "could not be delivered yet, and is tried again, to:",
        DsnAction.RELAYED: "was handed on to a host that reports nothing further, for:",
    }
    parts = [f"The message that you sent at {format_datetime(envelope.received_at)}{subject}"]
    for action, words in told.items():
        concerned = [r for r in recipients if r.action is action]
        parts += [words, ""] if concerned else []
        for reported in concerned:
            parts += [f"<{reported.recipient}>", *(f"    {line}" for line in reported.words), ""]
    # A peer's words stand in it: nothing that a terminal or a mail program would obey.
    return "\n".join("".join(c if c.isprintable() else "?" for c in part) for part in parts)


def _for_machines(
    envelope: Envelope, recipients: Sequence[ReportedRecipient], reporting_mta: str
) -> Message:
    status = Message(policy=_FIELDS)
    status["Content-Type"] = "message/delivery-status"
    about = Message(policy=_FIELDS)
    if envelope.dsn.envelope_id is not None:
        about["Original-Envelope-Id"] = _one_line(decode_xtext(envelope.dsn.envelope_id))
    about["Reporting-MTA"] = f"dns; {reporting_mta}"
    about["Arrival-Date"] = format_datetime(envelope.received_at)
    blocks: list[Message | str] = [about]
    for reported in recipients:
        block = Message(policy=_FIELDS)
        if reported.original is not None:
            kind, _, address = reported.original.partition(";")
            block["Original-Recipient"] = f"{_one_line(kind)}; {_one_line(decode_xtext(address))}"
        block["Final-Recipient"] = _typed_address(reported.recipient)
        block["Action"] = reported.action.value
        block["Status"] = reported.status.enhanced
        if reported.host:
            block["Remote-MTA"] = f"dns; {reported.host}"
        block["Diagnostic-Code"] = f"smtp; {_one_line(reported.diagnostic)}"
        block["Last-Attempt-Date"] = format_datetime(reported.at)
        if reported.will_retry_until:
            block["Will-Retry-Until"] = format_datetime(reported.will_retry_until)
        blocks.append(block)
    status.set_payload(blocks)
    return status


def _typed_address(address: str) -> str:
    """Write an address in ASCII; outside it by the type and escapes of RFC 6533 section 3."""
    if address.isascii():
        return f"rfc822; {address}"
    return "utf-8; " + "".join(c if c.isascii() else f"\\x{{{ord(c):X}}}" for c in address)


def _one_line(text: str) -> str:
    """Keep a peer's or a sender's words inside their field: printable ASCII, bounded."""
    flat = " ".join(text.split())
    return "".join(c if " " <= c <= "~" else "?" for c in flat)[:400]

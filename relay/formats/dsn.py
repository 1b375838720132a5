"""Delivery status notifications: multipart/report as RFC 3461, 3462 and 3464 have it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from email import policy as email_policy
from email.message import EmailMessage, Message
from email.utils import format_datetime
from typing import cast

from relay.core.records import Bounce, BounceAction, Envelope

_LINE_END = b"\r\n"
# A field on one line is easier to read and to search; RFC 5322 allows up to 998 characters.
_POLICY = email_policy.SMTP.clone(max_line_length=500)
_FIELDS = email_policy.compat32.clone(max_line_length=500)
MAX_RETURNED_HEADERS = 16_384
"""Octets of the original header section that a notification returns."""


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
    bounces: Sequence[Bounce],
    headers: bytes,
    reporting_mta: str,
    message_id: str,
    at: datetime,
) -> bytes:
    """Return a notification about failed or delayed recipients of one message, ready to send.

    `headers` is the original header section (RET=HDRS, RFC 3461 section 4.3). Addressed to the
    envelope's reverse path; the caller never asks for one where that is null (RFC 5321 section
    6.1). Lines end in CRLF; the result is 7-bit, unless the reverse path itself needs SMTPUTF8.
    """
    failed = any(bounce.action is BounceAction.FAILED for bounce in bounces)
    report = EmailMessage(policy=_POLICY.clone(utf8=not envelope.reverse_path.isascii()))
    report["From"] = f"Mail Delivery System <MAILER-DAEMON@{reporting_mta}>"
    report["To"] = envelope.reverse_path
    report["Subject"] = (
        "Undelivered Mail Returned to Sender" if failed else "Delayed Mail (still being retried)"
    )
    report["Date"] = format_datetime(at)
    report["Message-ID"] = f"<{message_id}@{reporting_mta}>"
    report["Auto-Submitted"] = "auto-replied"
    report.set_content(_for_people(envelope, bounces))
    report.make_mixed()
    status = _for_machines(envelope, bounces, reporting_mta)
    # The typing knows only EmailMessage as a part; any message is one.
    report.attach(cast(EmailMessage, status))
    original = EmailMessage(policy=_POLICY)
    original.set_content(
        headers, maintype="text", subtype="rfc822-headers", cte=_encoding_of(headers)
    )
    report.attach(original)
    report.set_type("multipart/report")
    report.set_param("report-type", "delivery-status")
    return report.as_bytes()


def _encoding_of(headers: bytes) -> str:
    longest = max((len(line) for line in headers.split(_LINE_END)), default=0)
    return "7bit" if headers.isascii() and longest <= 998 else "base64"


def _for_people(envelope: Envelope, bounces: Sequence[Bounce]) -> str:
    subject = f' ("{envelope.subject}")' if envelope.subject else ""
    parts = [
        f"The message that you sent at {format_datetime(envelope.received_at)}{subject}",
        "could not be delivered to:" if bounces else "",
        "",
    ]
    for bounce in bounces:
        parts += [
            f"<{bounce.recipient}>",
            f"    {bounce.status} {bounce.text}",
            *(
                [f"    cause: {bounce.cause_status} {bounce.cause_text}"]
                if _expired(bounce)
                else []
            ),
            f"    host:    {bounce.host or 'none'}",
            f"    setting: {bounce.setting.label}, {bounce.rule.reason}",
            f"    {bounce.cause}",
            f"    {bounce.remedy}",
            "",
        ]
    # A peer's words stand in it: nothing that a terminal or a mail program would obey.
    return "\n".join("".join(c if c.isprintable() else "?" for c in part) for part in parts)


def _expired(bounce: Bounce) -> bool:
    return bounce.status != bounce.cause_status


def _for_machines(envelope: Envelope, bounces: Sequence[Bounce], reporting_mta: str) -> Message:
    status = Message(policy=_FIELDS)
    status["Content-Type"] = "message/delivery-status"
    about = Message(policy=_FIELDS)
    about["Reporting-MTA"] = f"dns; {reporting_mta}"
    about["Arrival-Date"] = format_datetime(envelope.received_at)
    blocks: list[Message | str] = [about]
    for bounce in bounces:
        block = Message(policy=_FIELDS)
        block["Final-Recipient"] = _typed_address(bounce.recipient)
        block["Action"] = bounce.action.value
        block["Status"] = bounce.status.enhanced
        if bounce.host:
            block["Remote-MTA"] = f"dns; {bounce.host}"
        block["Diagnostic-Code"] = (
            f"smtp; {_one_line(f'{bounce.cause_status} {bounce.cause_text}')}"
        )
        block["Last-Attempt-Date"] = format_datetime(bounce.at)
        if bounce.will_retry_at:
            block["Will-Retry-Until"] = format_datetime(bounce.will_retry_at)
        blocks.append(block)
    status.set_payload(blocks)
    return status


def _typed_address(address: str) -> str:
    """Write an address in ASCII; outside it by the type and escapes of RFC 6533 section 3."""
    if address.isascii():
        return f"rfc822; {address}"
    return "utf-8; " + "".join(c if c.isascii() else f"\\x{{{ord(c):X}}}" for c in address)


def _one_line(text: str) -> str:
    """Keep a peer's words inside their field: printable ASCII, bounded."""
    flat = " ".join(text.split())
    return "".join(c if " " <= c <= "~" else "?" for c in flat)[:400]

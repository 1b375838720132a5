"""Messages, bounces and transcripts for the eye: plain words that fit 80 columns.

Most of this text was written by others: senders, hosts, certificates. It is put into `Text`, which
knows no markup, and whatever is no printable character is shown as an escape. Times are local.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from relay.audit.record_words import certificate_words, outcome_words, seen_words
from relay.audit.story import noted, verdict_words
from relay.core.fault_cards import card
from relay.core.faults import TlsFault
from relay.core.records import (
    Attempt,
    Bounce,
    MatchedRule,
    Notified,
    Session,
    SessionDirection,
)
from relay.core.salesforce_view import FlagReason
from relay.core.transcripts import Direction, Line
from relay.journal.api import (
    MessageRecord,
    MessageSummary,
    RecipientState,
    RecipientStatus,
)

_STATE_STYLE = {
    RecipientState.QUEUED: "yellow",
    RecipientState.INLINE: "yellow",
    RecipientState.DELIVERED: "green",
    RecipientState.FAILED: "red",
    RecipientState.ABANDONED: "red",
}

_NOTIFIED = {
    Notified.CLIENT: "the client was told in reply to DATA",
    Notified.SENDER: "a notification went to the sender",
    Notified.BOUNCE_MANAGEMENT: "bounce management noted it, nothing went to the sender",
    Notified.NOBODY: "nobody was told",
}


def words(text: str, style: str = "") -> Text:
    """Return anyone's text as it may be shown: never as markup, never as control characters."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return Text(shown, style=style, overflow="fold")


def clock_time(at: datetime) -> str:
    """Return the local time of day."""
    return f"{at.astimezone():%H:%M:%S}"


def date_time(at: datetime) -> str:
    """Return the local date and time."""
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def message_list(messages: Sequence[MessageSummary]) -> RenderableType:
    """Return messages as a list: time, id, sender, and each recipient with its state."""
    grid = _grid(2)
    for message in messages:
        envelope = message.envelope
        sender = envelope.reverse_path or "<>"
        subject = f": {envelope.subject}" if envelope.subject else ""
        entry = [Text.assemble((envelope.id, "bold"), "  ", words(f"{sender}{subject}"))]
        entry += [_status(status) for status in message.recipients]
        grid.add_row(date_time(envelope.received_at), Group(*entry))
    return grid


def message_story(record: MessageRecord) -> RenderableType:
    """Return a message's whole way, recipient by recipient, then every session's dialog."""
    envelope = record.envelope
    head = _grid(2)
    head.add_row("Message", Text(envelope.id, "bold"))
    head.add_row(
        "Received", f"{date_time(envelope.received_at)}, answered {envelope.reply_mode.value}"
    )
    head.add_row("From", words(envelope.reverse_path or "<>"))
    if envelope.sent_from is not None:
        head.add_row("Sent from", words(envelope.sent_from))
    if envelope.subject is not None:
        head.add_row("Subject", words(envelope.subject))
    if envelope.message_id_header is not None:
        head.add_row("Message-ID", words(envelope.message_id_header))
    head.add_row("Size", f"{envelope.size} octets, {envelope.body.value}")
    head.add_row("Policy", words(envelope.policy))
    if envelope.notification_for is not None:
        head.add_row("About", words(f"message {envelope.notification_for}"))
    if envelope.copy_of is not None:
        head.add_row("Copy of", words(f"message {envelope.copy_of}, for compliance"))
    for returned in envelope.returned:
        head.add_row(
            "Returned", words(f"to message {returned.message_id}, read as {returned.reading.value}")
        )
    parts: list[RenderableType] = [head]
    for status in record.recipients:
        parts += ["", _status(status), Padding(_recipient_way(record, status), (0, 0, 0, 2))]
    for session in record.sessions:
        parts += ["", session_dialog(session)]
    return Group(*parts)


def bounce_list(bounces: Sequence[Bounce]) -> RenderableType:
    """Return bounces as a list: time, id, recipient, code and text."""
    grid = _grid(2)
    for bounce in bounces:
        first = Text.assemble(
            (bounce.id, "bold"), f"  {bounce.action.value:<7}  ", words(bounce.recipient)
        )
        grid.add_row(date_time(bounce.at), Group(first, _code(bounce)))
    return grid


def bounce_story(bounce: Bounce, session: Session | None) -> RenderableType:
    """Return all that a bounce says, then the dialog of its session."""
    grid = _grid(2)
    grid.add_row("Bounce", Text(bounce.id, "bold"))
    grid.add_row("Message", words(f"{bounce.message_id} from {bounce.reverse_path or '<>'}"))
    grid.add_row("Recipient", words(bounce.recipient))
    grid.add_row("Code", _code(bounce))
    if (bounce.status, bounce.text) != (bounce.cause_status, bounce.cause_text):
        grid.add_row("Cause code", words(f"{bounce.cause_status} {bounce.cause_text}"))
    tries = "1 try" if bounce.attempts == 1 else f"{bounce.attempts} tries"
    grid.add_row("Action", f"{bounce.action.value} at {date_time(bounce.at)} after {tries}")
    if bounce.will_retry_at is not None:
        grid.add_row("Next try", date_time(bounce.will_retry_at))
    grid.add_row("Told", _NOTIFIED[bounce.notified])
    grid.add_row("Rule", _rule(bounce.rule))
    grid.add_row("Route", words(bounce.route))
    address = f" ({bounce.address})" if bounce.address else ""
    grid.add_row("Host", words(f"{bounce.host}{address}" if bounce.host else "none"))
    grid.add_row("Stage", bounce.stage.value)
    grid.add_row("Cause", words(bounce.cause))
    grid.add_row("Remedy", words(bounce.remedy))
    for fault in bounce.faults:
        grid.add_row("Fault", _fault(fault))
    if bounce.returned_in is not None:
        grid.add_row("Reported in", f"message {bounce.returned_in}")
    if (view := bounce.salesforce) is not None and view.why is not FlagReason.NOT_ACTIVE:
        flagged = "contact flagged" if view.contact_flagged else "contact not flagged"
        grid.add_row(
            "Salesforce", words(f"{view.kind.value} bounce, {flagged}: {view.why.sentence}")
        )
    if session is None:
        return grid
    return Group(grid, "", session_dialog(session))


def session_dialog(session: Session) -> RenderableType:
    """Return a session's head line and its transcript."""
    way = "from" if session.direction is SessionDirection.INBOUND else "to"
    head = Text.assemble(("Session", "bold"), f" {session.id} {way} ", words(session.peer))
    return Group(head, transcript(session.transcript))


def transcript(lines: Sequence[Line]) -> RenderableType:
    """Return a dialog: `-->` and `<--` in clear text, `~~>` and `<~~` under TLS, `*` for notes."""
    grid = _grid(3, padding=1)
    for line in lines:
        style = "dim" if line.direction is Direction.NOTE else ""
        arrow, text = str(line)[:3], str(line)[4:]
        grid.add_row(
            Text(clock_time(line.at), "dim"),
            Text(arrow, "green" if line.encrypted else "yellow"),
            words(text, style),
        )
    return Padding(grid, (0, 0, 0, 2))


def _grid(columns: int, *, padding: int = 2) -> Table:
    """Return a table without lines, whose last column takes the rest of the line and folds."""
    grid = Table.grid(padding=(0, padding, 0, 0))
    for _ in range(columns - 1):
        grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    return grid


def _status(status: RecipientStatus) -> Text:
    text = Text.assemble(
        (f"{status.state.value:<9}", _STATE_STYLE[status.state]), "  ", words(status.recipient)
    )
    if status.next_at is not None:
        text.append(f"  next try {date_time(status.next_at)}")
    return text


def _recipient_way(record: MessageRecord, status: RecipientStatus) -> RenderableType:
    grid = _grid(2)
    sessions = {session.id: session for session in record.sessions}
    attempts = [a for a in record.attempts if a.tried(status.recipient) is not None]
    if attempts:
        last = attempts[-1]
        grid.add_row("Rule", _rule(last.rule))
        if last.sent_by:
            grid.add_row("Way", words(f"{last.sent_by}: {last.route}"))
        else:
            grid.add_row("Route", words(last.route))
    for attempt in attempts:
        for label, text in _attempt(attempt, sessions, status.recipient):
            grid.add_row(label, text)
    for bounce in record.bounces:
        if bounce.recipient == status.recipient:
            grid.add_row(
                "Bounce", Text.assemble(bounce.id, f" {bounce.action.value}: ", _code(bounce))
            )
            grid.add_row("Cause", words(bounce.cause))
            grid.add_row("Remedy", words(bounce.remedy))
    return grid


def _attempt(
    attempt: Attempt, sessions: dict[str, Session], recipient: str
) -> Iterator[tuple[str, Text]]:
    host = words(str(attempt.hop)) if attempt.hop else Text("no host")
    clear = " without TLS" if attempt.clear else ""
    yield (
        f"Try {attempt.round}",
        Text.assemble((clock_time(attempt.started_at), "dim"), " ", host, clear),
    )
    session = sessions.get(attempt.session_id or "")
    if session is not None:
        if session.evidence is not None:
            yield "  Seen", words(seen_words(session.evidence))
            for pem in session.evidence.chain:
                yield "  Chain", words(certificate_words(pem))
        for fault in session.faults:
            yield "  Fault", _fault(fault)
        for advisory in session.advisories:
            yield "  Note", words(noted(advisory))
    for entry in attempt.outcomes:
        if entry.recipient == recipient:
            yield "  Verdict", words(verdict_words(attempt.verdict, entry.outcome))
            yield "  Outcome", words(outcome_words(entry.outcome))


def _rule(rule: MatchedRule) -> Text:
    return words(f"{rule.setting.label} ({rule.file}:{rule.line}): {rule.reason}")


def _code(bounce: Bounce) -> Text:
    return Text.assemble((str(bounce.status), "red"), " ", words(bounce.text))


def _fault(fault: TlsFault) -> Text:
    result_type = card(fault).result_type.value
    return words(f"{fault.kind.value} (RFC 8460: {result_type}): {fault.detail}")

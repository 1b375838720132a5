"""`relay send`: sends one message to a running relay and tells what became of it."""

from __future__ import annotations

import smtplib
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, localtime, make_msgid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli import completion
from relay.cli.console import ExitCode, fail, print_json
from relay.cli.send_view import as_json, exit_code, follow, tell
from relay.cli.serving import read_serving
from relay.cli.state import StateDir, StateOption

if TYPE_CHECKING:
    from relay.core.replies import Reply
    from relay.journal.api import MessageRecord

REPLY_TIMEOUT = 120.0
"""Seconds to wait for the relay's answer; longer than any shipped policy's `reply_within`."""
PAUSE = 0.05
"""Seconds between two looks into the journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where to send: a relay's SMTP listener."""

    host: str
    port: int


def send(
    *,
    to: Annotated[list[str], typer.Argument(metavar="TO...", help="Recipients.")],
    sender: Annotated[
        str, typer.Option("--from", metavar="ADDRESS", help="Reverse path; '' for the null one.")
    ] = "sender@example.test",
    subject: Annotated[str, typer.Option(help="Subject.")] = "A test by relay send",
    body: Annotated[str, typer.Option(help="Text of the message.")] = "Sent by relay send.\n",
    eml: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Send this message instead, octet for octet; - reads stdin."
        ),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="SMTP server [default: the relay that serves from the state directory].",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            metavar="NAME|FILE",
            autocompletion=completion.policy,
            help="Start a relay under this policy, and its lab, for this message alone.",
        ),
    ] = None,
    wait: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long to wait for the first outcome.")
    ] = 10.0,
    state: StateOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
) -> None:
    """Send a message and tell its story.

    The story is the reply, and for each recipient the rule, the host, what was seen there, the
    verdict, and what to do next. Exits 0 if the message was delivered or queued, 1 if it was
    refused or bounced, 3 if no relay answered.
    """
    recipients = _checked(to, sender)
    if policy is not None and server is not None:
        fail("--policy and --server exclude each other")
    content, message_id = _message(eml, sender, recipients, subject, body)

    def sent(target: Server, where: StateDir) -> tuple[Reply, MessageRecord | None]:
        reply = _submit(target, sender, recipients, content)
        return reply, _record(where, message_id, wait) if message_id else None

    if policy is not None:
        from relay.cli.send_own import with_own_relay

        reply, record = with_own_relay(
            policy, lambda host, port, where: sent(Server(host=host, port=port), where)
        )
        more = f"relay serve --policy {policy}: one that stays, with records and retries"
    else:
        where = StateDir.of(state)
        reply, record = sent(_server(server, where), where)
        more = follow(record, recipients, where)
    if json:
        print_json(as_json(reply, record))
    else:
        tell(reply, record, recipients, more)
    raise typer.Exit(exit_code(reply, record))


def _server(option: str | None, where: StateDir) -> Server:
    if option is not None:
        host, colon, port = option.rpartition(":")
        if not colon or not port.isdecimal() or "/" in host:
            fail(f"--server {option}: not of the form HOST:PORT", hint="Example: 127.0.0.1:1025")
        return Server(host=host.strip("[]"), port=int(port))
    serving = read_serving(where.serving)
    if serving is None:
        fail(
            f"no relay serves from {where.path}",
            hint="Start one in another terminal with `relay serve`, or name a server: --server.",
            code=ExitCode.UNDETERMINED,
        )
    smtp = next(entry for entry in serving.listeners if entry.kind == "smtp")
    return Server(host=smtp.host, port=smtp.port)


def _checked(to: list[str], sender: str) -> list[str]:
    from relay.core.addresses import parse_address

    for address in (*to, *([sender] if sender else [])):
        try:
            parse_address(address)
        except ValueError as error:
            fail(f"{address}: {error}")
    return to


def _message(
    eml: Path | None, sender: str, recipients: list[str], subject: str, body: str
) -> tuple[bytes, str | None]:
    """Return the message with CRLF line ends, and its Message-ID to find it by."""
    if eml is not None:
        from relay.formats.heads import read_head

        try:
            raw = sys.stdin.buffer.read() if str(eml) == "-" else eml.read_bytes()
        except OSError as error:
            fail(f"{eml}: {error.strerror or error}")
        content = raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        return content, read_head(content).message_id
    message = EmailMessage(policy=SMTP if _ascii(sender, *recipients) else SMTPUTF8)
    message["From"] = sender or "postmaster@example.test"
    message["To"] = ", ".join(recipients)
    message["Subject"] = subject
    message["Date"] = format_datetime(localtime())
    message["Message-ID"] = make_msgid(domain="relaylab.test")
    message.set_content(body)
    return message.as_bytes(), str(message["Message-ID"])


def _ascii(*texts: str) -> bool:
    return all(text.isascii() for text in texts)


def _submit(target: Server, sender: str, recipients: list[str], content: bytes) -> Reply:
    """Hand the message over; return the reply that decided: to the end of data, or the refusal."""
    options = [] if content.isascii() else ["BODY=8BITMIME"]
    if not _ascii(sender, *recipients):
        options.append("SMTPUTF8")
    try:
        with smtplib.SMTP(
            target.host, target.port, local_hostname="relay-send.test", timeout=REPLY_TIMEOUT
        ) as client:
            client.command_encoding = "utf-8"
            client.ehlo()
            code, text = client.mail(sender, options)
            if code != 250:
                return _reply(code, text)
            refusals = [refusal for r in recipients if (refusal := client.rcpt(r))[0] // 10 != 25]
            if len(refusals) == len(recipients):
                return _reply(*refusals[0])
            try:
                return _reply(*client.data(content))
            except smtplib.SMTPDataError as error:
                return _reply(error.smtp_code, error.smtp_error)
    except (OSError, smtplib.SMTPException) as error:
        fail(
            f"{target.host}:{target.port} gave no answer: {_why(error)}",
            hint="Is a relay listening there? Start one with `relay serve`.",
            code=ExitCode.UNDETERMINED,
        )


def _why(error: OSError) -> str:
    """Return an error in its own words, without the number that the system has for it."""
    return error.strerror or str(error)


def _reply(code: int, text: bytes | str) -> Reply:
    from relay.core.replies import Reply

    words = text if isinstance(text, str) else text.decode(errors="backslashreplace")
    return Reply(code=code, text=words)


def _record(where: StateDir, message_id: str, seconds: float) -> MessageRecord | None:
    """Wait until every recipient has an outcome; None where the journal has no such message."""
    from relay.journal.api import JournalError, RecipientState
    from relay.journal.sqlite_reader import SqliteReader

    try:
        with closing(SqliteReader(where.journal)) as journal:
            end = time.monotonic() + seconds
            while True:
                found = journal.find_by_message_id_header(message_id)
                record = journal.message(found) if found else None
                open_states = {RecipientState.QUEUED, RecipientState.INLINE}
                tried = {
                    o.recipient for a in (record.attempts if record else ()) for o in a.outcomes
                }
                told = {b.recipient for b in (record.bounces if record else ())}
                settled = record is not None and all(
                    status.state not in open_states
                    or (status.recipient in tried and status.recipient in told)
                    for status in record.recipients
                )
                if settled or found is None or time.monotonic() > end:
                    return record
                threading.Event().wait(PAUSE)
    except JournalError:
        return None

"""What `relay serve` writes while it serves: text for people, or JSON lines for programs.

JSON lines go to standard output, one for each thing that happened, and those of the program's own
log to standard error. Each has `at`, `event`, and the ids of the message and session it is about.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from enum import Enum, unique
from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli.console import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from relay.core.jsonform import Json
    from relay.core.records import Attempt, Bounce, Envelope, Session
    from relay.engine.observing import Observer


@unique
class LogFormat(Enum):
    """How it is written."""

    TEXT = "text"
    JSON = "json"


LogFormatOption = Annotated[
    LogFormat,
    typer.Option(
        "--log-format",
        envvar="RELAY_LOG_FORMAT",
        help="What is written while it serves: text, or JSON lines with message and session ids.",
    ),
]


def narrator(wanted: LogFormat) -> Observer:
    """Return the observer that writes in this form."""
    if wanted is LogFormat.JSON:
        return JsonNarrator(say)
    from relay.cli.narrator import Narrator

    return Narrator()


def log_line(event: str, **more: Json) -> str:
    """Return one line: the time, the event, and what is known of it."""
    return json.dumps({"at": datetime.now(UTC).isoformat(), "event": event, **more})


class JsonNarrator:
    """Writes what the engine does, a line for each message, outcome and bounce."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def accepted(self, envelope: Envelope) -> None:
        """Write that a message was taken."""
        self._write(
            log_line(
                "accepted",
                message_id=envelope.id,
                session_id=envelope.session_id,
                sender=envelope.reverse_path,
                recipients=[*envelope.recipients],
                size=envelope.size,
                notification_for=envelope.notification_for,
            )
        )

    def attempted(self, envelope: Envelope, attempt: Attempt, session: Session | None) -> None:
        """Write how a try ended for each recipient."""
        from relay.audit.story import verdict_words

        for entry in attempt.outcomes:
            self._write(
                log_line(
                    "attempted",
                    message_id=envelope.id,
                    session_id=attempt.session_id,
                    attempt_id=attempt.id,
                    recipient=entry.recipient,
                    host=attempt.hop.host if attempt.hop else None,
                    setting=attempt.rule.setting.value,
                    outcome=entry.outcome.kind,
                    words=verdict_words(attempt.verdict, entry.outcome),
                )
            )

    def bounced(self, bounce: Bounce) -> None:
        """Write the code that a recipient's failure is reported with."""
        self._write(
            log_line(
                "bounced",
                message_id=bounce.message_id,
                session_id=bounce.session_id,
                bounce_id=bounce.id,
                recipient=bounce.recipient,
                action=bounce.action.value,
                code=str(bounce.status),
                text=bounce.text,
            )
        )


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        trouble = self.formatException(record.exc_info) if record.exc_info else None
        return log_line(
            "log",
            level=record.levelname.lower(),
            logger=record.name,
            message=record.getMessage(),
            traceback=trouble,
        )


def set_up_log(wanted: LogFormat) -> None:
    """Let the program's own log be written in this form, to standard error."""
    if wanted is LogFormat.JSON:
        handler = logging.StreamHandler()
        handler.setFormatter(_JsonFormatter())
        logging.basicConfig(handlers=[handler], level=logging.WARNING)

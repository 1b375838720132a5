"""One line for each outcome while the relay serves, so that people watch the policy decide."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from relay.audit.story import verdict_words
from relay.cli.console import say
from relay.core.outcomes import Delivered
from relay.core.records import Attempt, Bounce, BounceAction, Envelope, Session


class Narrator:
    """The observer of `relay serve`: writes to standard output."""

    def accepted(self, envelope: Envelope) -> None:
        """Say that a message was taken."""
        kind = "notification" if envelope.notification_for else "message"
        sender = envelope.reverse_path or "<>"
        say(f"{_time(envelope)} {kind} {envelope.id} from {sender}, {envelope.size} octets")

    def attempted(self, envelope: Envelope, attempt: Attempt, session: Session | None) -> None:
        """Say what the policy decided for each recipient."""
        host = attempt.hop.host if attempt.hop else "no host"
        for entry in attempt.outcomes:
            words = verdict_words(attempt.verdict, entry.outcome)
            mark = "+" if isinstance(entry.outcome, Delivered) else "-"
            say(f"  {mark} {entry.recipient} at {host}, {attempt.rule.setting.label}: {words}")

    def bounced(self, bounce: Bounce) -> None:
        """Say the code that a recipient's failure is reported with."""
        action = "delayed" if bounce.action is BounceAction.DELAYED else "bounced"
        say(f"  ! {bounce.recipient} {action}: {bounce.status} {bounce.text}")


def _time(envelope: Envelope) -> str:
    return _time_of_day(int(envelope.received_at.timestamp()))


@lru_cache(1)
def _time_of_day(second: int) -> str:
    """Return a moment as the clock on the wall shows it: one for all messages of a second."""
    return f"{datetime.fromtimestamp(second, UTC).astimezone():%H:%M:%S}"
